"""How one response is chosen among several: pure arithmetic over scores and classes of answers.

A class is a number that equal answers share, None for a response without an answer; a higher score
is better, NaN is a response that could not be rated. Imports nothing of this package."""

import math
from collections.abc import Callable, Sequence
from random import Random

Classes = Sequence[int | None]
Scores = Sequence[float]

AGGREGATIONS: dict[str, Callable[[Scores], float]] = {
    "last": lambda scores: scores[-1],
    "min": min,
    "prod": math.prod,
    "mean": lambda scores: math.fsum(scores) / len(scores),
}


def aggregate(scores: Scores, how: str) -> float:
    """Return one score for the scores of a response's steps; NaN if there are none.
    how: "last" (Snell et al. 2024, arXiv:2408.03314), "min" or "prod" (Lightman et al. 2023,
    arXiv:2305.20050), or "mean"."""
    return float(AGGREGATIONS[how](scores)) if scores else math.nan


def vote_weights(scores: Scores) -> list[float]:
    """Return how much each response's vote counts, >= 0. The scores themselves; where one is
    negative (log-probabilities, logits) their exponentials, of which only the ratios matter. What
    could not be rated has no weight."""
    known = [score for score in scores if not math.isnan(score)]
    if not known or min(known) >= 0:
        return [0.0 if math.isnan(score) else score for score in scores]
    most = max(known)
    return [0.0 if math.isnan(score) else math.exp(score - most) for score in scores]


def borda_weights(scores: Scores, power: float) -> list[float]:
    """Return the weight of each rank: n ** power for the best, 1 for the last, ties in order. What
    could not be rated has no weight."""
    rated = [index for index, score in enumerate(scores) if not math.isnan(score)]
    ranked = sorted(rated, key=lambda index: -scores[index])
    weights = {index: float(len(ranked) - rank) ** power for rank, index in enumerate(ranked)}
    return [weights.get(index, 0.0) for index in range(len(scores))]


def totals(classes: Classes, weights: Scores) -> dict[int, float]:
    """Return the sum of the weights of each class."""
    votes: dict[int, list[float]] = {}
    for number, weight in zip(classes, weights, strict=True):
        if number is not None:
            votes.setdefault(number, []).append(weight)
    return {number: math.fsum(weights) for number, weights in votes.items()}


def most_voted(classes: Classes, weights: Scores) -> list[int]:
    """Return the classes with the largest sum of weights; several if they tie."""
    votes = totals(classes, weights)
    most = max(votes.values(), default=0.0)
    return [number for number, sum_ in votes.items() if math.isclose(sum_, most, rel_tol=1e-12)]


def pick_best(scores: Scores, random: Random) -> int:
    """Return the index of the largest score; ties are drawn, what could not be rated comes last."""
    rated = [-math.inf if math.isnan(score) else score for score in scores]
    most = max(rated)
    return random.choice([index for index, score in enumerate(rated) if score == most])


def pick_voted(classes: Classes, weights: Scores, scores: Scores, random: Random) -> int:
    """Return the index of the best-rated response of the class with most weight; ties are drawn.
    Responses without an answer have no vote; where none has an answer, the best-rated one."""
    leading = most_voted(classes, weights)
    if not leading:
        return pick_best(scores, random)
    winner = random.choice(leading)
    members = [index for index, number in enumerate(classes) if number == winner]
    return members[pick_best([scores[index] for index in members], random)]
