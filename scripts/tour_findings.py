"""What the tour says of each finding: arrays of measured values in, a claim with its interval out.

A value is per document, and arrays that are compared are of the same documents in the same order.
Knows no model and runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lm_eval_tts.results.statistics import (
    ConfidenceInterval,
    bootstrap_interval,
    matched_interval,
    proportion_interval,
    ratio_interval,
)

Array = NDArray[np.float64]


class Figure(NamedTuple):
    """A number, its 95 % interval, and how it is said: "points" of a difference of shares (times
    100), "%" of a share or a ratio (times 100), or "" as it is."""

    name: str
    value: float
    interval: ConfidenceInterval
    unit: str = "points"

    def __str__(self) -> str:
        times = 100 if self.unit in ("points", "%") else 1
        value, low, high = (times * number for number in (self.value, *self.interval))
        sign = "+" if self.unit == "points" else ""
        unit = f" {self.unit}" if self.unit == "points" else self.unit
        return f"{self.name} {value:{sign}.1f}{unit} ({low:{sign}.1f} to {high:{sign}.1f})"


class Finding(NamedTuple):
    """What research found, what was measured here, and whether it is seen."""

    number: int
    claim: str
    figures: Sequence[Figure]
    seen: bool

    def __str__(self) -> str:
        said = "; ".join(map(str, self.figures))
        return f"{self.number:>2}. {'SEEN' if self.seen else 'not seen'}: {self.claim}. {said}"


def share(name: str, scores: Array) -> Figure:
    """Return a mean score with Wilson's interval."""
    return Figure(name, float(scores.mean()), proportion_interval(scores), "%")


def gain(name: str, before: Array, after: Array) -> Figure:
    """Return the paired difference of mean scores."""
    differences = after - before
    binary = bool(np.isin(differences, (-1, 0, 1)).all())
    interval = (matched_interval if binary else bootstrap_interval)(differences)
    return Figure(name, float(differences.mean()), interval)


def ratio(name: str, before: Array, after: Array) -> Figure:
    """Return how much `after` is of `before`, as a share."""
    return Figure(name, float(after.mean() / before.mean()), ratio_interval(before, after), "%")


def rises(figure: Figure, least: float = 0.0) -> bool:
    """Say whether a gain is there beyond chance, and is at least this large."""
    return figure.interval.low > 0 and figure.value >= least


def slope(name: str, budgets: Sequence[int], scores: Sequence[Array]) -> Figure:
    """Return what a doubling of the budget adds: the least-squares slope of each document's scores
    over the logarithm of the budget, averaged."""
    x = np.log2(budgets) - np.mean(np.log2(budgets))
    slopes = x @ np.array(scores) / (x @ x)
    return Figure(name, float(slopes.mean()), bootstrap_interval(slopes))


def straightness(budgets: Sequence[int], scores: Sequence[Array]) -> float:
    """Return R squared of a straight line through mean scores over the logarithm of the budget."""
    means = [float(values.mean()) for values in scores]
    return float(np.corrcoef(np.log2(budgets), means)[0, 1] ** 2)


def budget_scaling(curve: Mapping[int, Array]) -> Finding:
    """Finding 1: accuracy rises with the logarithm of the thinking budget, then flattens.
    curve: scores at each budget, each twice the one before; the last doubling is the flat one."""
    *rising, before_last, last = sorted(curve)
    risen = [*rising, before_last]
    scores = [curve[budget] for budget in risen]
    each = slope(f"a doubling from {risen[0]} to {risen[-1]} tokens adds", risen, scores)
    flat = gain(f"from {before_last} to {last}", curve[before_last], curve[last])
    line = straightness(risen, scores)
    claim = f"accuracy rises with log(thinking budget), R2 {line:.2f}, then flattens"
    seen = len(risen) > 4 and rises(each) and line > 0.9 and flat.value < each.value / 2
    return Finding(1, claim, [each, flat], seen)


def waiting(trained: Sequence[Array], untrained: Sequence[Array]) -> Finding:
    """Finding 2: "Wait" helps a policy that was trained to check itself, and not another one.
    trained, untrained: scores after 0, 1, 2 ... waits."""
    first = gain("first wait", trained[0], trained[1])
    later = gain("later waits", trained[1], trained[-1])
    other = gain("first wait of one that was not", untrained[0], untrained[1])
    seen = rises(first, 0.03) and later.value < first.value / 2 and not rises(other)
    claim = '"Wait" raises accuracy where checking was trained, and flattens'
    return Finding(2, claim, [first, later, other], seen)


class Styled(NamedTuple):
    """Scores and tokens of a prompt style."""

    scores: Array
    tokens: Array


def drafts(cot: Styled, cod: Styled, standard: Styled) -> Finding:
    """Finding 3: chain of draft saves tokens at hardly any loss; without working it gets worse."""
    tokens = ratio("tokens of drafts", cot.tokens, cod.tokens)
    loss = gain("drafts", cot.scores, cod.scores)
    none = gain("no working", cod.scores, standard.scores)
    seen = tokens.interval.high < 0.6 and loss.value >= -0.03 and none.interval.high < 0
    claim = "chain of draft takes at most 60 % of the tokens at no more than 3 points less"
    return Finding(3, claim, [tokens, loss, none], seen)


class Policy(NamedTuple):
    """What a policy gets right and what that takes, of each document."""

    scores: Array
    cost: Array  # tokens or FLOPs
    in_format: Array


def formatting(base: Array, sft: Policy, hot: Policy) -> Finding:
    """Finding 4: SFT teaches the format, and at ten times the learning rate accuracy is lost.
    base: whether each response of it is in the format."""
    figures = [share("base in format", base), share("SFT in format", sft.in_format)]
    lost = gain("right answers at ten times the rate", sft.scores, hot.scores)
    seen = base.mean() < 0.2 and sft.in_format.mean() > 0.95 and lost.interval.high < 0
    claim = "SFT teaches the format; ten times its learning rate breaks the policy"
    return Finding(4, claim, [*figures, share("in format there", hot.in_format), lost], seen)


def reinforcement(sft: Policy, grpo: Policy, hacked: Policy) -> Finding:
    """Finding 5: GRPO gains accuracy or saves tokens; a bad reward is hacked, which shows."""
    gained, tokens = gain("GRPO", sft.scores, grpo.scores), ratio("tokens", sft.cost, grpo.cost)
    fallen = gain("by form alone", sft.scores, hacked.scores)
    form = share("of which in format", hacked.in_format)
    saved = gained.value >= 0 and tokens.interval.high < 0.8
    caught = fallen.interval.high < 0 and form.value > 0.95
    claim = "GRPO gains 4 points or saves a fifth of the tokens; a reward of form alone is hacked"
    return Finding(
        5, claim, [gained, tokens, fallen, form], (rises(gained, 0.04) or saved) and caught
    )


def votes(majority: Mapping[int, Array], best: Array, weighted: Array) -> Finding:
    """Finding 6: a majority rises with n, and the reward model's choice beats the largest one.
    majority: scores at each n; best, weighted: best-of-N at the largest n."""
    sizes = sorted(majority)
    rise = slope("a doubling of n adds", sizes, [majority[n] for n in sizes])
    beats = gain(f"best of {sizes[-1]} over the majority", majority[sizes[-1]], best)
    also = gain("weighted over best", best, weighted)
    seen = rises(rise) and rises(beats) and also.interval.high >= 0
    claim = "votes rise with n, and the reward model's best beats them"
    return Finding(6, claim, [rise, beats, also], seen)


class Searched(NamedTuple):
    """Scores of best-of-N and of beam search at the same n, of the same documents."""

    best_of_n: Array
    beam: Array


def search(
    hard: Searched,
    easy: Searched,
    large: Searched,
    widest: tuple[Array, Array],
    distinct: tuple[Array, Array],
) -> Finding:
    """Finding 7: for a small policy that slips often beam search beats best-of-N at equal n on hard
    problems and not on easy ones, nor for a large policy; its candidates are less diverse, and DVTS
    leads at the largest n.
    large: the same on hard problems, of the large policy. widest: scores of beam search and of DVTS
    at the largest n. distinct: answers of the candidates of best-of-N and of beam search."""
    names = "beam search on hard problems", "on easy ones", "on hard ones, of the large policy"
    gains = [gain(name, *scores) for name, scores in zip(names, (hard, easy, large), strict=True)]
    leads = gain("DVTS over beam search at the largest n", *widest)
    fewer = ratio("distinct answers", *distinct)
    pays_where_due = rises(gains[0]) and gains[1].value < gains[0].interval.low
    seen = pays_where_due and not rises(gains[2]) and rises(leads) and fewer.interval.high < 1
    claim = "beam search pays for a small policy on hard problems alone, and costs diversity"
    return Finding(7, claim, [*gains, leads, fewer], seen)


def choosing(chosen: Array, fixed: Mapping[str, Array], probes: float) -> Finding:
    """Finding 8: the choice by difficulty is no worse than any fixed strategy.
    probes: the share of its tokens that went into finding out the difficulty."""
    best = max(fixed, key=lambda name: float(fixed[name].mean()))
    figures = [gain(f"over {name}", scores, chosen) for name, scores in fixed.items()]
    seen = bool(chosen.mean() >= fixed[best].mean())
    claim = f"the compute-optimal choice is at least as good as each ({probes:.0%} are probes)"
    return Finding(8, claim, figures, seen)


def small_beats_large(small: Policy, large: Policy, greedy: Array) -> Finding:
    """Finding 9: the small policy with search beats the large one without, at fewer FLOPs; both
    sample. greedy: what the large one gets right without sampling, to see beside it."""
    better = gain("small with search over large", large.scores, small.scores)
    flops = ratio("of its FLOPs", large.cost, small.cost)
    figures = [better, flops, share("large, greedy", greedy)]
    claim = "a policy a tenth of the size, with search, beats a sample of the larger one"
    return Finding(9, claim, figures, rises(better) and flops.interval.high < 1)


def overthinking(untrained: Sequence[Array], scores: Array, cut: Array) -> Finding:
    """Finding 10: waits hurt a policy that cannot check; what is cut reads as inability.
    untrained: scores after 0, 1 ... waits. scores, cut: under a limit, and whether it cut them."""
    hurt = gain("waiting, of one that cannot check", untrained[0], untrained[-1])
    figures = [hurt, share("right under a limit", scores), share("cut by it", cut)]
    finished = scores[cut == 0]
    figures += [share("right of what it did not cut", finished)] if len(finished) else []
    seen = hurt.interval.high < 0 and figures[-1].interval.low > figures[1].interval.high
    return Finding(10, "thinking on can hurt, and truncation reads as inability", figures, seen)
