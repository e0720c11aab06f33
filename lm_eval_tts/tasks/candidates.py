"""Metrics of a response's candidates: what more of them, or another choice, would give.

Independent samples have pass@k, maj@k and, for each score, best-of-k and its weighted form, for
k = 1, 2, 4 ... n. Paths that a search found are not equal draws, so they have only coverage."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval_tts.core.expectations import best_at, maj_at, pass_at, sample_sizes, weighted_at
from lm_eval_tts.core.voting import Classes
from lm_eval_tts.grading import Verdict, answer_classes
from lm_eval_tts.harness.response import Response


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
