"""Metrics of the candidates behind a response: what more of them, or another choice, would give.

Independent samples have pass@k, maj@k and, for each score, best-of-k and its weighted form, for
k = 1, 2, 4 ... n. Of what a search found no k is as good as another, so it has coverage alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval_tts.core.pass_at_k import pass_at, sample_sizes
from lm_eval_tts.core.voting import Classes
from lm_eval_tts.grading import Verdict, answer_classes
from lm_eval_tts.harness.response import Response
from lm_eval_tts.tasks.expectations import best_at, maj_at, weighted_at


def sample_metrics(
    correct: Sequence[float], classes: Classes, scores: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """Return the metrics of n >= 1 independent samples. Of a metric with other values than 1 and 0,
    pass@k is the expected best of k."""
    metrics = {"coverage": max(correct)}
    graded = not set(correct) <= {0.0, 1.0}
    for k in sample_sizes(len(correct)):
        metrics[f"pass@{k}"] = (
            best_at(correct, correct, k) if graded else pass_at(len(correct), sum(correct), k)
        )
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
    scores = {
        name: [candidate.details.scores[name] for candidate in candidates]
        for name in candidates[0].details.scores
    }
    return sample_metrics(correct, answer_classes([v.answer for v in verdicts]), scores)


def candidate_records(
    response: Response, answers: Sequence[str | None], correct: Sequence[Any], classes: Classes
) -> list[dict[str, Any]]:
    """Return what is to be read in the samples file about each candidate."""
    return [
        {
            "text": str(candidate),
            "answer": answer,
            "class": number,
            "correct": right,
            "total_tokens": candidate.details.usage.total if candidate.details.usage else None,
            "scores": {
                name: None if math.isnan(value) else value
                for name, value in candidate.details.scores.items()
            },
        }
        for candidate, answer, right, number in zip(
            response.details.candidates, answers, correct, classes, strict=True
        )
    ]
