"""The statistics of all reports. Scores are per document, in [0, 1], means over its repeats.

A document is one cluster: its repeats never count as further evidence. After Miller (2024),
"Adding Error Bars to Evals", arXiv:2411.00640: errors clustered by question, differences paired.

scipy.stats and statsmodels are imported where they are used: they take seconds, and each run prints
an interval."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
CONFIDENCE = 0.95
NUM_RESAMPLES = 9_999
# Fewest documents that must flip, all one way, for the exact McNemar test to reach p < 0.05.
FEWEST_FLIPS = 6


class ConfidenceInterval(NamedTuple):
    """Both ends of an interval; NaN where it is undefined."""

    low: float
    high: float

    @property
    def in_percent(self) -> "ConfidenceInterval":
        """The interval of a share, in per cent."""
        return ConfidenceInterval(100 * self.low, 100 * self.high)


UNDEFINED = ConfidenceInterval(math.nan, math.nan)


def known_mean(values: Array) -> float:
    """Return the mean of the values that are not NaN; NaN where there is none."""
    return math.nan if np.isnan(values).all() else float(np.nanmean(values))


def proportion_interval(scores: Array, repeats: int = 1) -> ConfidenceInterval:
    """Return the Wilson interval of mean scores, correct at 0 % and 100 % too. Wilson (1927), as
    recommended by Brown, Cai and DasGupta (2001). Where a score is a mean over repeats, the number
    of documents is replaced by the effective sample size p(1-p)/se^2, which the clustering leaves
    (Korn and Graubard 1998): between the documents and all samples."""
    scores = scores[~np.isnan(scores)]
    if not len(scores):
        return UNDEFINED
    mean, variance = float(scores.mean()), float(scores.var())
    size = len(scores) * mean * (1 - mean) / variance if variance > 1e-12 else len(scores)
    return count_interval(mean, min(max(size, 1.0), len(scores) * repeats))


def count_interval(mean: float, size: float, confidence: float = CONFIDENCE) -> ConfidenceInterval:
    """Return the Wilson interval of a share `mean` of `size` independent documents."""
    if not size or math.isnan(mean) or not 0 <= mean <= 1:
        return UNDEFINED
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    center = (mean + z * z / (2 * size)) / (1 + z * z / size)
    spread = z * math.sqrt(mean * (1 - mean) / size + z * z / (4 * size * size))
    half = spread / (1 + z * z / size)
    return ConfidenceInterval(max(0.0, center - half), min(1.0, center + half))


def paired_p_value(a: Array, b: Array) -> float:
    """Return the two-sided p-value of equal accuracy, documents paired. 0 and 1 only: McNemar's
    test, exact (McNemar 1947; a binomial test of the documents that flipped). Means over repeats:
    the paired t-test, as in Miller (2024); the sign test where all documents differ by the same,
    which leaves a t-test no variance."""
    differences = b - a
    if not np.any(differences):
        return 1.0
    if is_binary(a) and is_binary(b):
        wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
        # Both tails of a binomial of 1/2: what stats.binomtest gives, but much faster.
        return min(1.0, 2 * float(special.bdtr(min(wins, losses), wins + losses, 0.5)))
    if np.ptp(differences) < 1e-9:
        return float(2.0 ** (1 - len(differences)))
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0).pvalue)


def unpaired_p_value(mean_a: float, size_a: int, mean_b: float, size_b: int) -> float:
    """Return the two-sided p-value of equal accuracy where only totals are known: Fisher's."""
    from scipy.stats import fisher_exact

    right_a, right_b = round(mean_a * size_a), round(mean_b * size_b)
    table = [[right_a, size_a - right_a], [right_b, size_b - right_b]]
    return float(fisher_exact(table).pvalue)


def is_binary(scores: Array) -> bool:
    """Say whether all scores are 0 or 1."""
    return bool(((scores == 0) | (scores == 1)).all())


def bootstrap_interval(differences: Array, confidence: float = CONFIDENCE) -> ConfidenceInterval:
    """Return the paired bootstrap interval of a mean difference; whole documents are drawn. Where
    none differs the ends are the largest share of differing documents that is still likely."""
    size = len(differences)
    if not size:
        return UNDEFINED
    if not np.any(differences):
        high = 1 - ((1 - confidence) / 2) ** (1 / size)  # Clopper and Pearson's of none
        return ConfidenceInterval(-high, high)
    if not np.ptp(differences):
        return ConfidenceInterval(float(differences[0]), float(differences[0]))
    return _bootstrap((differences,), np.mean, confidence)


def ratio_interval(a: Array, b: Array, confidence: float = CONFIDENCE) -> ConfidenceInterval:
    """Return the paired bootstrap interval of mean(b) / mean(a); whole documents are drawn."""
    if not a.any():
        return UNDEFINED
    if np.array_equal(a, b):
        return ConfidenceInterval(1.0, 1.0)
    return _bootstrap((a, b), lambda a, b, axis: b.mean(axis) / a.mean(axis), confidence)


def _bootstrap(
    samples: tuple[Array, ...], statistic: Callable[..., Any], confidence: float
) -> ConfidenceInterval:
    """Return the percentile interval (Efron 1979) of a statistic of paired samples."""
    from scipy.stats import bootstrap

    size = {"n_resamples": NUM_RESAMPLES, "batch": max(1, 2_000_000 // sum(map(len, samples)))}
    how = {"paired": True, "method": "percentile", "confidence_level": confidence}
    result = bootstrap(samples, statistic, rng=np.random.default_rng(0), **size, **how)
    return ConfidenceInterval(*map(float, result.confidence_interval))


def matched_interval(differences: Array, confidence: float = CONFIDENCE) -> ConfidenceInterval:
    """Return the interval of a mean difference in [-1, 1] that holds up when few documents flip.
    Agresti and Min (2005), "Simple improved confidence intervals for comparing matched
    proportions": half a document is added to each of the four outcomes (both right, both wrong,
    either one). So it has a width even where nothing flipped, unlike the bootstrap."""
    if not len(differences):
        return UNDEFINED
    from statsmodels.stats.weightstats import DescrStatsW

    pairs = np.concatenate([differences, [1.0, -1.0, 0.0, 0.0]])
    weights = np.concatenate([np.ones(len(differences)), np.full(4, 0.5)])
    described = DescrStatsW(pairs, weights=weights)
    return ConfidenceInterval(*map(float, described.zconfint_mean(1 - confidence)))


def ranks(differences: Array, p_values: Array, alpha: float = 1 - CONFIDENCE) -> list[int]:
    """Return the rank of each row: 1 + the number of rows that are significantly better.
    differences, p_values: of shape (rows, rows); differences[i, j] > 0 where j is better than i.
    All pairs are corrected together by Holm (1979), so that the chance of any false difference on
    the board is at most alpha. Rows that cannot be told apart may share a rank."""
    size = len(differences)
    upper = np.triu_indices(size, k=1)
    order = np.argsort(p_values[upper])
    levels = alpha / np.arange(len(order), 0, -1)  # the smallest of m against alpha / m, and so on
    rejected = np.logical_and.accumulate(p_values[upper][order] <= levels)
    significant = np.zeros((size, size), bool)
    significant[upper[0][order], upper[1][order]] = rejected
    significant |= significant.T
    return [1 + int((significant[i] & (differences[i] > 0)).sum()) for i in range(size)]


def pareto_front(costs: Sequence[float], scores: Sequence[float]) -> list[bool]:
    """Say of each point of a finite cost whether no other is at least as good and cheap, and better
    in one."""
    points = list(zip(costs, scores, strict=True))
    return [
        cost < math.inf
        and not any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points)
        for cost, score in points
    ]
