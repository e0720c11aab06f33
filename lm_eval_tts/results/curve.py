"""Test-time scaling: accuracy against tokens, with the three figures of the s1 paper.

Muennighoff et al. (2025), "s1: Simple test-time scaling", arXiv:2501.19393, section 3.2: control,
scaling, performance. The paper's published scaling values come out only with x = log2(tokens), so
scaling is per doubling and per 1,000 tokens. Accuracy is in per cent throughout."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lm_eval_tts.results import statistics
from lm_eval_tts.results.documents import read_outcomes
from lm_eval_tts.results.files import UnreadFile, first_of_each_file
from lm_eval_tts.results.points import (
    SAMPLED,
    CurvePoint,
    anytime_points,
    points_by_samples,
    single_point,
)
from lm_eval_tts.results.runs import Run
from lm_eval_tts.results.setups import short_names
from lm_eval_tts.results.statistics import Array, ConfidenceInterval

_NUM_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class CurveFigures:
    """The figures of the s1 paper, by the names that they have in JSON; NaN where undefined."""

    control_percent: float  # of points, by their mean
    control_samples_percent: float  # of all documents
    scaling_per_doubling: float  # points of accuracy for twice the tokens
    scaling_per_1000_tokens: float  # points of accuracy for 1,000 tokens more
    performance_percent: float  # the highest accuracy
    scaling_per_doubling_interval: ConfidenceInterval  # 95 %, bootstrap over documents
    scaling_per_1000_tokens_interval: ConfidenceInterval


@dataclass(frozen=True, slots=True)
class Curve:
    """Points by tokens, at least one."""

    name: str
    benchmark: str
    points: tuple[CurvePoint, ...]

    @property
    def unit(self) -> str:
        """What the tokens are."""
        return " or ".join(sorted({point.unit for point in self.points}))

    @property
    def costs(self) -> tuple[str, list[float]]:
        """What the points are drawn at: sampled tokens where all are known, and their name."""
        sampled = [point.cost for point in self.points]
        if any(map(math.isnan, sampled)):
            return self.unit, [point.mean_tokens for point in self.points]
        return SAMPLED.words, sampled

    def figures(self) -> CurveFigures:
        """Return the figures of the s1 paper."""
        tokens = np.array([point.mean_tokens for point in self.points])
        accuracy = np.array([point.accuracy for point in self.points])
        within = [p.share_within for p in self.points if not math.isnan(p.share_within)]
        samples = 100 * float(np.mean(within)) if within else math.nan
        points = control(tokens, [point.limit for point in self.points])
        doubling, thousand = map(float, _scalings(tokens, accuracy))
        best = float(accuracy.max())
        return CurveFigures(points, samples, doubling, thousand, best, *self._intervals())

    def _intervals(self) -> tuple[ConfidenceInterval, ConfidenceInterval]:
        """Return intervals of both scalings; the same documents are drawn for all points."""
        first = self.points[0].documents
        if len(self.points) < 2 or not first or any(p.documents != first for p in self.points):
            return statistics.UNDEFINED, statistics.UNDEFINED
        rng = np.random.default_rng(0)
        weights = rng.multinomial(len(first), np.full(len(first), 1 / len(first)), _NUM_RESAMPLES)
        shares = weights / len(first)
        tokens = np.stack([shares @ np.nan_to_num(p.tokens) for p in self.points])
        accuracy = 100 * np.stack([shares @ np.nan_to_num(p.scores) for p in self.points])
        doubling, thousand = _scalings(tokens, accuracy)
        return _percentiles(doubling), _percentiles(thousand)


def _scalings(tokens: Array, accuracy: Array) -> tuple[Array, Array]:
    doublings = np.log2(np.maximum(tokens, 1))
    return scaling(doublings, accuracy), scaling(tokens / 1000, accuracy)


def _percentiles(values: Array) -> ConfidenceInterval:
    if np.isnan(values).all():
        return statistics.UNDEFINED
    tail = 50 * (1 - statistics.CONFIDENCE)
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return ConfidenceInterval(float(low), float(high))


def control(tokens: Array, limits: Sequence[float | None]) -> float:
    """Return the share of runs whose mean tokens are within their limit, in per cent (s1, eq. 1).
    NaN where no run has a limit; runs without one are left out."""
    within = [t <= limit for t, limit in zip(tokens, limits, strict=True) if limit is not None]
    return 100 * sum(within) / len(within) if within else math.nan


def scaling(x: Array, y: Array) -> Array:
    """Return the mean slope over all pairs of points (s1, eq. 2); NaN where there is no pair.
    x, y: of shape (points, ...); the slope is taken along the first axis. Pairs with equal x have
    no slope and are left out."""
    left, right = np.triu_indices(len(x), k=1)
    run, rise = x[right] - x[left], y[right] - y[left]
    slopes = np.divide(rise, run, out=np.full(rise.shape, np.nan), where=np.abs(run) > 1e-9)
    known = (~np.isnan(slopes)).sum(axis=0)
    total = np.nansum(slopes, axis=0)
    return np.asarray(np.where(known > 0, total / np.maximum(known, 1), np.nan))


class Curves(NamedTuple):
    """Curves, and what was left out of them."""

    curves: list[Curve]
    notes: list[str]


def build_curves(runs: Sequence[Run], *, join: bool = False) -> Curves:
    """Return a curve for each anytime run, and one for all other runs of a setup and benchmark.
    Runs of one checkpoint, prompt style and strategy differ in their budgets. join: take all runs
    of a benchmark for one curve, whatever their setup."""
    names = short_names(run.setup.checkpoint for run in runs)
    notes: list[str] = []
    unread: list[UnreadFile] = []
    found: dict[tuple[str, str], list[CurvePoint]] = {}
    for run in runs:
        outcomes, some = read_outcomes(run)
        unread += some
        weights = run.setup.weights(names[run.setup.checkpoint])
        name = " ".join(filter(None, (weights, run.setup.prompt_style, run.setup.method)))
        for rule, fewer in (points_by_samples(outcomes) if outcomes else {}).items():
            found[_unused((run.benchmark, f"{name}, {rule}"), found)] = fewer
        if outcomes and (points := anytime_points(run, outcomes)):
            found[_unused((run.benchmark, name), found)] = points
        elif points := single_point(run, outcomes):
            found.setdefault((run.benchmark, "all runs" if join else name), []).extend(points)
        else:
            notes.append(f"{run.results_path}: {run.task} has no token counts, so no point")
    curves = [
        Curve(name, benchmark, tuple(sorted(points, key=lambda point: point.mean_tokens)))
        for (benchmark, name), points in found.items()
    ]
    return Curves(curves, [*map(str, first_of_each_file(unread)), *notes])


def _unused(key: tuple[str, str], taken: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return the key with a number where another curve has it: anytime runs are not mixed."""
    number, free = 1, key
    while free in taken:
        number += 1
        free = (key[0], f"{key[1]} ({number})")
    return free
