"""What a response says besides its verdict: metrics, and records in the samples file.

Of candidates: what more of them, or another choice, would give. Independent samples have pass@k,
maj@k and, for each score, best-of-k and its weighted form, for k = 1, 2, 4 ... n. Paths that a
search found are not equal draws, so they have only coverage."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval_tts.core.texts import shared_length
from lm_eval_tts.core.voting import Classes, best_at, maj_at, pass_at, sample_sizes, weighted_at
from lm_eval_tts.grading import Verdict, answer_classes
from lm_eval_tts.harness.response import USAGE_METRICS, Response, Usage, details_of


def usage_metrics(response: Response) -> dict[str, float]:
    """Return the counts of a response, the scorer's where a reward model rated its candidates, and
    what each point of an anytime run has thought and sampled."""
    candidates, points = response.details.candidates, response.details.points
    rated = any("reward" in candidate.details.scores for candidate in candidates)
    counts = _counts(response.details.usage).items()
    return {name: n for name, n in counts if rated or not name.startswith("scorer_")} | {
        f"{name}@{label}": _counts(point.details.usage)[name]
        for label, point in points.items()
        if point.details.usage is not None
        for name in ("thinking_tokens", "sampled_tokens")
    }


def text_record(response: str) -> dict[str, Any]:
    """Return for a samples file what the text consists of, the tree that a search found it in, and
    the text at each point of an anytime run: how many characters it shares with the response from
    its start, and what then follows."""
    details = details_of(response)
    texts = {
        label: (shared := shared_length(response, point), point[shared:])
        for label, point in details.points.items()
    }
    found = {"pieces": list(details.pieces), "point_texts": texts, "tree": list(details.tree)}
    return {name: value for name, value in found.items() if value}


def answered(records: Sequence[dict[str, Any]], response: str) -> dict[str, Any]:
    """Return for a samples file the records of a document's responses, of which this is the first,
    and the prompt that was sent, where it is known."""
    prompt = details_of(response).prompt
    found = records[0] if len(records) == 1 else {"repeats": records}
    return found if prompt is None else {**found, "prompt": prompt._asdict()}


def _counts(usage: Usage | None) -> dict[str, float]:
    if usage is None:
        return {}
    return {name: float(getattr(usage, field)) for field, name in USAGE_METRICS.items()}


def sample_metrics(
    correct: Sequence[float], classes: Classes, scores: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """Return the metrics of n >= 1 independent samples. Of a metric with other values than 1 and 0,
    pass@k is the expected best of k."""
    metrics = {"coverage": max(correct)}
    graded = not set(correct) <= {0.0, 1.0}
    for k in sample_sizes(len(correct)):
        best = best_at(correct, correct, k)
        metrics[f"pass@{k}"] = best if graded else pass_at(len(correct), sum(correct), k)
        metrics[f"maj@{k}"] = maj_at(correct, classes, k)
        for name, values in scores.items():
            suffix = "" if name == "reward" else f"_{name}"
            metrics[f"bon{suffix}@{k}"] = best_at(correct, values, k)
            metrics[f"weighted_bon{suffix}@{k}"] = weighted_at(correct, classes, values, k)
    return metrics


def candidate_metrics(response: Response, verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Return the metrics of a response's candidates, given the verdicts on them."""
    candidates = response.details.candidates
    correct = [float(verdict.correct) for verdict in verdicts]
    if not response.details.independent:
        found = sum(candidate.details.failure is None for candidate in candidates)
        return {"coverage": max(correct), "candidates": float(found)}
    classes = answer_classes([verdict.answer for verdict in verdicts])
    return sample_metrics(correct, classes, scores_of(candidates))


def scores_of(candidates: Sequence[Response]) -> dict[str, list[float]]:
    """Return how each candidate was rated, by the name of the score."""
    each = [candidate.details.scores for candidate in candidates]
    return {name: [scores[name] for scores in each] for name in each[0]}


def candidate_records(
    response: Response, answers: Sequence[str | None], correct: Sequence[Any], classes: Classes
) -> list[dict[str, Any]]:
    """Return what is to be read in the samples file about each candidate."""
    records: list[dict[str, Any]] = []
    found = response.details.candidates
    for candidate, answer, right, number in zip(found, answers, correct, classes, strict=True):
        usage, scores = candidate.details.usage, candidate.details.scores.items()
        record = {"text": str(candidate), "answer": answer, "class": number, "correct": right}
        record["total_tokens"] = usage.total if usage else None
        record["scores"] = {name: None if math.isnan(value) else value for name, value in scores}
        if candidate.details.last_step is not None:
            record["last_step"] = candidate.details.last_step
        records.append(record)
    return records
