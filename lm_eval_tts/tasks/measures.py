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


def usage_metrics(response: str) -> dict[str, float]:
    """Return the counts of a response, the scorer's where a reward model rated its candidates, and
    what each point of an anytime run has thought and sampled."""
    details = details_of(response)
    rated = any("reward" in candidate.details.scores for candidate in details.candidates)
    counts = _counts(details.usage).items()
    metrics = {name: n for name, n in counts if rated or not name.startswith("scorer_")}
    for label, point in details.points.items():
        at = _counts(point.details.usage)
        named = ("thinking_tokens", "sampled_tokens") if at else ()
        metrics |= {f"{name}@{label}": at[name] for name in named}
    return metrics


def text_record(response: str) -> dict[str, Any]:
    """Return for a samples file what the text consists of, the tree of a search, and the text at
    each point: how many characters from the start it shares with the response, and what follows."""
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


def candidate_metrics(response: str, verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Return the metrics of a response's candidates, given the verdicts on them."""
    details, correct = details_of(response), [float(verdict.correct) for verdict in verdicts]
    if not details.independent:
        found = sum(candidate.details.failure is None for candidate in details.candidates)
        return {"coverage": max(correct), "candidates": float(found)}
    classes = answer_classes([verdict.answer for verdict in verdicts])
    return sample_metrics(correct, classes, scores_of(details.candidates))


def scores_of(candidates: Sequence[Response]) -> dict[str, list[float]]:
    """Return how each candidate was rated, by the name of the score."""
    each = [candidate.details.scores for candidate in candidates]
    return {name: [scores[name] for scores in each] for name in each[0]}


def candidate_records(
    response: str, answers: Sequence[str | None], correct: Sequence[Any], classes: Classes
) -> list[dict[str, Any]]:
    """Return what is to be read in the samples file about each candidate."""
    records: list[dict[str, Any]] = []
    found = details_of(response).candidates
    for candidate, answer, right, number in zip(found, answers, correct, classes, strict=True):
        known = candidate.details
        record = {"text": str(candidate), "answer": answer, "class": number, "correct": right}
        record["total_tokens"] = known.usage.total if known.usage else None
        scores = known.scores.items()
        record["scores"] = {name: None if math.isnan(value) else value for name, value in scores}
        records.append(record | ({} if known.last_step is None else {"last_step": known.last_step}))
    return records
