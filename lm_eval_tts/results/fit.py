"""A compute-optimal table from finished runs, with cross-validation.

Each run answered the same problems by one strategy. For every budget of samples and every bin of
difficulty the strategy with the best accuracy is chosen. What that gives is estimated by folds: the
problems of a fold are answered by what the other folds chose, so no problem chooses its own
strategy by its own result (Snell et al. 2024, arXiv:2408.03314, do so with two folds)."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import yaml

from lm_eval_tts.core.identity import problem_of
from lm_eval_tts.errors import DataError
from lm_eval_tts.results.files import SampleRow, UnreadFile
from lm_eval_tts.results.runs import Run
from lm_eval_tts.results.samples import own_rows
from lm_eval_tts.strategies.compute_optimal import BINS, agreement, bin_of, mean_reward
from lm_eval_tts.strategies.registry import names_within_n

# What of a run's settings goes into a rule; lengths and sampling stay with the task.
_OF_SEARCH = ("beam_width", "lookahead", "num_iterations", "filter_duplicates")
_OF_CHOICE = ("weighted", "score_by", "aggregation", "balance_temperature", "weight_temperature")
TABLE_SETTINGS = ("n", *_OF_SEARCH, *_OF_CHOICE)
Bins = Mapping[str, str]  # problem to bin of difficulty
Problems = Sequence[str]


@dataclass(frozen=True, slots=True)
class StrategyRun:
    """What a table may choose: a strategy, its settings, and what it did on each problem."""

    name: str  # for messages
    strategy: str
    settings: Mapping[str, Any]
    accuracy: Mapping[str, float]  # by problem
    tokens: Mapping[str, float]  # by problem
    n: int  # the budget in samples


Runs = Sequence[StrategyRun]


def read_rows(run: Run) -> Mapping[str, SampleRow]:
    """Return the rows of a run's samples file by problem. Raises DataError."""
    if run.samples_path is None:
        raise DataError(f"{run.results_path} has no samples file of {run.task} next to it")
    unread: list[UnreadFile] = []
    found = own_rows(run, unread)
    rows = {problem_of(row["doc"]): row for row in found if isinstance(row.get("doc"), dict)}
    if not rows:
        unread.append(UnreadFile(run.samples_path, "it has no rows of our tasks"))
    if unread:
        raise DataError(str(unread[0]))
    return rows


def read_strategy_runs(runs: Sequence[Run], benchmark: str) -> list[StrategyRun]:
    """Return the runs of a benchmark that a table can choose. Raises DataError if there is none."""
    strategies, found = names_within_n(), []
    for run in runs:
        strategy, said = run.setup.strategy, run.setup.settings
        if run.benchmark != benchmark or strategy is None or strategy not in strategies:
            continue
        settings = {k: yaml.safe_load(v) for k, v in said if k in TABLE_SETTINGS}
        if "n" not in settings:
            raise DataError(f"{run.results_path}: its settings do not say n; set it in the task")
        rows = read_rows(run)
        try:
            accuracy = {problem: float(row["exact_match"]) for problem, row in rows.items()}
            tokens = {problem: float(row["sampled_tokens"]) for problem, row in rows.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{run.samples_path}: a row without figures: {error!r}") from error
        name, n = str(run.results_path), int(settings["n"])
        found.append(StrategyRun(name, strategy, settings, accuracy, tokens, n))
    if not found:
        raise DataError(f"no run of {benchmark} by one of the strategies {', '.join(strategies)}")
    return found


def read_bins(baseline: Run, by: str) -> dict[str, str]:
    """Return the bin of each problem by the baseline's samples. by: one of ESTIMATES. Raises
    DataError."""
    rows = read_rows(baseline)
    try:
        return {problem: bin_of(_rate(row, by)) for problem, row in rows.items()}
    except (KeyError, ValueError, TypeError) as error:
        reason = f"no samples to estimate the difficulty by {by}: {error}"
        raise DataError(f"{baseline.samples_path} has {reason}") from error


def _rate(row: SampleRow, by: str) -> float:
    """Return an estimate of a problem's pass@1, as `difficulty_by` of compute_optimal."""
    if by == "oracle":
        return float(row["pass@1"])
    candidates, rates = row["answered"]["candidates"], []
    if by in ("agreement", "both"):
        rates.append(agreement([one["class"] for one in candidates]))
    if by in ("reward", "both"):
        rates.append(mean_reward([one["scores"]["reward"] for one in candidates]))
    return fmean(rates)


def common_problems(runs: Runs, bins: Bins) -> list[str]:
    """Return the problems of all runs in random order. Raises DataError if some lack any."""
    problems = set(bins)
    for run in runs:
        if lacking := problems ^ set(run.accuracy):
            raise DataError(
                f"{run.name} and the baseline differ in {len(lacking)} problems, such as "
                f"{min(lacking)!r}: all must have run the same ones"
            )
    return sorted(problems, key=lambda p: hashlib.sha256(p.encode()).digest())


def best_of_bins(runs: Runs, bins: Bins, problems: Problems) -> dict[str, StrategyRun]:
    """Return the run of each bin with the best accuracy on these problems, the cheaper one in a
    tie. A bin without a problem has the run that is best on all."""

    def best(some: Problems) -> StrategyRun:
        means = [
            (fmean(r.accuracy[p] for p in some), -fmean(r.tokens[p] for p in some)) for r in runs
        ]
        return runs[means.index(max(means))]

    return {name: best([p for p in problems if bins[p] == name] or problems) for name in BINS}


def cross_validated(
    runs: Runs, bins: Bins, problems: Problems, folds: int
) -> tuple[float, float, float]:
    """Return what a choice of runs by bins is worth on problems that it has not seen, as means over
    problems: the accuracy, its standard error (NaN for one problem), and the tokens."""
    answering: dict[str, StrategyRun] = {}
    for fold in range(folds):
        best = best_of_bins(runs, bins, [p for i, p in enumerate(problems) if i % folds != fold])
        answering |= {p: best[bins[p]] for p in problems[fold::folds]}
    right = [run.accuracy[p] for p, run in answering.items()]
    stderr = stdev(right) / math.sqrt(len(right)) if len(right) > 1 else math.nan
    return fmean(right), stderr, fmean(run.tokens[p] for p, run in answering.items())


def _by_budget(runs: Runs) -> dict[int, Runs]:
    budgets = sorted({run.n for run in runs}, reverse=True)
    return {budget: [run for run in runs if run.n <= budget] for budget in budgets}


def fit_report(runs: Runs, bins: Bins, problems: Problems, folds: int) -> list[str]:
    """Return the lines that say what the table is worth, next to one strategy for all problems."""
    counts = ", ".join(f"{sum(bins[p] == name for p in problems)} {name}" for name in BINS)
    lines = [
        f"{len(problems)} problems ({counts}), {len(runs)} runs, {folds} folds",
        "accuracy (standard error) and sampled tokens a problem, on problems not fitted to:",
    ]
    alike = dict.fromkeys(bins, next(iter(BINS)))
    for budget, within in _by_budget(runs).items():
        for name, by in (("by difficulty", bins), ("one strategy", alike)):
            accuracy, stderr, tokens = cross_validated(within, by, problems, folds)
            figures = f"{accuracy:.3f} ({stderr:.3f}), {tokens:.0f} tokens"
            lines.append(f"n <= {budget}, {name}: {figures}")
    return lines


def table_yaml(runs: Runs, bins: Bins, problems: Problems) -> str:
    """Return the YAML of a table fitted to all problems; bins of one choice share a rule."""
    text = "rules:\n"
    for budget, within in _by_budget(runs).items():
        shared: dict[str, list[str]] = {}
        chosen = best_of_bins(within, bins, problems)
        for name, run in chosen.items():
            shared.setdefault(run.name, []).append(name)
        for names in shared.values():
            run = chosen[names[0]]
            rule = {"min_n": budget, "difficulty": names, "strategy": run.strategy, **run.settings}
            flow = yaml.safe_dump(rule, default_flow_style=True, sort_keys=False, width=999)
            text += f"  - {flow}"
    return text
