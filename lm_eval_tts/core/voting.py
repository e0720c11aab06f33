"""How one response is chosen among several, and what k of n samples would have scored so: pure
arithmetic over scores and classes of answers.

A class is a number that equal answers share, None for a response without an answer; a higher score
is better, NaN is a response that could not be rated. Imports nothing of this package.

The `_at` are expectations over all subsets of size k, 1 <= k <= n; correct: 1 or 0 of each sample.
maj_at and best_at are exact, in closed form; weighted_at is exact where there are at most
`MAX_SUBSETS` subsets and else the mean over that many drawn ones, always the same. A tie counts
with the mean of those that tie."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations
from math import comb
from random import Random

import numpy as np
import numpy.typing as npt

Classes = Sequence[int | None]
Scores = Sequence[float]
Counts = npt.NDArray[np.float64]
MAX_SUBSETS = 2048  # a Monte Carlo error of at most 0.011 for one problem, less in the mean

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


def sample_sizes(n: int) -> list[int]:
    """Return the k that are reported: 1, 2, 4 ... and n itself."""
    return sorted({2**power for power in range(n.bit_length())} | {n})


def pass_at(num_samples: int, num_correct: float, k: int) -> float:
    """Return the chance that a draw of k samples without replacement holds a right one.
    1 - C(n-c, k) / C(n, k), without bias: Chen et al. (2021), arXiv:2107.03374, equation 1. NaN for
    k beyond num_samples and for an unknown num_correct."""
    if not 1 <= k <= num_samples or math.isnan(num_correct):
        return math.nan
    return 1 - comb(num_samples - round(num_correct), k) / comb(num_samples, k)


def best_at(correct: Scores, scores: Scores, k: int) -> float:
    """Return the chance that the best-rated of k samples is right; NaN scores come last."""
    rated = [-math.inf if math.isnan(score) else score for score in scores]
    expected = 0.0
    for level in set(rated):
        alike = [right for right, score in zip(correct, rated, strict=True) if score == level]
        below = sum(score < level for score in rated)
        chance = (comb(below + len(alike), k) - comb(below, k)) / comb(len(rated), k)
        expected += chance * sum(alike) / len(alike)
    return expected


def maj_at(correct: Scores, classes: Classes, k: int) -> float:
    """Return the chance that the most frequent answer of k samples is right. Counts the subsets in
    which a class has t votes and j others have as many while none has more, by the coefficients of
    a product over classes (the multivariate hypergeometric law); such a subset counts 1 / (1 + j).
    Where no sample of a subset has an answer, it is wrong."""
    sizes = Counter(number for number in classes if number is not None)
    silent = len(correct) - sizes.total()
    expected = 0.0
    for number, right in totals(classes, correct).items():
        if right:
            others = tuple(sorted(size for n, size in sizes.items() if n != number))
            won = _wins(sizes[number], others, silent, k)
            expected += won * right / sizes[number]
    return expected


@lru_cache(maxsize=10_000)
def _wins(size: int, others: tuple[int, ...], silent: int, k: int) -> float:
    """Return the chance that a class of this size wins among k samples, a tie by its share."""
    votes = range(1, min(size, k) + 1)
    subsets = sum(comb(size, t) * _subsets(t, others, silent, k - t) for t in votes)
    return subsets / comb(size + sum(others) + silent, k)


def _subsets(most: int, others: tuple[int, ...], silent: int, votes: int) -> float:
    """Count subsets of `votes` samples of the others in which none has more than `most` votes.
    Weighted by 1 / (1 + j) for j others with exactly `most`."""
    table: Counts = np.zeros((votes + 1, votes // most + 1))  # votes so far, classes that tie
    table[0, 0] = 1.0
    for size in others:
        new = np.zeros_like(table)
        for taken in range(min(size, most - 1, votes) + 1):
            new[taken:] += comb(size, taken) * table[: votes + 1 - taken]
        if size >= most and votes >= most:
            new[most:, 1:] += comb(size, most) * table[: votes + 1 - most, :-1]
        table = new
    rest = np.array([float(comb(silent, votes - v)) for v in range(votes + 1)])
    shares = 1.0 / np.arange(1, table.shape[1] + 1)
    return float(rest @ table @ shares)


def weighted_at(correct: Scores, classes: Classes, scores: Scores, k: int) -> float:
    """Return the chance that the answer with the largest sum of scores among k samples is right."""
    numbers = sorted({number for number in classes if number is not None})
    member = np.array([[number == c for c in numbers] for number in classes], float)
    if not numbers:
        return 0.0
    subsets = _subsets_of(len(correct), k)
    counts = subsets @ member
    rights = subsets @ (np.array(correct)[:, None] * member) / np.maximum(counts, 1)
    votes = subsets @ (np.array(vote_weights(scores))[:, None] * member)
    votes[counts == 0] = -1  # has no sample in this subset
    most = votes.max(axis=1, keepdims=True)
    leading = (counts > 0) & np.isclose(votes, most, rtol=1e-12, atol=0)
    return float(((rights * leading).sum(axis=1) / np.maximum(leading.sum(axis=1), 1)).mean())


@lru_cache(maxsize=64)
def _subsets_of(n: int, k: int) -> Counts:
    """Return all subsets, or the drawn ones, as rows of 1 and 0, shape (subsets, n)."""
    if comb(n, k) <= MAX_SUBSETS:
        chosen = list(combinations(range(n), k))
    else:
        random = Random(f"subsets {n} {k}")
        chosen = [tuple(random.sample(range(n), k)) for _ in range(MAX_SUBSETS)]
    rows: Counts = np.zeros((len(chosen), n))
    np.put_along_axis(rows, np.array(chosen), 1.0, axis=1)
    return rows
