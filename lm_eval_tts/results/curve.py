"""Test-time scaling: accuracy against tokens, with the three figures of the s1 paper.

A run is one point, or one for each budget that it answered at, or for each number of its samples.
Muennighoff et al. (2025), "s1: Simple test-time scaling", arXiv:2501.19393, section 3.2: control,
scaling, performance. The paper's published scaling values come out only with x = log2(tokens), so
scaling is per doubling and per 1,000 tokens. The accuracy of a curve is in per cent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import NamedTuple

import numpy as np

from lm_eval_tts.core.metrics import METRIC, Metric
from lm_eval_tts.results import statistics
from lm_eval_tts.results.formats import short_names
from lm_eval_tts.results.runs import Run
from lm_eval_tts.results.samples import Outcomes, read_all
from lm_eval_tts.results.statistics import Array, ConfidenceInterval, known_mean

_NUM_RESAMPLES = 2_000
THINKING, TOTAL, SAMPLED = (METRIC[f"{what}_tokens"] for what in ("thinking", "total", "sampled"))
TOKENS_A_STEP = 100  # of step control: the limit is 100 tokens a step, as in the s1 paper
# Settings that limit thinking, or ask for a length, and the tokens that each unit of them is.
_LIMITS = {"max_thinking_tokens": 1, "thinking_tokens": 1, "thinking_steps": TOKENS_A_STEP}


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What a run scored at one budget."""

    label: str
    unit: str  # what the tokens are
    tokens: Array  # of each document, shape (documents,), or their mean alone
    scores: Array  # of each document, in [0, 1], or their mean alone
    limit: float | None = None  # most tokens that were allowed; None where no limit was set
    documents: tuple[str, ...] = ()  # none where only means are known
    repeats: int = 1  # samples that a score is the mean of
    cost: float = math.nan  # mean sampled tokens of a document, of this point alone

    @property
    def mean_tokens(self) -> float:
        """Mean tokens of a document."""
        return known_mean(self.tokens)

    @property
    def score(self) -> float:
        """The mean score, in [0, 1]."""
        return known_mean(self.scores)

    @property
    def interval(self) -> ConfidenceInterval:
        """The 95 % interval of the score; undefined for a mean alone."""
        scores = self.scores if self.documents else self.scores[:0]
        return statistics.proportion_interval(scores, self.repeats)

    @property
    def share_within(self) -> float:
        """Share of documents within the limit; NaN without a limit or documents."""
        if self.limit is None or not self.documents:
            return math.nan
        return known_mean(np.where(np.isnan(self.tokens), np.nan, self.tokens <= self.limit))


def _point(
    outcomes: Outcomes, label: str, cost: Metric, score: str, limit: float | None, at: str = ""
) -> CurvePoint:
    """Return a point by the names of its figures. at: the end of their names, such as `@256`."""
    metrics = outcomes.metrics
    sampled = known_mean(metrics.get(SAMPLED.name + at, np.array([np.nan])))
    figures = metrics[cost.name + at], metrics[score + at], limit
    return CurvePoint(label, cost.words, *figures, outcomes.documents, outcomes.repeats, sampled)


def anytime_points(run: Run, outcomes: Outcomes) -> list[CurvePoint]:
    """Return the points of an anytime run, by tokens: `exact_match@256`, `exact_match@wait1` ..."""
    found = []
    for name in outcomes.metrics:
        metric, _, label = name.partition("@")
        if metric == run.metric and f"{THINKING.name}@{label}" in outcomes.metrics and label:
            limit = _number(label) or _limit(run)
            found.append(_point(outcomes, label, THINKING, metric, limit, f"@{label}"))
    return sorted(found, key=lambda point: point.mean_tokens)


def is_choice(metric: str) -> bool:
    """Whether a metric says what a rule of choice scores with k samples: maj@4, weighted_bon@8."""
    rule, _, k = metric.partition("@")
    return k.isdecimal() and (rule in ("pass", "maj") or "bon" in rule.split("_"))


def _points_by_samples(outcomes: Outcomes) -> dict[str, list[CurvePoint]]:
    """Return the points at k = 1, 2, 4 ... of n samples for each rule of choice: `maj@4` ... k
    samples cost their share of all n, which are what the run has sampled."""
    found: dict[str, list[CurvePoint]] = {}
    chosen = [(name, *name.split("@")) for name in outcomes.metrics if is_choice(name)]
    most = max((int(k) for _, rule, k in chosen if rule == "pass"), default=0)
    if not most or SAMPLED.name not in outcomes.metrics:
        return {}
    cost = outcomes.metrics[SAMPLED.name] * outcomes.repeats  # all, where repeats are the samples
    for name, rule, k in chosen:
        tokens, scores = cost * int(k) / most, outcomes.metrics[name]
        mean, documents = known_mean(tokens), outcomes.documents
        point = CurvePoint(k, SAMPLED.words, tokens, scores, documents=documents, cost=mean)
        found.setdefault(rule, []).append(point)
    return found


def _single_point(run: Run, outcomes: Outcomes | None) -> list[CurvePoint]:
    """Return the one point of a run, none without token counts. Where nothing was thought, all
    tokens count; where a response was chosen among candidates, what was sampled for them all."""
    chosen = outcomes is not None and "coverage" in outcomes.metrics
    means = {name: np.array([mean]) for name, mean in run.metrics.items()}
    known = outcomes or Outcomes((), (), (), means)
    limit, waits = _limit(run), dict(run.setup.settings).get("num_waits")
    said = [f"{limit:.0f}" if limit else "", f"{waits} waits" if waits else ""]
    label = ", ".join(filter(None, said)) or run.setup.checkpoint.rpartition("/")[2]
    costs = (SAMPLED,) if chosen else (THINKING, TOTAL)
    counted = [cost for cost in costs if np.nansum(known.metrics.get(cost.name, 0))]
    return [_point(known, label, cost, run.metric, limit) for cost in counted[:1]]


def _limit(run: Run) -> float | None:
    """Return the limit on thinking tokens that the settings set or the prompt asked for."""
    settings = dict(run.setup.settings)
    found = (tokens * (_number(settings.get(name, "")) or 0) for name, tokens in _LIMITS.items())
    return next(filter(None, found), None)


def _number(text: str) -> float | None:
    return float(text) if text.isdecimal() else None


class CurveFigures(NamedTuple):
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
        points = self.points
        tokens = np.array([point.mean_tokens for point in points])
        accuracy = 100 * np.array([point.score for point in points])
        doubling, thousand = map(float, _scalings(tokens, accuracy))
        return CurveFigures(
            control(tokens, [point.limit for point in points]),
            100 * known_mean(np.array([point.share_within for point in points])),
            doubling,
            thousand,
            float(accuracy.max()),
            *map(_percentiles, _scalings(*self._resampled())),
        )

    def _resampled(self) -> tuple[Array, Array]:
        """Return tokens and accuracy in resamples, of shape (points, resamples). The same documents
        are drawn for all points; there are no resamples where these have different ones."""
        first = self.points[0].documents
        if len(self.points) < 2 or not first or any(p.documents != first for p in self.points):
            return (np.empty((len(self.points), 0)),) * 2
        rng = np.random.default_rng(0)
        weights = rng.multinomial(len(first), np.full(len(first), 1 / len(first)), _NUM_RESAMPLES)
        shares = weights / len(first)
        tokens = np.stack([shares @ np.nan_to_num(p.tokens) for p in self.points])
        return tokens, 100 * np.stack([shares @ np.nan_to_num(p.scores) for p in self.points])


def _scalings(tokens: Array, accuracy: Array) -> tuple[Array, Array]:
    doublings = np.log2(np.maximum(tokens, 1))
    return scaling(doublings, accuracy), scaling(tokens / 1000, accuracy)


def _percentiles(values: Array) -> ConfidenceInterval:
    if np.isnan(values).all():
        return statistics.UNDEFINED
    tail = 50 * (1 - statistics.CONFIDENCE)
    return ConfidenceInterval(*map(float, np.nanpercentile(values, [tail, 100 - tail])))


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


def build_curves(runs: Sequence[Run], *, join: bool = False) -> tuple[list[Curve], list[str]]:
    """Return a curve for each anytime run, and one for all other runs of a setup and benchmark; and
    what was left out of them. Runs of one checkpoint, prompt style and strategy differ in their
    budgets. join: take all runs of a benchmark for one curve, whatever their setup."""
    names = short_names(run.setup.checkpoint for run in runs)
    read, unread = read_all(runs)
    notes = list(map(str, unread))
    found: dict[tuple[str, str], list[CurvePoint]] = {}

    def add(benchmark: str, name: str, points: list[CurvePoint]) -> None:
        """Add a curve, with a number where another one has its name: these are not mixed."""
        numbered = (f"{name} ({number})" for number in count(2))
        free = (one for one in chain([name], numbered) if (benchmark, one) not in found)
        found[benchmark, next(free)] = points

    for run, outcomes in read:
        weights = run.setup.weights(names[run.setup.checkpoint])
        name = " ".join(filter(None, (weights, run.setup.prompt_style, run.setup.method)))
        for rule, fewer in (_points_by_samples(outcomes) if outcomes else {}).items():
            add(run.benchmark, f"{name}, {rule}", fewer)
        if outcomes and (points := anytime_points(run, outcomes)):
            add(run.benchmark, name, points)
        elif points := _single_point(run, outcomes):
            found.setdefault((run.benchmark, "all runs" if join else name), []).extend(points)
        else:
            notes.append(f"{run.results_path}: {run.task} has no token counts, so no point")
    curves = [
        Curve(name, benchmark, tuple(sorted(points, key=lambda point: point.mean_tokens)))
        for (benchmark, name), points in found.items()
    ]
    return curves, notes
