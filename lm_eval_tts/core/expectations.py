"""What k of n samples would have scored: expectations over all subsets of size k.

maj_at and best_at are exact, in closed form; weighted_at is exact where there are at most
`MAX_SUBSETS` subsets and else the mean over that many drawn ones, always the same. A tie counts
with the mean of those that tie. correct: 1 or 0 of each sample; 1 <= k <= n."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from math import comb
from random import Random

import numpy as np
import numpy.typing as npt

from lm_eval_tts.core.voting import Classes, vote_weights

MAX_SUBSETS = 2048  # a Monte Carlo error of at most 0.011 for one problem, less in the mean
Counts = npt.NDArray[np.float64]
Floats = Sequence[float]


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


def best_at(correct: Floats, scores: Floats, k: int) -> float:
    """Return the chance that the best-rated of k samples is right; NaN scores come last."""
    rated = [-math.inf if math.isnan(score) else score for score in scores]
    expected = 0.0
    for level in set(rated):
        alike = [right for right, score in zip(correct, rated, strict=True) if score == level]
        below = sum(score < level for score in rated)
        chance = (comb(below + len(alike), k) - comb(below, k)) / comb(len(rated), k)
        expected += chance * sum(alike) / len(alike)
    return expected


def maj_at(correct: Floats, classes: Classes, k: int) -> float:
    """Return the chance that the most frequent answer of k samples is right. Counts the subsets in
    which a class has t votes and j others have as many while none has more, by the coefficients of
    a product over classes (the multivariate hypergeometric law); such a subset counts 1 / (1 + j).
    Where no sample of a subset has an answer, it is wrong."""
    sizes: dict[int, int] = {}
    rights: dict[int, float] = {}
    for right, number in zip(correct, classes, strict=True):
        if number is not None:
            sizes[number] = sizes.get(number, 0) + 1
            rights[number] = rights.get(number, 0.0) + right
    silent = len(correct) - sum(sizes.values())
    expected = 0.0
    for number, right in rights.items():
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


def weighted_at(correct: Floats, classes: Classes, scores: Floats, k: int) -> float:
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
