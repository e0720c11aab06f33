"""Test-time scaling: accuracy against thinking tokens, with the three figures of the s1 paper.

Muennighoff et al. (2025), "s1: Simple test-time scaling", arXiv:2501.19393, section 3.2: control,
scaling, performance. The paper's published scaling values come out only with x = log2(tokens), so
scaling is told per doubling and per 1,000 tokens. Accuracy is in per cent throughout.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lm_eval_tts.results import statistics
from lm_eval_tts.results.documents import Outcomes, read_outcomes
from lm_eval_tts.results.files import Problem, first_of_each_file
from lm_eval_tts.results.runs import Run, short_names
from lm_eval_tts.results.statistics import Array, Interval

TOKENS_A_STEP = 100  # of step control: the limit is 100 tokens a step, as in the s1 paper
_NUM_RESAMPLES = 2_000


class Point(NamedTuple):
    """One budget of a curve.

    tokens: of each document, shape (documents,). scores: of each, in [0, 1], or its mean alone.
    limit: most tokens that were allowed; None where no limit was set. repeats: behind each score.
    """

    label: str
    tokens: Array
    scores: Array
    limit: float | None = None
    documents: tuple[str, ...] = ()
    repeats: int = 1

    @property
    def mean_tokens(self) -> float:
        """Mean tokens of a document."""
        return float(np.nanmean(self.tokens))

    @property
    def accuracy(self) -> float:
        """In per cent."""
        return 100 * float(np.nanmean(self.scores))

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the accuracy, in per cent; undefined for a mean alone."""
        if not self.documents:
            return statistics.UNDEFINED
        low, high = statistics.proportion_interval(self.scores, self.repeats)
        return Interval(100 * low, 100 * high)

    @property
    def share_within(self) -> float:
        """Share of documents within the limit; NaN without a limit or documents."""
        if self.limit is None or not self.documents:
            return math.nan
        known = self.tokens[~np.isnan(self.tokens)]
        return float((known <= self.limit).mean()) if len(known) else math.nan


@dataclass(frozen=True, slots=True)
class Figures:
    """control, control_samples: in per cent, of points (by their mean) and of all documents.

    scaling_doubling, scaling_1k: points of accuracy for twice the tokens, and for 1,000 more, with
    95 % intervals (bootstrap over documents). performance: the highest accuracy. Undefined: NaN.
    """

    control: float
    control_samples: float
    scaling_doubling: float
    scaling_1k: float
    performance: float
    interval_doubling: Interval = statistics.UNDEFINED
    interval_1k: Interval = statistics.UNDEFINED


@dataclass(frozen=True, slots=True)
class Curve:
    """Points by tokens. unit: what the tokens are."""

    name: str
    benchmark: str
    unit: str
    points: tuple[Point, ...]

    def figures(self) -> Figures:
        """Return the figures of the s1 paper."""
        tokens = np.array([point.mean_tokens for point in self.points])
        accuracy = np.array([point.accuracy for point in self.points])
        doubling, thousand = self._intervals()
        within = [p.share_within for p in self.points if not math.isnan(p.share_within)]
        return Figures(
            control=control(tokens, [point.limit for point in self.points]),
            control_samples=100 * float(np.mean(within)) if within else math.nan,
            scaling_doubling=float(scaling(np.log2(np.maximum(tokens, 1)), accuracy)),
            scaling_1k=float(scaling(tokens / 1000, accuracy)),
            performance=float(accuracy.max()),
            interval_doubling=doubling,
            interval_1k=thousand,
        )

    def _intervals(self) -> tuple[Interval, Interval]:
        """Return intervals of both scalings; the same documents are drawn for all points."""
        first = self.points[0].documents
        if len(self.points) < 2 or not first or any(p.documents != first for p in self.points):
            return statistics.UNDEFINED, statistics.UNDEFINED
        rng = np.random.default_rng(0)
        weights = rng.multinomial(len(first), np.full(len(first), 1 / len(first)), _NUM_RESAMPLES)
        shares = weights / len(first)
        tokens = np.stack([shares @ np.nan_to_num(p.tokens) for p in self.points])
        accuracy = 100 * np.stack([shares @ np.nan_to_num(p.scores) for p in self.points])
        return (
            _percentiles(scaling(np.log2(np.maximum(tokens, 1)), accuracy)),
            _percentiles(scaling(tokens / 1000, accuracy)),
        )


def _percentiles(values: Array) -> Interval:
    if np.isnan(values).all():
        return statistics.UNDEFINED
    tail = 50 * (1 - statistics.CONFIDENCE)
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def control(tokens: Array, limits: Sequence[float | None]) -> float:
    """Return the share of runs whose mean tokens are within their limit, in per cent (s1, eq. 1).

    NaN where no run has a limit; runs without one are left out.
    """
    within = [t <= limit for t, limit in zip(tokens, limits, strict=True) if limit is not None]
    return 100 * sum(within) / len(within) if within else math.nan


def scaling(x: Array, y: Array) -> Array:
    """Return the mean slope over all pairs of points (s1, eq. 2); NaN where there is no pair.

    x, y: of shape (points, ...); the slope is taken along the first axis. Pairs with equal x have
    no slope and are left out.
    """
    left, right = np.triu_indices(len(x), k=1)
    run, rise = x[right] - x[left], y[right] - y[left]
    slopes = np.divide(rise, run, out=np.full(rise.shape, np.nan), where=np.abs(run) > 1e-9)
    known = (~np.isnan(slopes)).sum(axis=0)
    total = np.nansum(slopes, axis=0)
    return np.asarray(np.where(known > 0, total / np.maximum(known, 1), np.nan))


class Curves(NamedTuple):
    """Curves with at least one point, and what was left out of them."""

    curves: list[Curve]
    notes: list[str]


def build(runs: Sequence[Run], *, join: bool = False) -> Curves:
    """Return a curve for each anytime run, and one for all other runs of a setup and benchmark.

    Runs of one checkpoint, prompt style and strategy differ in their budgets. join: take all runs
    of a benchmark for one curve, whatever their setup.
    """
    names = short_names(run.setup.checkpoint for run in runs)
    notes: list[str] = []
    unread: list[Problem] = []
    found: dict[tuple[str, str], list[tuple[Point, str]]] = {}
    for run in runs:
        outcomes, problems = read_outcomes(run)
        unread += problems
        name = _curve_name(run, names[run.setup.checkpoint])
        for rule, fewer in (_by_samples(run, outcomes) if outcomes else {}).items():
            found[_unused((run.benchmark, f"{name}, {rule}"), found)] = fewer
        points = _anytime(run, outcomes) if outcomes else []
        key = (run.benchmark, "all runs" if join and not points else name)
        if points:
            key = _unused(key, found)
        single = [] if points else _single(run, outcomes)
        if not points and not single:
            notes.append(f"{run.results_path}: {run.task} has no token counts, so no point")
        found.setdefault(key, []).extend(points or single)
    curves = [_curve(*key, points) for key, points in found.items() if points]
    return Curves(curves, [*map(str, first_of_each_file(unread)), *notes])


def _curve_name(run: Run, checkpoint: str) -> str:
    setup = run.setup
    adapter = f"+ {setup.adapter}" if setup.adapter else None
    revision = f"@ {setup.revision[:8]}" if setup.revision else None
    told = (checkpoint, adapter, revision, setup.prompt_style, setup.strategy or setup.model)
    return " ".join(text for text in told if text)


def _unused(key: tuple[str, str], taken: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return the key with a number where another curve has it: anytime runs are not mixed."""
    number, free = 1, key
    while free in taken:
        number += 1
        free = (key[0], f"{key[1]} ({number})")
    return free


def _curve(benchmark: str, name: str, points: Sequence[tuple[Point, str]]) -> Curve:
    units = sorted({unit for _, unit in points})
    by_tokens = sorted((point for point, _ in points), key=lambda point: point.mean_tokens)
    return Curve(name, benchmark, " or ".join(units), tuple(by_tokens))


def _anytime(run: Run, outcomes: Outcomes) -> list[tuple[Point, str]]:
    """Return the points of an anytime run: `exact_match@256` ... or `exact_match@wait1` ..."""
    found = []
    for name, scores in outcomes.metrics.items():
        metric, _, label = name.partition("@")
        tokens = outcomes.metrics.get(f"thinking_tokens@{label}")
        if metric == run.metric and label and tokens is not None:
            limit = _number(label) or limit_of(run)
            point = Point(label, tokens, scores, limit, outcomes.documents, outcomes.repeats)
            found.append((point, "thinking tokens"))
    return found


def _by_samples(run: Run, outcomes: Outcomes) -> dict[str, list[tuple[Point, str]]]:
    """Return the points at k = 1, 2, 4 ... of n samples for each rule of choice: `maj@4` ...

    k samples cost their share of all n, which are what the run has sampled.
    """
    found: dict[str, list[tuple[Point, str]]] = {}
    told = [(name, *name.partition("@")[::2]) for name in outcomes.metrics]
    sizes = [int(k) for _, rule, k in told if rule == "pass" and k.isdigit()]
    cost = outcomes.metrics.get("sampled_tokens")
    if not sizes or cost is None:
        return {}
    cost = cost * outcomes.repeats  # of all repeats, where these are the samples
    for name, rule, k in told:
        if rule in ("pass", "maj") or "bon" in rule.split("_"):
            if not k.isdigit():
                continue
            tokens = cost * int(k) / max(sizes)
            point = Point(k, tokens, outcomes.metrics[name], None, outcomes.documents)
            found.setdefault(rule, []).append((point, "sampled tokens"))
    return found


def _single(run: Run, outcomes: Outcomes | None) -> list[tuple[Point, str]]:
    """Return the one point of a run; where nothing was thought, all tokens count.

    Where a response was chosen among candidates, what was sampled for them all counts.
    """
    chosen = outcomes is not None and "coverage" in outcomes.metrics
    for metric in ("sampled_tokens",) if chosen else ("thinking_tokens", "total_tokens"):
        unit, label = metric.replace("_", " "), _label(run)
        if outcomes and metric in outcomes.metrics and np.nansum(outcomes.metrics[metric]):
            tokens, scores = outcomes.metrics[metric], outcomes.metrics[run.metric]
            limit, documents = limit_of(run), outcomes.documents
            return [(Point(label, tokens, scores, limit, documents, outcomes.repeats), unit)]
        if outcomes is None and run.metrics.get(metric):
            means = np.array([run.metrics[metric]]), np.array([run.accuracy])
            return [(Point(label, *means, limit_of(run)), unit)]
    return []


def limit_of(run: Run) -> float | None:
    """Return the limit on thinking tokens that the settings set or the prompt asked for."""
    settings = dict(run.setup.settings)
    for name, tokens in (
        ("max_thinking_tokens", 1), ("thinking_tokens", 1), ("thinking_steps", TOKENS_A_STEP),
    ):  # fmt: skip
        value = _number(settings.get(name, ""))
        if value:
            return value * tokens
    return None


def _label(run: Run) -> str:
    limit, waits = limit_of(run), dict(run.setup.settings).get("num_waits")
    told = [f"{limit:.0f}" if limit else "", f"{waits} waits" if waits else ""]
    return ", ".join(text for text in told if text) or run.setup.checkpoint.rpartition("/")[2]


def _number(text: str) -> float | None:
    return float(text) if text.isdigit() else None
