"""`lm-eval-tts fit`: a compute-optimal table from finished runs, with cross-validation.

    lm-eval-tts fit results/ --baseline results/maj/results_2026-01-31T12-00-00.json -o table.yaml

Each run answered the same problems by one strategy. For every budget of samples and every bin of
difficulty the strategy with the best accuracy is chosen. What that gives is estimated by folds: the
problems of a fold are answered by what the other folds chose, so no problem chooses its own
strategy by its own result (Snell et al. 2024, arXiv:2408.03314, do so with two folds).
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from typing import Any, NamedTuple

import yaml

from lm_eval_tts.core.difficulty import BINS, agreement, bin_of
from lm_eval_tts.errors import DataError, SettingsError
from lm_eval_tts.results.files import Problem as FileProblem
from lm_eval_tts.results.files import read_samples
from lm_eval_tts.results.runs import Run, load_runs, require_runs

STRATEGIES = ("self_consistency", "best_of_n", "beam", "dvts", "rebase", "particle")
# What of a run's settings goes into a rule; lengths and sampling stay with the task.
SETTINGS = (
    *("n", "beam_width", "weighted", "score_by", "aggregation", "lookahead", "num_iterations"),
    *("balance_temperature", "weight_temperature", "filter_duplicates"),
)
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Option:
    """What a table may choose: a strategy, its settings, and what it did on each problem.

    name: for messages. accuracy, tokens: by problem.
    """

    name: str
    strategy: str
    settings: Mapping[str, Any]
    accuracy: Mapping[str, float]
    tokens: Mapping[str, float]

    @property
    def n(self) -> int:
        """The budget in samples."""
        return int(self.settings["n"])


class Figure(NamedTuple):
    """A mean over problems with its standard error (NaN for one problem), and mean tokens."""

    accuracy: float
    stderr: float
    tokens: float


Choice = dict[str, Option]  # of each bin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `fit` takes."""
    parser.add_argument("results", nargs="+", help="results_*.json files, or folders of them")
    parser.add_argument(
        "--baseline",
        required=True,
        help="results file of independent samples that tell the difficulty (a *_maj run, say)",
    )
    parser.add_argument(
        "--difficulty-by",
        choices=sorted(RATES),
        default="agreement",
        help="agreement of the baseline's answers, their mean reward, both (the mean of the two), "
        "or the oracle: its pass@1, which takes the reference",
    )
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validation, >= 2")
    parser.add_argument("-o", "--output", type=Path, help="YAML file to write for table=")


def run(args: argparse.Namespace) -> int:
    """Fit, print what the table is worth, and write it. Returns the exit code 0."""
    baseline = require_runs(load_runs([args.baseline]))[-1]
    bins = read_bins(baseline, args.difficulty_by)
    runs = read_options(require_runs(load_runs(args.results)), baseline.benchmark)
    problems = common_problems(runs, bins)
    if not 2 <= args.folds <= len(problems):
        raise SettingsError(f"--folds {args.folds}: allowed is 2 to {len(problems)}, the problems")
    lines = report(runs, bins, problems, args.folds)
    print("\n".join(lines))
    if args.output:
        rules = table_rules(runs, bins, problems)
        header = "".join(f"# {line}\n" for line in lines)
        args.output.write_text(header + dump(rules), encoding="utf-8")
        print(f"written: {args.output}, for strategy=compute_optimal,table={args.output}")
    return 0


def read_rows(run: Run) -> Mapping[str, Row]:
    """Return the rows of a run's samples file by problem. Raises DataError."""
    if run.samples_path is None:
        raise DataError(f"{run.results_path} has no samples file of {run.task} beside it")
    rows: dict[str, Row] = {}
    for row in read_samples(run.samples_path):
        if isinstance(row, FileProblem):
            raise DataError(str(row))
        doc = row.get("doc")
        if row.get("filter", run.filter) == run.filter and isinstance(doc, dict):
            rows[str(doc.get("id") or doc.get("question"))] = row
    if not rows:
        raise DataError(f"{run.samples_path} has no rows of our tasks")
    return rows


def read_options(runs: Sequence[Run], benchmark: str) -> list[Option]:
    """Return the runs of a benchmark that a table can choose. Raises DataError if there is none."""
    options = [
        _option(run, {k: yaml.safe_load(v) for k, v in run.setup.settings if k in SETTINGS})
        for run in runs
        if run.benchmark == benchmark and run.setup.strategy in STRATEGIES
    ]
    if not options:
        raise DataError(f"no run of {benchmark} by one of the strategies {', '.join(STRATEGIES)}")
    return options


def _option(run: Run, settings: Mapping[str, Any]) -> Option:
    if "n" not in settings:
        raise DataError(f"{run.results_path}: its settings do not tell n; set it in the task")
    rows = read_rows(run)
    try:
        accuracy = {problem: float(row["exact_match"]) for problem, row in rows.items()}
        tokens = {problem: float(row["sampled_tokens"]) for problem, row in rows.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{run.samples_path}: a row without figures: {error!r}") from error
    return Option(str(run.results_path), str(run.setup.strategy), settings, accuracy, tokens)


def read_bins(baseline: Run, by: str) -> dict[str, str]:
    """Return the bin of each problem by the baseline's samples. Raises DataError."""
    try:
        return {problem: bin_of(RATES[by](row)) for problem, row in read_rows(baseline).items()}
    except (KeyError, ValueError, TypeError) as error:
        where = baseline.samples_path
        raise DataError(
            f"{where} has no samples to tell the difficulty by {by}: {error}"
        ) from error


def _pass_rate(row: Row) -> float:
    return float(row["pass@1"])


def _agreement(row: Row) -> float:
    return agreement([candidate["class"] for candidate in row["answered"]["candidates"]])


def _reward(row: Row) -> float:
    scores = [candidate["scores"]["reward"] for candidate in row["answered"]["candidates"]]
    known = [score for score in scores if score is not None]
    return _mean(known) if known else 0.0


# As `difficulty_by` of compute_optimal.
RATES: dict[str, Callable[[Row], float]] = {
    "agreement": _agreement,
    "reward": _reward,
    "both": lambda row: (_agreement(row) + _reward(row)) / 2,
    "oracle": _pass_rate,
}


def common_problems(runs: Sequence[Option], bins: Mapping[str, str]) -> list[str]:
    """Return the problems of all runs in an order by chance. Raises DataError if some lack any."""
    problems = set(bins)
    for each in runs:
        if lacking := problems ^ set(each.accuracy):
            raise DataError(
                f"{each.name} and the baseline differ in {len(lacking)} problems, such as "
                f"{min(lacking)!r}: all must have run the same ones"
            )
    return sorted(problems, key=lambda p: hashlib.sha256(p.encode()).digest())


def choose(runs: Sequence[Option], bins: Mapping[str, str], problems: Sequence[str]) -> Choice:
    """Return the best run of each bin on these problems, the cheaper one where two are alike.

    A bin without a problem has the run that is best on all.
    """
    members = {name: [p for p in problems if bins[p] == name] or problems for name in BINS}
    return {name: best(runs, some) for name, some in members.items()}


def best(runs: Sequence[Option], problems: Sequence[str]) -> Option:
    """Return the run with the best accuracy on these problems, the cheaper one in a tie."""

    def rank(each: Option) -> tuple[float, float]:
        return _mean(each.accuracy[p] for p in problems), -_mean(each.tokens[p] for p in problems)

    return max(runs, key=rank)


def figure(problems: Sequence[str], run_of: Callable[[str], Option]) -> Figure:
    """Return what these problems would have if each were answered by `run_of`."""
    right = [run_of(p).accuracy[p] for p in problems]
    stderr = stdev(right) / math.sqrt(len(right)) if len(right) > 1 else math.nan
    tokens = _mean(run_of(p).tokens[p] for p in problems)
    return Figure(_mean(right), stderr, tokens)


def cross_validated(
    problems: Sequence[str], folds: int, fit: Callable[[list[str]], Callable[[str], Option]]
) -> Figure:
    """Return what a fit is worth on problems that it has not seen."""
    fitted = [
        fit([p for i, p in enumerate(problems) if i % folds != fold]) for fold in range(folds)
    ]
    run_of = {p: fitted[i % folds](p) for i, p in enumerate(problems)}
    return figure(problems, run_of.__getitem__)


def budgets(runs: Sequence[Option]) -> list[int]:
    """Return the budgets of samples that were run, largest first."""
    return sorted({each.n for each in runs}, reverse=True)


def report(
    runs: Sequence[Option], bins: Mapping[str, str], problems: Sequence[str], folds: int
) -> list[str]:
    """Return the lines that say what the table is worth, beside one strategy for all problems."""
    counts = ", ".join(f"{sum(bins[p] == name for p in problems)} {name}" for name in BINS)
    lines = [
        f"{len(problems)} problems ({counts}), {len(runs)} runs, {folds} folds",
        "accuracy (standard error) and sampled tokens a problem, on problems not fitted to:",
    ]
    for budget in budgets(runs):
        within = [each for each in runs if each.n <= budget]

        def by_bin(seen: list[str], within: list[Option] = within) -> Callable[[str], Option]:
            chosen = choose(within, bins, seen)
            return lambda problem: chosen[bins[problem]]

        def one(seen: list[str], within: list[Option] = within) -> Callable[[str], Option]:
            chosen = best(within, seen)
            return lambda problem: chosen

        for name, fit in (("by difficulty", by_bin), ("one strategy", one)):
            accuracy, stderr, tokens = cross_validated(problems, folds, fit)
            lines.append(
                f"n <= {budget}, {name}: {accuracy:.3f} ({stderr:.3f}), {tokens:.0f} tokens"
            )
    return lines


def table_rules(
    runs: Sequence[Option], bins: Mapping[str, str], problems: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the rules fitted to all problems; bins with the same choice share a rule."""
    rules = []
    for budget in budgets(runs):
        chosen = choose([each for each in runs if each.n <= budget], bins, problems)
        for run_name in dict.fromkeys(each.name for each in chosen.values()):
            shared = [name for name, each in chosen.items() if each.name == run_name]
            each = chosen[shared[0]]
            rules.append(
                {
                    "min_n": budget,
                    "difficulty": shared,
                    "strategy": each.strategy,
                    **each.settings,
                }
            )
    return rules


def dump(rules: Sequence[Mapping[str, Any]]) -> str:
    """Return the YAML of a table, one rule a line."""
    lines = [
        yaml.safe_dump(dict(r), default_flow_style=True, sort_keys=False, width=999) for r in rules
    ]
    return "rules:\n" + "".join(f"  - {line}" for line in lines)


def _mean(values: Iterable[float]) -> float:
    each = list(values)
    return math.fsum(each) / len(each)
