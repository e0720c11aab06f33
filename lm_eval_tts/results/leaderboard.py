"""Runs to a leaderboard: one row per checkpoint and strategy, one cell per benchmark.

Says what is comparable and who is significantly better; how it looks is told elsewhere
(`leaderboard_text`, `leaderboard_html`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from lm_eval_tts.results import statistics
from lm_eval_tts.results.documents import Outcomes, common_documents, read_outcomes
from lm_eval_tts.results.files import Problem, first_of_each_file
from lm_eval_tts.results.runs import Run, Setup
from lm_eval_tts.results.statistics import Array, Interval

# What a point of the plot may cost, and the metric that anytime points have of it.
COSTS = ("total_tokens", "thinking_tokens", "sampled_tokens")
# The columns beside accuracy: heading, metric, and how it is written.
COLUMNS = (
    ("thinking", "thinking_tokens", "count"),
    ("answer", "answer_tokens", "count"),
    ("tokens", "total_tokens", "count"),
    ("sampled", "sampled_tokens", "count"),
    ("format", "format_strict", "share"),
    ("loops", "loop", "share"),
    ("cut off", "truncated", "share"),
    ("cut thinking", "thinking_truncated", "share"),
    ("failed", "failed", "share"),
    ("calls", "engine_calls", "count"),
    ("seconds", "seconds", "seconds"),
)


class Point(NamedTuple):
    """The answer at one budget or wait of an anytime run. tokens: mean thinking tokens."""

    label: str
    tokens: float
    accuracy: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Cell:
    """A run as a leaderboard shows it.

    metrics: those of COLUMNS that are known. marks: why it is not comparable with the others of
    its benchmark; then it has no rank. fronts: the COSTS in which it is on the Pareto front.
    """

    run: Run
    outcomes: Outcomes | None
    interval: Interval
    metrics: Mapping[str, float]
    points: tuple[Point, ...] = ()
    marks: tuple[str, ...] = ()
    rank: int | None = None
    fronts: frozenset[str] = frozenset()
    pass_at: Mapping[int, float] = field(default_factory=dict)

    @property
    def num_docs(self) -> int | None:
        """How many documents were run."""
        return len(self.outcomes.documents) if self.outcomes else self.run.num_docs


class Row(NamedTuple):
    """A setup and its cell in each benchmark it was run on."""

    setup: Setup
    cells: Mapping[str, Cell]


class Leaderboard(NamedTuple):
    """Rows with the best first; benchmarks by name; notes on files and on what was left out."""

    rows: list[Row]
    benchmarks: list[str]
    notes: list[str]


def build(runs: Sequence[Run], problems: Sequence[Problem] = ()) -> Leaderboard:
    """Return the leaderboard of all runs; of equal ones the newest counts."""
    newest: dict[tuple[Setup, str], Run] = {}
    notes: list[str] = []
    for run in runs:
        key = (run.setup, run.task)
        if key in newest:
            notes.append(f"{newest[key].results_path}: a newer run of {run.name} is shown")
        newest[key] = run
    cells, unread = _cells(list(newest.values()))
    notes = [*map(str, first_of_each_file([*problems, *unread])), *notes]
    by_benchmark: dict[str, list[Cell]] = {}
    for cell in cells:
        by_benchmark.setdefault(cell.run.benchmark, []).append(cell)
    judged = [cell for some in by_benchmark.values() for cell in _judge(some)]
    return Leaderboard(_rows(judged), sorted(by_benchmark), notes)


def _cells(runs: Sequence[Run]) -> tuple[list[Cell], list[Problem]]:
    cells, problems = [], []
    for run in runs:
        outcomes, unread = read_outcomes(run)
        problems += unread
        cells.append(_cell(run, outcomes))
    return cells, problems


def _cell(run: Run, outcomes: Outcomes | None) -> Cell:
    metrics = {name: run.metrics[name] for _, name, _ in COLUMNS if name in run.metrics}
    if run.seconds is not None and run.num_tasks == 1:
        metrics["seconds"] = run.seconds
    if outcomes is None:
        interval = statistics.count_interval(run.accuracy, run.num_docs or 0)
        return Cell(run, None, interval, metrics)
    scores = outcomes.metrics[run.metric]
    return Cell(
        run=run,
        outcomes=outcomes,
        interval=statistics.proportion_interval(scores, outcomes.repeats),
        metrics=metrics,
        points=anytime_points(run, outcomes),
        pass_at=pass_at_powers(scores, outcomes.repeats),
    )


def anytime_points(run: Run, outcomes: Outcomes) -> tuple[Point, ...]:
    """Return the points of an anytime run (`exact_match@256` ...), by tokens."""
    points = []
    for name, scores in outcomes.metrics.items():
        metric, _, label = name.partition("@")
        tokens = outcomes.metrics.get(f"thinking_tokens@{label}")
        if metric == run.metric and label and tokens is not None:
            interval = statistics.proportion_interval(scores, outcomes.repeats)
            points.append(
                Point(label, float(np.nanmean(tokens)), float(np.nanmean(scores)), interval)
            )
    return tuple(sorted(points, key=lambda point: point.tokens))


def pass_at_powers(scores: Array, repeats: int) -> dict[int, float]:
    """Return mean pass@k for k = 1, 2, 4 ... repeats; nothing for a single sample."""
    powers = [2**i for i in range(repeats.bit_length())] if repeats > 1 else []
    return {
        k: float(np.nanmean(statistics.pass_at_k(repeats, scores * repeats, k)))
        for k in dict.fromkeys([*powers, *([repeats] if repeats > 1 else [])])
    }


def _judge(cells: Sequence[Cell]) -> list[Cell]:
    """Mark what is not comparable in one benchmark, and rank the rest."""
    marks = comparability(cells)
    places = [place for place, some in enumerate(marks) if not some]
    ranked = [cells[place] for place in places]
    rank_of = dict(zip(places, _rank(ranked), strict=True))
    fronts_of = dict(zip(places, _fronts(ranked), strict=True))
    return [
        replace(
            cell,
            marks=tuple(marks[place]),
            rank=rank_of.get(place),
            fronts=fronts_of.get(place, frozenset()),
        )
        for place, cell in enumerate(cells)
    ]


def comparability(cells: Sequence[Cell]) -> list[list[str]]:
    """Return for each cell what keeps it from being compared with most others, in words."""
    traits = [_traits(cell) for cell in cells]
    usual = {name: _most_common([t[name] for t in traits]) for name in traits[0]}
    marks = [
        [
            _mark(name, value, usual[name])
            for name, value in trait.items()
            if value is not None and usual[name] is not None and value != usual[name]
        ]
        for trait in traits
    ]
    no_share = ["its metric is not a share, so it is not ranked"]
    return [
        _without_echo(some) + ([] if 0 <= cell.run.accuracy <= 1 else no_share)
        for some, cell in zip(marks, cells, strict=True)
    ]


def _traits(cell: Cell) -> dict[str, object]:
    """Return what must be equal for two cells to be compared; None where it is not known."""
    run, outcomes = cell.run, cell.outcomes
    return {
        "limit": cell.num_docs,
        "problems": outcomes.question_fingerprint if outcomes else None,
        "options": outcomes.fingerprint if outcomes else None,
        "metric": run.metric,
        "version": run.task_version,
        "grader": run.grader,
    }


def _mark(name: str, value: object, usual: object) -> str:
    return {
        "limit": f"{value} problems, others {usual}",
        "problems": "other problems",
        "options": "other answers or options, or in another order",
        "metric": f"metric {value}, others {usual}",
        "version": f"task version {value}, others {usual}",
        "grader": f"grader version {value}, others {usual}",
    }[name]


def _without_echo(marks: list[str]) -> list[str]:
    """Leave out marks that follow from others: another limit means other problems, and so on."""
    if marks and " problems, others " in marks[0]:
        return [m for m in marks if m != "other problems" and not m.startswith("other answers")]
    if "other problems" in marks:
        return [m for m in marks if not m.startswith("other answers")]
    return marks


def _most_common(values: Sequence[object]) -> object:
    """Return the value that most have; of equally many, the largest: the newest, the longest."""
    counts = Counter(value for value in values if value is not None)
    if not counts:
        return None
    return max(counts, key=lambda value: (counts[value], _order(value)))


def _order(value: object) -> tuple[float, str]:
    return (float(value) if isinstance(value, (int, float)) else 0.0, str(value))


def _rank(cells: Sequence[Cell]) -> list[int]:
    size = len(cells)
    differences, p_values = np.zeros((size, size)), np.ones((size, size))
    for i in range(size):
        for j in range(i + 1, size):
            p_values[i, j] = p_values[j, i] = p_value(cells[i], cells[j])
            differences[i, j] = cells[j].run.accuracy - cells[i].run.accuracy
            differences[j, i] = -differences[i, j]
    return statistics.ranks(differences, p_values)


def p_value(a: Cell, b: Cell) -> float:
    """Return the p-value of equal accuracy: paired where both have samples, else by totals."""
    if a.outcomes and b.outcomes:
        places = common_documents(a.outcomes, b.outcomes)
        left = a.outcomes.metrics[a.run.metric][places[0]]
        right = b.outcomes.metrics[b.run.metric][places[1]]
        known = ~(np.isnan(left) | np.isnan(right))
        return statistics.paired_p_value(left[known], right[known])
    if a.num_docs and b.num_docs and max(a.run.accuracy, b.run.accuracy) <= 1:
        return statistics.unpaired_p_value(a.run.accuracy, a.num_docs, b.run.accuracy, b.num_docs)
    return 1.0


def _fronts(cells: Sequence[Cell]) -> list[frozenset[str]]:
    """Return for each cell in which COSTS no other beats it."""
    found: list[set[str]] = [set() for _ in cells]
    for cost in COSTS:
        places = [place for place, cell in enumerate(cells) if cell.metrics.get(cost)]
        costs = [cells[place].metrics[cost] for place in places]
        front = statistics.pareto_front(costs, [cells[place].run.accuracy for place in places])
        for place, on_front in zip(places, front, strict=True):
            if on_front:
                found[place].add(cost)
    return [frozenset(costs) for costs in found]


def _rows(cells: Sequence[Cell]) -> list[Row]:
    """Put the cells of a setup into one row; a second task of a benchmark gets a further one."""
    by_setup: dict[Setup, list[dict[str, Cell]]] = {}
    for cell in cells:
        some = by_setup.setdefault(cell.run.setup, [])
        free = next((row for row in some if cell.run.benchmark not in row), None)
        if free is None:
            free = {}
            some.append(free)
        free[cell.run.benchmark] = cell
    rows = [Row(setup, row) for setup, some in by_setup.items() for row in some]
    return sorted(rows, key=_best_first)


def _best_first(row: Row) -> tuple[float, float]:
    cells = row.cells.values()
    tokens = [c.metrics["total_tokens"] for c in cells if "total_tokens" in c.metrics]
    mean = sum(c.run.accuracy for c in cells) / len(cells)
    return (-mean, sum(tokens) / len(tokens) if tokens else math.inf)
