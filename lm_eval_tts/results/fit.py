"""A compute-optimal table from finished runs, with cross-validation.

Each run answered the same problems by one strategy. For every budget of samples and every bin of
difficulty the strategy with the best accuracy is chosen. What that gives is estimated by folds: the
problems of a fold are answered by what the other folds chose, so no problem chooses its own
strategy by its own result (Snell et al. 2024, arXiv:2408.03314, do so with two folds)."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, stdev
from typing import Any, NamedTuple

import yaml

from lm_eval_tts.core.identity import problem_of
from lm_eval_tts.errors import DataError
from lm_eval_tts.results.documents import own_rows
from lm_eval_tts.results.files import SampleRow, UnreadFile
from lm_eval_tts.results.runs import Run
from lm_eval_tts.strategies.parts.table import BINS, agreement, bin_of, mean_reward
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

    @property
    def n(self) -> int:
        """The budget in samples."""
        return int(self.settings["n"])


Runs = Sequence[StrategyRun]
Assignment = Mapping[str, StrategyRun]  # problem to the run that answers it
Fit = Callable[[Problems], Assignment]  # by the problems that it may see


class Estimate(NamedTuple):
    """What a choice of runs is worth, as means over problems."""

    accuracy: float
    stderr: float  # of the accuracy; NaN for one problem
    tokens: float


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
    strategies = names_within_n()
    own = (run for run in runs if run.benchmark == benchmark)
    found = [_strategy_run(run) for run in own if run.setup.strategy in strategies]
    if not found:
        raise DataError(f"no run of {benchmark} by one of the strategies {', '.join(strategies)}")
    return found


def _strategy_run(run: Run) -> StrategyRun:
    settings = {k: yaml.safe_load(v) for k, v in run.setup.settings if k in TABLE_SETTINGS}
    if "n" not in settings:
        raise DataError(f"{run.results_path}: its settings do not say n; set it in the task")
    rows = read_rows(run)
    try:
        accuracy = {problem: float(row["exact_match"]) for problem, row in rows.items()}
        tokens = {problem: float(row["sampled_tokens"]) for problem, row in rows.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{run.samples_path}: a row without figures: {error!r}") from error
    return StrategyRun(str(run.results_path), str(run.setup.strategy), settings, accuracy, tokens)


def read_bins(baseline: Run, by: str) -> dict[str, str]:
    """Return the bin of each problem by the baseline's samples. by: see RATES. Raises DataError."""
    rows = read_rows(baseline)
    try:
        return {problem: bin_of(RATES[by](row)) for problem, row in rows.items()}
    except (KeyError, ValueError, TypeError) as error:
        reason = f"no samples to estimate the difficulty by {by}: {error}"
        raise DataError(f"{baseline.samples_path} has {reason}") from error


def _agreement(row: SampleRow) -> float:
    return agreement([candidate["class"] for candidate in row["answered"]["candidates"]])


def _reward(row: SampleRow) -> float:
    return mean_reward([each["scores"]["reward"] for each in row["answered"]["candidates"]])


# As `difficulty_by` of compute_optimal.
RATES: dict[str, Callable[[SampleRow], float]] = {
    "agreement": _agreement,
    "reward": _reward,
    "both": lambda row: (_agreement(row) + _reward(row)) / 2,
    "oracle": lambda row: float(row["pass@1"]),
}


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


def best_run(runs: Runs, problems: Problems) -> StrategyRun:
    """Return the run with the best accuracy on these problems, the cheaper one in a tie."""

    def rank(run: StrategyRun) -> tuple[float, float]:
        return fmean(run.accuracy[p] for p in problems), -fmean(run.tokens[p] for p in problems)

    return max(runs, key=rank)


def best_of_bins(runs: Runs, bins: Bins, problems: Problems) -> dict[str, StrategyRun]:
    """Return the best run of each bin on these problems. A bin without a problem has the run that
    is best on all."""
    members = {name: [p for p in problems if bins[p] == name] or problems for name in BINS}
    return {name: best_run(runs, some) for name, some in members.items()}


def by_difficulty(runs: Runs, bins: Bins, seen: Problems) -> Assignment:
    """Answer each problem by the run that is best on the seen ones of its bin."""
    chosen = best_of_bins(runs, bins, seen)
    return {problem: chosen[name] for problem, name in bins.items()}


def one_strategy(runs: Runs, bins: Bins, seen: Problems) -> Assignment:
    """Answer every problem by the run that is best on the seen ones."""
    return dict.fromkeys(bins, best_run(runs, seen))


def estimate(problems: Problems, answering: Assignment) -> Estimate:
    """Return what these problems would have, each answered by its run."""
    right = [answering[p].accuracy[p] for p in problems]
    stderr = stdev(right) / math.sqrt(len(right)) if len(right) > 1 else math.nan
    return Estimate(fmean(right), stderr, fmean(answering[p].tokens[p] for p in problems))


def cross_validated(problems: Problems, folds: int, fit: Fit) -> Estimate:
    """Return what a fit is worth on problems that it has not seen."""
    answering: dict[str, StrategyRun] = {}
    for fold in range(folds):
        fitted = fit([p for i, p in enumerate(problems) if i % folds != fold])
        answering |= {p: fitted[p] for p in problems[fold::folds]}
    return estimate(problems, answering)


def budgets(runs: Runs) -> list[int]:
    """Return the budgets of samples that were run, largest first."""
    return sorted({run.n for run in runs}, reverse=True)


def fit_report(runs: Runs, bins: Bins, problems: Problems, folds: int) -> list[str]:
    """Return the lines that say what the table is worth, next to one strategy for all problems."""
    counts = ", ".join(f"{sum(bins[p] == name for p in problems)} {name}" for name in BINS)
    lines = [
        f"{len(problems)} problems ({counts}), {len(runs)} runs, {folds} folds",
        "accuracy (standard error) and sampled tokens a problem, on problems not fitted to:",
    ]
    for budget in budgets(runs):
        within = [run for run in runs if run.n <= budget]
        for name, fit in (("by difficulty", by_difficulty), ("one strategy", one_strategy)):
            found = cross_validated(problems, folds, partial(fit, within, bins))
            figures = f"{found.accuracy:.3f} ({found.stderr:.3f}), {found.tokens:.0f} tokens"
            lines.append(f"n <= {budget}, {name}: {figures}")
    return lines


def table_rules(runs: Runs, bins: Bins, problems: Problems) -> list[dict[str, Any]]:
    """Return the rules fitted to all problems; bins with the same choice share a rule."""
    rules: list[dict[str, Any]] = []
    for budget in budgets(runs):
        shared: dict[str, list[str]] = {}
        chosen = best_of_bins([run for run in runs if run.n <= budget], bins, problems)
        for name, run in chosen.items():
            shared.setdefault(run.name, []).append(name)
        for names in shared.values():
            run = chosen[names[0]]
            rule = {"min_n": budget, "difficulty": names, "strategy": run.strategy}
            rules.append({**rule, **run.settings})
    return rules


def table_yaml(rules: Iterable[Mapping[str, Any]]) -> str:
    """Return the YAML of a table, one rule a line."""
    flow = partial(yaml.safe_dump, default_flow_style=True, sort_keys=False, width=999)
    return "rules:\n" + "".join(f"  - {flow(dict(rule))}" for rule in rules)
