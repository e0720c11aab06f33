"""Runs to points of accuracy against tokens: one per run, or one for each budget it answered at."""

import math
from dataclasses import dataclass

import numpy as np

from lm_eval_tts.core.metrics import METRIC
from lm_eval_tts.results import statistics
from lm_eval_tts.results.documents import Outcomes
from lm_eval_tts.results.runs import Run
from lm_eval_tts.results.statistics import Array, ConfidenceInterval

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
        return float(np.nanmean(self.tokens))

    @property
    def score(self) -> float:
        """The mean score, in [0, 1]."""
        return float(np.nanmean(self.scores))

    @property
    def score_interval(self) -> ConfidenceInterval:
        """The 95 % interval of the score; undefined for a mean alone."""
        if not self.documents:
            return statistics.UNDEFINED
        return statistics.proportion_interval(self.scores, self.repeats)

    @property
    def accuracy(self) -> float:
        """The mean score in per cent."""
        return 100 * self.score

    @property
    def interval(self) -> ConfidenceInterval:
        """The 95 % interval of the accuracy, in per cent."""
        low, high = self.score_interval
        return ConfidenceInterval(100 * low, 100 * high)

    @property
    def share_within(self) -> float:
        """Share of documents within the limit; NaN without a limit or documents."""
        if self.limit is None or not self.documents:
            return math.nan
        recorded = self.tokens[~np.isnan(self.tokens)]
        return float((recorded <= self.limit).mean()) if len(recorded) else math.nan


def anytime_points(run: Run, outcomes: Outcomes) -> list[CurvePoint]:
    """Return the points of an anytime run, by tokens: `exact_match@256`, `exact_match@wait1` ..."""
    found = []
    for name, scores in outcomes.metrics.items():
        metric, _, label = name.partition("@")
        tokens = outcomes.metrics.get(f"{THINKING.name}@{label}")
        if metric == run.metric and label and tokens is not None:
            limit = _number(label) or _limit(run)
            known = outcomes.documents, outcomes.repeats, _mean(outcomes, f"{SAMPLED.name}@{label}")
            found.append(CurvePoint(label, THINKING.words, tokens, scores, limit, *known))
    return sorted(found, key=lambda point: point.mean_tokens)


def points_by_samples(outcomes: Outcomes) -> dict[str, list[CurvePoint]]:
    """Return the points at k = 1, 2, 4 ... of n samples for each rule of choice: `maj@4` ... k
    samples cost their share of all n, which are what the run has sampled."""
    found: dict[str, list[CurvePoint]] = {}
    chosen = [(n, *n.split("@")) for n in outcomes.metrics if is_choice(n)]
    sizes = [int(k) for _, rule, k in chosen if rule == "pass"]
    cost = outcomes.metrics.get(SAMPLED.name)
    if not sizes or cost is None:
        return {}
    cost = cost * outcomes.repeats  # of all repeats, where these are the samples
    for name, rule, k in chosen:
        tokens, scores = cost * int(k) / max(sizes), outcomes.metrics[name]
        mean = float(np.nanmean(tokens))
        point = CurvePoint(k, SAMPLED.words, tokens, scores, None, outcomes.documents, cost=mean)
        found.setdefault(rule, []).append(point)
    return found


def is_choice(metric: str) -> bool:
    """Whether a metric says what a rule of choice scores with k samples: maj@4, weighted_bon@8."""
    rule, _, k = metric.partition("@")
    return k.isdecimal() and (rule in ("pass", "maj") or "bon" in rule.split("_"))


def single_point(run: Run, outcomes: Outcomes | None) -> list[CurvePoint]:
    """Return the one point of a run, none without token counts. Where nothing was thought, all
    tokens count; where a response was chosen among candidates, what was sampled for them all."""
    chosen = outcomes is not None and "coverage" in outcomes.metrics
    label, limit = _label(run), _limit(run)
    for cost in (SAMPLED,) if chosen else (THINKING, TOTAL):
        if outcomes and np.nansum(outcomes.metrics.get(cost.name, 0)):
            tokens, scores = outcomes.metrics[cost.name], outcomes.metrics[run.metric]
            known = outcomes.documents, outcomes.repeats, _mean(outcomes, SAMPLED.name)
            return [CurvePoint(label, cost.words, tokens, scores, limit, *known)]
        if outcomes is None and run.metrics.get(cost.name):
            means = np.array([run.metrics[cost.name]]), np.array([run.accuracy])
            sampled = run.metrics.get(SAMPLED.name, math.nan)
            return [CurvePoint(label, cost.words, *means, limit, cost=sampled)]
    return []


def _mean(outcomes: Outcomes, metric: str) -> float:
    values = outcomes.metrics.get(metric)
    return math.nan if values is None or np.isnan(values).all() else float(np.nanmean(values))


def _limit(run: Run) -> float | None:
    """Return the limit on thinking tokens that the settings set or the prompt asked for."""
    settings = dict(run.setup.settings)
    found = (tokens * (_number(settings.get(name, "")) or 0) for name, tokens in _LIMITS.items())
    return next((limit for limit in found if limit), None)


def _label(run: Run) -> str:
    limit, waits = _limit(run), dict(run.setup.settings).get("num_waits")
    said = [f"{limit:.0f}" if limit else "", f"{waits} waits" if waits else ""]
    return ", ".join(text for text in said if text) or run.setup.checkpoint.rpartition("/")[2]


def _number(text: str) -> float | None:
    return float(text) if text.isdecimal() else None
