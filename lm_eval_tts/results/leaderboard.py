"""Runs to a leaderboard: one row per checkpoint and strategy, one cell per benchmark.

Says what is comparable and what is significantly better; `leaderboard_report` says how it looks."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from lm_eval_tts.core.metrics import COSTS, METRICS
from lm_eval_tts.core.voting import pass_at, sample_sizes
from lm_eval_tts.results import statistics
from lm_eval_tts.results.curve import CurvePoint, anytime_points
from lm_eval_tts.results.files import UnreadFile
from lm_eval_tts.results.runs import Run, Setup, keep_largest
from lm_eval_tts.results.samples import Outcomes, fingerprint, paired, read_all
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
    points: tuple[CurvePoint, ...] = ()  # of an anytime run
    pass_at: Mapping[int, float] = field(default_factory=dict)  # by k
    marks: tuple[str, ...] = ()  # why it cannot be compared with the others of its benchmark
    rank: int | None = None  # None where it cannot be compared
    fronts: frozenset[str] = frozenset()  # the COSTS in which it is on the Pareto front

    @property
    def num_docs(self) -> int | None:
        """How many documents were run."""
        return len(self.outcomes.documents) if self.outcomes else self.run.num_docs

    @property
    def tokens(self) -> float:
        """What a problem cost, by the first of COSTS that is known; infinite where none is."""
        return next((self.run.metrics[c] for c in COSTS if c in self.run.metrics), math.inf)

    @property
    def traits(self) -> dict[str, Any]:
        """What must be equal for two cells to be compared; None where it is not known."""
        return {
            "limit": self.num_docs,
            "questions": self.outcomes and fingerprint(self.outcomes.questions),
            "documents": self.outcomes and fingerprint(self.outcomes.documents),
            "metric": self.run.metric,
            **{name: self.run.measure[name] for name in ("task version", "grader version")},
        }


class LeaderboardRow(NamedTuple):
    """A setup and its cell in each benchmark it was run on."""

    setup: Setup
    cells: Mapping[str, Cell]


class Leaderboard(NamedTuple):
    """Rows with the best first; benchmarks by name; notes on files and on what was left out."""

    rows: list[LeaderboardRow]
    benchmarks: list[str]
    notes: list[str]

    def ranked(self, benchmark: str) -> list[Cell]:
        """Return the cells of a benchmark: ranked ones by accuracy, then those that are marked."""
        cells = [row.cells[benchmark] for row in self.rows if benchmark in row.cells]
        return sorted(cells, key=lambda c: (c.rank is None, -c.run.accuracy, c.tokens))


def build_leaderboard(runs: Sequence[Run], unread: Sequence[UnreadFile] = ()) -> Leaderboard:
    """Return the leaderboard of all runs; of equal ones the newest of the largest counts."""
    kept, notes = keep_largest(runs)
    read, broken = read_all(kept)
    by_benchmark: dict[str, list[Cell]] = {}
    for run, outcomes in read:
        by_benchmark.setdefault(run.benchmark, []).append(_cell(run, outcomes))
    # The cells of a setup are a row; a second task of a benchmark gets a further one.
    by_setup: dict[Setup, list[dict[str, Cell]]] = {}
    for cell in (cell for cells in by_benchmark.values() for cell in _judged(cells)):
        rows = by_setup.setdefault(cell.run.setup, [])
        if not (free := next((row for row in rows if cell.run.benchmark not in row), None)):
            rows.append(free := {})
        free[cell.run.benchmark] = cell

    def order(row: LeaderboardRow) -> tuple[float, float]:
        tokens = [cell.tokens for cell in row.cells.values() if cell.tokens < math.inf]
        accuracy = fmean(cell.run.accuracy for cell in row.cells.values())
        return -accuracy, fmean(tokens or [math.inf])  # the best first, the cheaper of equals

    found = [LeaderboardRow(setup, row) for setup, rows in by_setup.items() for row in rows]
    notes = [*map(str, (*unread, *broken)), *notes]
    return Leaderboard(sorted(found, key=order), sorted(by_benchmark), notes)


def _cell(run: Run, outcomes: Outcomes | None) -> Cell:
    if outcomes is None:
        return Cell(run, None, statistics.count_interval(run.accuracy, run.num_graded))
    scores = outcomes.metrics[run.metric]
    interval = statistics.proportion_interval(scores, outcomes.repeats)
    points = tuple(anytime_points(run, outcomes))
    return Cell(run, outcomes, interval, points, _pass_at(scores, outcomes.repeats))


def _pass_at(scores: Array, repeats: int) -> dict[int, float]:
    """Return mean pass@k by k; nothing for one sample, or for tokens or partial credit."""
    counts = scores[~np.isnan(scores)] * repeats
    are_counts = np.isclose(counts, counts.round()) & (counts >= 0) & (counts <= repeats)
    if repeats == 1 or not len(counts) or not are_counts.all():
        return {}
    return {
        k: float(np.mean([pass_at(repeats, count, k) for count in counts]))
        for k in sample_sizes(repeats)
    }


def _judged(cells: Sequence[Cell]) -> Iterator[Cell]:
    """Yield the cells of a benchmark: those that are not comparable marked, the others ranked."""
    marks = _marks(cells)
    ranked = [cell for cell, some in zip(cells, marks, strict=True) if not some]
    accuracy = np.array([cell.run.accuracy for cell in ranked])
    p_values = np.ones((len(ranked), len(ranked)))
    for i, j in combinations(range(len(ranked)), 2):
        p_values[i, j] = p_values[j, i] = _p_value(ranked[i], ranked[j])
    ranks = iter(statistics.ranks(accuracy[None, :] - accuracy[:, None], p_values))
    fronts = {}  # for each of COSTS, which of the ranked no other beats
    for name in COSTS:
        costs = [cell.run.metrics.get(name) or math.inf for cell in ranked]
        fronts[name] = iter(statistics.pareto_front(costs, accuracy.tolist()))
    for cell, some in zip(cells, marks, strict=True):
        if some:
            yield replace(cell, marks=tuple(some))
        else:
            best = frozenset(name for name, front in fronts.items() if next(front))
            yield replace(cell, rank=next(ranks), fronts=best)


def _marks(cells: Sequence[Cell]) -> list[list[str]]:
    """Return for each cell what keeps it from being compared with most others, in words. Those on
    the most problems set the measure, however many short trials there are."""
    traits = [cell.traits for cell in cells]
    most = max(cell.num_docs or 0 for cell in cells)
    largest = [t for t, cell in zip(traits, cells, strict=True) if (cell.num_docs or 0) == most]
    usual = {name: _most_common([trait[name] for trait in largest]) for name in traits[0]}
    found = []
    for cell, trait in zip(cells, traits, strict=True):
        other = [n for n, v in trait.items() if None not in (v, usual[n]) and v != usual[n]]
        # Another limit means other problems, and these mean other answers: the first says it all.
        echoes = [name for name in other if name in _MARKS][1:]
        marks = [
            _MARKS.get(name, name + " {}, others {}").format(trait[name], usual[name])
            for name in other
            if name not in echoes
        ]
        if not 0 <= cell.run.accuracy <= 1:
            marks.append("its metric is not a share, so it is not ranked")
        found.append(marks)
    return found


def _most_common(values: Sequence[Any]) -> Any:
    """Return the value that most have; of equally many, the largest: the newest, the longest."""
    counts = Counter(value for value in values if value is not None).items()
    ordered = ((n, v if isinstance(v, int | float) else 0.0, str(v), v) for v, n in counts)
    return max(ordered, default=[None])[-1]


def _p_value(a: Cell, b: Cell) -> float:
    """Return the p-value of equal accuracy: paired where both have samples, else by totals."""
    if a.outcomes and b.outcomes:
        scores = paired(a.outcomes, b.outcomes, a.run.metric, b.run.metric)
        return statistics.paired_p_value(*scores)
    if a.num_docs and b.num_docs:
        return statistics.unpaired_p_value(a.run.accuracy, a.num_docs, b.run.accuracy, b.num_docs)
    return 1.0
