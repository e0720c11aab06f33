"""Two runs of a benchmark, paired by document: is one better, on which problems, for how much?"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lm_eval_tts.errors import DataError
from lm_eval_tts.results import statistics
from lm_eval_tts.results.documents import Outcomes, common_documents, read_outcomes
from lm_eval_tts.results.leaderboard_text import written
from lm_eval_tts.results.runs import Run, newest_of_each_task
from lm_eval_tts.results.statistics import CONFIDENCE, FEWEST_FLIPS, Array, Interval

# What is compared beside accuracy: heading, metric, how it is written.
FIGURES = (
    ("tokens", "total_tokens", "count"),
    ("thinking tokens", "thinking_tokens", "count"),
    ("sampled tokens", "sampled_tokens", "count"),
    ("in format", "format_strict", "share"),
    ("loops", "loop", "share"),
    ("cut off", "truncated", "share"),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric of both runs, its difference B - A, and the 95 % interval of that."""

    heading: str
    form: str
    a: float
    b: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs on the `num_docs` documents that both have.

    accuracy: of both, and the difference. p_value: two-sided, see `paired_p_value`. exact: whether
    it is McNemar's. gained, lost: labels of the documents that B has better, worse. only_a,
    only_b: how many documents only one has.
    """

    a: Run
    b: Run
    num_docs: int
    accuracy: Figure
    p_value: float
    exact: bool
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    figures: tuple[Figure, ...]
    only_a: int
    only_b: int

    @property
    def significant(self) -> bool:
        """Whether the data can tell the two apart."""
        return self.p_value < 1 - CONFIDENCE

    @property
    def verdict(self) -> str:
        """What the data say, in one or two plain sentences."""
        change = 100 * (self.accuracy.b - self.accuracy.a)
        if self.significant:
            word = "better" if change > 0 else "worse"
            return f"B is {word} by {abs(change):.1f} points (p = {self.p_value:.2g})."
        need = 100 * FEWEST_FLIPS / self.num_docs
        return (
            f"The data cannot tell A and B apart (p = {self.p_value:.2g}): of {self.num_docs} "
            f"problems one is {100 / self.num_docs:.1f} points, and at least {FEWEST_FLIPS} must "
            f"flip, all one way ({need:.1f} points), before any difference is significant."
        )


def match_runs(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Return the pairs to compare: of the same task, else of a benchmark's only two tasks.

    Raises DataError where nothing matches, or one side has several setups for a task.
    """
    a, b = newest_of_each_task("A", runs_a), newest_of_each_task("B", runs_b)
    pairs = []
    for run in a.values():
        near = [other for other in b.values() if other.benchmark == run.benchmark]
        if run.task in b or len(near) == 1:
            pairs.append((run, b.get(run.task) or near[0]))
    if not pairs:
        raise DataError(f"no task is in both: A has {', '.join(a)}; B has {', '.join(b)}")
    return pairs


def compare(a: Run, b: Run) -> Comparison:
    """Compare two runs. Raises DataError if one has no samples, or they share no document."""
    outcomes_a, outcomes_b = _outcomes(a), _outcomes(b)
    places_a, places_b = common_documents(outcomes_a, outcomes_b)
    if not len(places_a):
        raise DataError(
            f"{a.samples_path} and {b.samples_path} have no document in common: other data, or "
            "another order of the options"
        )
    left, right = outcomes_a.metrics[a.metric][places_a], outcomes_b.metrics[b.metric][places_b]
    labels = [outcomes_a.labels[place] for place in places_a]
    difference = right - left
    return Comparison(
        a=a,
        b=b,
        num_docs=len(left),
        accuracy=_figure("accuracy", "share", left, right),
        p_value=statistics.paired_p_value(left, right),
        exact=statistics.is_binary(left) and statistics.is_binary(right),
        gained=tuple(label for label, d in zip(labels, difference, strict=True) if d > 0),
        lost=tuple(label for label, d in zip(labels, difference, strict=True) if d < 0),
        figures=tuple(
            _figure(heading, form, outcomes_a.metrics[m][places_a], outcomes_b.metrics[m][places_b])
            for heading, m, form in FIGURES
            if m in outcomes_a.metrics and m in outcomes_b.metrics
        ),
        only_a=len(outcomes_a.documents) - len(left),
        only_b=len(outcomes_b.documents) - len(left),
    )


def _outcomes(run: Run) -> Outcomes:
    outcomes, problems = read_outcomes(run)
    if outcomes is None:
        reason = f": {problems[0]}" if problems else "; run lm_eval with --log_samples"
        raise DataError(f"{run.name} ({run.results_path}) has no samples to pair{reason}")
    return outcomes


def _figure(heading: str, form: str, a: Array, b: Array) -> Figure:
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    if not len(a):
        return Figure(heading, form, math.nan, math.nan, statistics.UNDEFINED)
    interval = (
        statistics.bootstrap_interval(b - a)
        if form == "share" or np.any(a != b)
        else Interval(0.0, 0.0)
    )
    return Figure(heading, form, float(a.mean()), float(b.mean()), interval)


def to_markdown(comparison: Comparison, num_listed: int = 20) -> str:
    """Return the comparison as text that reads well on a terminal and in Markdown."""
    a, b = comparison.a, comparison.b
    test = "exact McNemar" if comparison.exact else "paired t-test over problems"
    lines = [
        f"## {a.benchmark}: {comparison.num_docs} problems",
        "",
        f"- A: {_named(a)}",
        f"- B: {_named(b)}",
        "",
        "| | A | B | B − A (95 % interval) |",
        "|---|---|---|---|",
        *(_line(figure) for figure in (comparison.accuracy, *comparison.figures)),
        "",
        f"{comparison.verdict} ({test}; intervals: paired bootstrap over problems.)",
        "",
        _flips("B gains", comparison.gained, num_listed),
        _flips("B loses", comparison.lost, num_listed),
    ]
    if comparison.only_a or comparison.only_b:
        lines += [
            "",
            f"Left out: {comparison.only_a} problems only in A, {comparison.only_b} only in B.",
        ]
    changed = differing_settings(a, b)
    if changed:
        lines += ["", f"Also different: {'; '.join(changed)}."]
    return "\n".join(lines) + "\n"


def differing_settings(a: Run, b: Run) -> list[str]:
    """Return what makes two runs of a benchmark differ beside what they are meant to compare."""
    pairs = (
        ("task version", a.task_version, b.task_version),
        ("grader version", a.grader, b.grader),
        ("metric", f"{a.metric},{a.filter}", f"{b.metric},{b.filter}"),
        ("few-shot examples", a.num_fewshot, b.num_fewshot),
    )
    return [f"{name} {x} and {y}" for name, x, y in pairs if x != y]


def _named(run: Run) -> str:
    setup = run.setup
    adapter = f" + {setup.adapter}" if setup.adapter else ""
    told = (setup.prompt_style, setup.strategy or setup.model, setup.settings_text)
    return f"{setup.checkpoint}{adapter} ({', '.join(t for t in told if t)})"


def _line(figure: Figure) -> str:
    share = figure.form == "share"
    scale, unit = (100, " points") if share else (1, "")
    low, high = figure.interval
    change = (
        f"{scale * (figure.b - figure.a):+.1f}{unit} ({scale * low:+.1f} to {scale * high:+.1f})"
    )
    if not share and figure.a:
        change += f", {100 * (figure.b / figure.a - 1):+.0f}%"
    return (
        f"| {figure.heading} | {written(figure.a, figure.form)} | {written(figure.b, figure.form)} "
        f"| {change} |"
    )


def _flips(heading: str, labels: Sequence[str], num_listed: int) -> str:
    listed = ", ".join(labels[:num_listed])
    more = f" and {len(labels) - num_listed} more" if len(labels) > num_listed else ""
    return f"{heading} {len(labels)} problems{': ' if labels else ''}{listed}{more}."


def to_json(comparisons: Sequence[Comparison]) -> str:
    """Return comparisons as JSON, all flipped problems named; undefined figures are null."""
    return json.dumps([_record(c) for c in comparisons], indent=2, ensure_ascii=False) + "\n"


def _record(comparison: Comparison) -> dict[str, Any]:
    figures = {f.heading: _plain(f) for f in (comparison.accuracy, *comparison.figures)}
    return {
        "benchmark": comparison.a.benchmark,
        "a": str(comparison.a.results_path),
        "b": str(comparison.b.results_path),
        "n": comparison.num_docs,
        "figures": figures,
        "p_value": comparison.p_value,
        "test": "McNemar, exact" if comparison.exact else "paired t",
        "verdict": comparison.verdict,
        "gained": comparison.gained,
        "lost": comparison.lost,
    }


def _plain(figure: Figure) -> dict[str, float | None]:
    values = {
        "a": figure.a,
        "b": figure.b,
        "low": figure.interval.low,
        "high": figure.interval.high,
    }
    return {name: None if math.isnan(value) else value for name, value in values.items()}
