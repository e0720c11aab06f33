"""Two runs of a benchmark, paired by document: is one better, on which problems, at what cost?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lm_eval_tts.core.metrics import COSTS, METRIC, Metric
from lm_eval_tts.errors import DataError
from lm_eval_tts.results import statistics
from lm_eval_tts.results.formats import figure_text, inline, json_text, markdown_table
from lm_eval_tts.results.runs import Run, one_of_each_task
from lm_eval_tts.results.samples import Outcomes, common_documents, paired, read_outcomes
from lm_eval_tts.results.statistics import Array, ConfidenceInterval

# Accuracy first, whatever metric it is of a run, then the costs.
_ORDER = [METRIC[name] for name in dict.fromkeys(("accuracy", *COSTS, *METRIC))]
COMPARED = tuple(metric for metric in _ORDER if metric.compared)


class Difference(NamedTuple):
    """A metric of both runs, and its difference B - A."""

    metric: Metric
    a: float
    b: float
    interval: ConfidenceInterval  # of the difference, 95 %


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs on the documents that both have."""

    a: Run
    b: Run
    num_docs: int  # that both have
    figures: tuple[Difference, ...]  # of COMPARED
    p_value: float  # of the accuracy, two-sided, see `paired_p_value`
    exact: bool  # whether it is McNemar's
    gained: tuple[str, ...]  # labels of the documents that B has better
    lost: tuple[str, ...]  # labels of the documents that B has worse
    only_a: int  # documents that only A has
    only_b: int  # documents that only B has

    @property
    def verdict(self) -> str:
        """What the data say, in one or two plain sentences."""
        accuracy = self.figures[0]
        if self.p_value < 1 - statistics.CONFIDENCE:
            change = 100 * (accuracy.b - accuracy.a)
            word = "better" if change > 0 else "worse"
            return f"B is {word} by {abs(change):.1f} points (p = {self.p_value:.2g})."
        fewest, one = statistics.FEWEST_FLIPS, 100 / self.num_docs
        return (
            f"The data cannot tell A and B apart (p = {self.p_value:.2g}): of {self.num_docs} "
            f"problems one is {one:.1f} points, and at least {fewest} must flip, all one way "
            f"({fewest * one:.1f} points), before any difference is significant."
        )


def match_runs(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Return the pairs to compare: of the same task, else of a benchmark's only two tasks. Raises
    DataError where nothing matches, or one side has several setups for a task."""
    a, b = one_of_each_task("A", runs_a), one_of_each_task("B", runs_b)
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
    both = outcomes_a, outcomes_b = _outcomes(a), _outcomes(b)
    places_a, places_b = common_documents(*both)
    if not len(places_a):
        raise DataError(
            f"{a.samples_path} and {b.samples_path} have no document in common: other data, or "
            "another order of the options"
        )
    changes = outcomes_b.metrics[b.metric][places_b] - outcomes_a.metrics[a.metric][places_a]
    labels = [(outcomes_a.labels[p], change) for p, change in zip(places_a, changes, strict=True)]
    names = {m: (a.metric, b.metric) if m.name == "accuracy" else (m.name,) * 2 for m in COMPARED}
    values = {
        m: paired(*both, x, y)
        for m, (x, y) in names.items()
        if x in outcomes_a.metrics and y in outcomes_b.metrics
    }
    scores = values[COMPARED[0]]
    return Comparison(
        a=a,
        b=b,
        num_docs=len(labels),
        figures=tuple(_difference(metric, *some) for metric, some in values.items()),
        p_value=statistics.paired_p_value(*scores),
        exact=all(map(statistics.is_binary, scores)),
        gained=tuple(label for label, change in labels if change > 0),
        lost=tuple(label for label, change in labels if change < 0),
        only_a=len(outcomes_a.documents) - len(labels),
        only_b=len(outcomes_b.documents) - len(labels),
    )


def _outcomes(run: Run) -> Outcomes:
    outcomes, unread = read_outcomes(run)
    if outcomes is None:
        reason = f": {unread[0]}" if unread else "; run lm_eval with --log_samples"
        raise DataError(f"{run.name} ({run.results_path}) has no samples to pair{reason}")
    return outcomes


def _difference(metric: Metric, a: Array, b: Array) -> Difference:
    interval = ConfidenceInterval(0.0, 0.0)
    if metric.unit == "share" or np.any(a != b) or not len(a):
        interval = statistics.bootstrap_interval(b - a)
    return Difference(metric, statistics.known_mean(a), statistics.known_mean(b), interval)


def comparison_markdown(comparison: Comparison, num_listed: int = 20) -> str:
    """Return the comparison as text that reads well on a terminal and in Markdown."""
    a, b, setups = comparison.a, comparison.b, []
    for run in (a, b):
        said = (run.setup.prompt_style, run.setup.method, run.setup.settings_text)
        setups.append(f"{run.setup.weights()} ({', '.join(filter(None, said))})")
    flips = []
    for heading, labels in (("B gains", comparison.gained), ("B loses", comparison.lost)):
        listed = inline(", ".join(labels[:num_listed]))
        more = f" and {len(labels) - num_listed} more" if len(labels) > num_listed else ""
        flips.append(f"{heading} {len(labels)} problems{': ' if labels else ''}{listed}{more}.\n")
    test = "exact McNemar" if comparison.exact else "paired t-test over problems"
    parts = [
        f"## {inline(a.benchmark)}: {comparison.num_docs} problems\n",
        f"- A: {inline(setups[0])}\n- B: {inline(setups[1])}\n",
        markdown_table([["", "A", "B", "B − A (95 % interval)"], *map(_line, comparison.figures)]),
        f"{comparison.verdict} ({test}; intervals: paired bootstrap over problems.)\n",
        "".join(flips),
    ]
    only = f"{comparison.only_a} problems only in A, {comparison.only_b} only in B"
    if comparison.only_a or comparison.only_b:
        parts.append(f"Left out: {only}.\n")
    if changed := [
        f"{n} {x} and {b.measure[n]}" for n, x in a.measure.items() if x != b.measure[n]
    ]:
        parts.append(f"Also different: {inline('; '.join(changed))}.\n")
    return "\n".join(parts)


def _line(figure: Difference) -> list[str]:
    unit = figure.metric.unit
    scale, points = (100, " points") if unit == "share" else (1, "")
    low, high = figure.interval
    change = f"{scale * (figure.b - figure.a):+.1f}{points}"
    change += f" ({scale * low:+.1f} to {scale * high:+.1f})"
    if unit != "share" and figure.a:
        change += f", {100 * (figure.b / figure.a - 1):+.0f}%"
    return [figure.metric.compared, *(figure_text(x, unit) for x in (figure.a, figure.b)), change]


def comparisons_json(comparisons: Sequence[Comparison]) -> str:
    """Return comparisons as JSON, all flipped problems named; undefined figures are null."""
    return json_text([_record(comparison) for comparison in comparisons])


def _record(c: Comparison) -> dict[str, Any]:
    figures = {f.metric.compared: {"a": f.a, "b": f.b, **f.interval._asdict()} for f in c.figures}
    return {
        "benchmark": c.a.benchmark,
        "a": str(c.a.results_path),
        "b": str(c.b.results_path),
        "n": c.num_docs,
        "figures": figures,
        "p_value": c.p_value,
        "test": "McNemar, exact" if c.exact else "paired t",
        "verdict": c.verdict,
        "gained": c.gained,
        "lost": c.lost,
    }
