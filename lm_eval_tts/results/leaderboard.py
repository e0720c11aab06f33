"""Runs to a leaderboard: one row per checkpoint and strategy, one cell per benchmark.

Says what is comparable and what is significantly better; how it looks is in `leaderboard_text` and
`leaderboard_html`."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, compress
from statistics import fmean
from typing import NamedTuple

import numpy as np

from lm_eval_tts.core.expectations import pass_at, sample_sizes
from lm_eval_tts.core.metrics import COSTS, METRICS
from lm_eval_tts.results import statistics
from lm_eval_tts.results.documents import Outcomes, paired, read_outcomes
from lm_eval_tts.results.files import UnreadFile, first_of_each_file
from lm_eval_tts.results.points import CurvePoint, anytime_points
from lm_eval_tts.results.runs import Run, keep_largest
from lm_eval_tts.results.setups import Setup
from lm_eval_tts.results.statistics import Array, ConfidenceInterval

COLUMNS = tuple(metric for metric in METRICS if metric.column)  # beside accuracy
# What is said of a cell that differs from most in a trait; the value and the usual one by default.
_MARKS = {
    "limit": "{} problems, others {}",
    "questions": "other problems",
    "documents": "other answers or options, or in another order",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A run as a leaderboard shows it."""

    run: Run
    outcomes: Outcomes | None
    interval: ConfidenceInterval  # of the accuracy
    metrics: Mapping[str, float]  # those of COLUMNS that are known
    points: tuple[CurvePoint, ...] = ()  # of an anytime run
    marks: tuple[str, ...] = ()  # why it cannot be compared with the others of its benchmark
    rank: int | None = None  # None where it cannot be compared
    fronts: frozenset[str] = frozenset()  # the COSTS in which it is on the Pareto front
    pass_at: Mapping[int, float] = field(default_factory=dict)  # by k

    @property
    def num_docs(self) -> int | None:
        """How many documents were run."""
        return len(self.outcomes.documents) if self.outcomes else self.run.num_docs

    @property
    def tokens(self) -> float:
        """What a problem cost, by the first of COSTS that is known; infinite where none is."""
        return next((self.metrics[cost] for cost in COSTS if cost in self.metrics), math.inf)


class LeaderboardRow(NamedTuple):
    """A setup and its cell in each benchmark it was run on."""

    setup: Setup
    cells: Mapping[str, Cell]


class Leaderboard(NamedTuple):
    """Rows with the best first; benchmarks by name; notes on files and on what was left out."""

    rows: list[LeaderboardRow]
    benchmarks: list[str]
    notes: list[str]


def build_leaderboard(runs: Sequence[Run], unread: Sequence[UnreadFile] = ()) -> Leaderboard:
    """Return the leaderboard of all runs; of equal ones the newest of the largest counts."""
    kept, notes = keep_largest(runs)
    unread = list(unread)
    by_benchmark: dict[str, list[Cell]] = {}
    for run in kept:
        outcomes, some = read_outcomes(run)
        unread += some
        by_benchmark.setdefault(run.benchmark, []).append(_cell(run, outcomes))
    judged = [cell for some in by_benchmark.values() for cell in _judge(some)]
    notes = [*map(str, first_of_each_file(unread)), *notes]
    return Leaderboard(_rows(judged), sorted(by_benchmark), notes)


def _cell(run: Run, outcomes: Outcomes | None) -> Cell:
    metrics = {m.name: run.metrics[m.name] for m in COLUMNS if m.name in run.metrics}
    if run.seconds is not None and run.num_tasks == 1:
        metrics["seconds"] = run.seconds
    if outcomes is None:
        interval = statistics.count_interval(run.accuracy, run.num_graded)
        return Cell(run, None, interval, metrics)
    scores = outcomes.metrics[run.metric]
    interval = statistics.proportion_interval(scores, outcomes.repeats)
    points, found = tuple(anytime_points(run, outcomes)), _pass_at(scores, outcomes.repeats)
    return Cell(run, outcomes, interval, metrics, points, pass_at=found)


def _pass_at(scores: Array, repeats: int) -> dict[int, float]:
    """Return mean pass@k by k; nothing for a single sample, or where samples are not right or wrong
    (tokens, partial credit)."""
    counts = scores[~np.isnan(scores)] * repeats
    are_counts = np.isclose(counts, counts.round()) & (counts >= 0) & (counts <= repeats)
    if repeats == 1 or not len(counts) or not are_counts.all():
        return {}
    return {
        k: float(np.mean([pass_at(repeats, count, k) for count in counts]))
        for k in sample_sizes(repeats)
    }


def _judge(cells: Sequence[Cell]) -> list[Cell]:
    """Mark what is not comparable in one benchmark, and rank the rest."""
    pairs = zip(cells, comparability(cells), strict=True)
    marked = [replace(cell, marks=tuple(marks)) for cell, marks in pairs]
    ranked = [cell for cell in marked if not cell.marks]
    places = zip(ranked, _rank(ranked), _fronts(ranked), strict=True)
    judged = iter([replace(cell, rank=rank, fronts=fronts) for cell, rank, fronts in places])
    return [cell if cell.marks else next(judged) for cell in marked]


def comparability(cells: Sequence[Cell]) -> list[list[str]]:
    """Return for each cell what keeps it from being compared with most others, in words. Those on
    the most problems set the measure, however many short trials there are."""
    traits = [_traits(cell) for cell in cells]
    most = max((cell.num_docs or 0 for cell in cells), default=0)
    largest = [t for t, cell in zip(traits, cells, strict=True) if (cell.num_docs or 0) == most]
    usual = {name: _most_common([t[name] for t in largest]) for name in traits[0]}
    return [_marks(cell, trait, usual) for cell, trait in zip(cells, traits, strict=True)]


def _traits(cell: Cell) -> dict[str, object]:
    """Return what must be equal for two cells to be compared; None where it is not known."""
    run, outcomes = cell.run, cell.outcomes
    return {
        "limit": cell.num_docs,
        "questions": outcomes.question_fingerprint if outcomes else None,
        "documents": outcomes.fingerprint if outcomes else None,
        "metric": run.metric,
        "task version": run.task_version,
        "grader version": run.grader,
    }


def _marks(cell: Cell, trait: Mapping[str, object], usual: Mapping[str, object]) -> list[str]:
    other = [n for n, v in trait.items() if None not in (v, usual[n]) and v != usual[n]]
    # Another limit means other problems, and these mean other answers: the first says it all.
    echoes = [name for name in other if name in _MARKS][1:]
    marks = [
        _MARKS.get(name, name + " {}, others {}").format(trait[name], usual[name])
        for name in other
        if name not in echoes
    ]
    share = 0 <= cell.run.accuracy <= 1
    return marks if share else [*marks, "its metric is not a share, so it is not ranked"]


def _most_common(values: Sequence[object]) -> object:
    """Return the value that most have; of equally many, the largest: the newest, the longest."""
    counts = Counter(value for value in values if value is not None)

    def order(value: object) -> tuple[int, float, str]:
        return counts[value], value if isinstance(value, int | float) else 0.0, str(value)

    return max(counts, key=order, default=None)


def _rank(cells: Sequence[Cell]) -> list[int]:
    accuracy = np.array([cell.run.accuracy for cell in cells])
    p_values = np.ones((len(cells), len(cells)))
    for i, j in combinations(range(len(cells)), 2):
        p_values[i, j] = p_values[j, i] = p_value(cells[i], cells[j])
    return statistics.ranks(accuracy[None, :] - accuracy[:, None], p_values)


def p_value(a: Cell, b: Cell) -> float:
    """Return the p-value of equal accuracy: paired where both have samples, else by totals."""
    if a.outcomes and b.outcomes:
        scores = paired(a.outcomes, b.outcomes, a.run.metric, b.run.metric)
        return statistics.paired_p_value(*scores)
    if a.num_docs and b.num_docs and max(a.run.accuracy, b.run.accuracy) <= 1:
        return statistics.unpaired_p_value(a.run.accuracy, a.num_docs, b.run.accuracy, b.num_docs)
    return 1.0


def _fronts(cells: Sequence[Cell]) -> list[frozenset[str]]:
    """Return for each cell in which COSTS no other beats it."""
    found: list[set[str]] = [set() for _ in cells]
    for cost in COSTS:
        known = [pair for pair in zip(cells, found, strict=True) if pair[0].metrics.get(cost)]
        costs = [cell.metrics[cost] for cell, _ in known]
        front = statistics.pareto_front(costs, [cell.run.accuracy for cell, _ in known])
        for _, on in compress(known, front):
            on.add(cost)
    return list(map(frozenset, found))


def _rows(cells: Sequence[Cell]) -> list[LeaderboardRow]:
    """Put the cells of a setup into one row; a second task of a benchmark gets a further one."""
    by_setup: dict[Setup, list[dict[str, Cell]]] = {}
    for cell in cells:
        some = by_setup.setdefault(cell.run.setup, [])
        free = next((row for row in some if cell.run.benchmark not in row), None)
        if free is None:
            some.append(free := {})
        free[cell.run.benchmark] = cell
    rows = [LeaderboardRow(setup, row) for setup, some in by_setup.items() for row in some]
    return sorted(rows, key=_best_first)


def _best_first(row: LeaderboardRow) -> tuple[float, float]:
    cells = row.cells.values()
    tokens = [cell.tokens for cell in cells if cell.tokens < math.inf] or [math.inf]
    return -fmean(cell.run.accuracy for cell in cells), fmean(tokens)
