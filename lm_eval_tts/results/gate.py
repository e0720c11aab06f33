"""Has a change made a model worse? A run against a baseline, paired by document.

Three answers, so that noise is neither an alarm nor a pass. A check

- passed if a loss beyond its margin is ruled out (a non-inferiority test: the one-sided 95 % bound
  of the loss is within the margin), or if no document changed at all;
- regressed if the run is significantly worse and it did not pass (one-sided; the 5 % are shared
  among a run's checks by Bonferroni, so a run without a change raises an alarm at most that often);
- is undecided otherwise.

Passing all checks needs no correction: each must pass (an intersection-union test, Berger 1982)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from lm_eval_tts.core.metrics import GATED, Metric
from lm_eval_tts.errors import DataError, SettingsError, unknown_name
from lm_eval_tts.results import statistics
from lm_eval_tts.results.baseline import RecordedRun, record_run
from lm_eval_tts.results.documents import paired, read_outcomes
from lm_eval_tts.results.files import UnreadFile, first_of_each_file
from lm_eval_tts.results.runs import Run, one_of_each_task
from lm_eval_tts.results.statistics import Array

ALPHA = 0.05
Status = Literal["passed", "regressed", "undecided"]
Recorded = Mapping[str, RecordedRun]  # by task
Rules = Mapping[str, Metric]  # by check
EXIT_CODES: Mapping[Status, int] = {"passed": 0, "regressed": 1, "undecided": 2}
# What makes outcomes incomparable where it changed, see `Run.measure`; other changes are named, for
# they may be what is being tested.
MUST_MATCH = ("task version", "grader version", "metric", "few-shot examples")


class GateCheck(NamedTuple):
    """The outcome of one check, in a plain sentence."""

    task: str
    name: str
    status: Status
    sentence: str


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """All checks of a run, and what changed besides the outcomes."""

    checks: tuple[GateCheck, ...]
    changes: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """Regressed if any check is; else undecided if any is, or if there is none."""
        found = {check.status for check in self.checks}
        if "regressed" in found:
            return "regressed"
        return "undecided" if "undecided" in found or not found else "passed"


def read_margins(given: Sequence[str]) -> dict[str, Metric]:
    """Return the rules with margins from texts like `accuracy=0.02`; `loops=off` drops a check.
    Raises SettingsError for an unknown check or a margin that is not a number >= 0."""
    rules = dict(GATED)
    for text in given:
        name, _, value = text.partition("=")
        if name not in GATED:
            raise unknown_name("check", name, GATED)
        if value == "off":
            rules.pop(name, None)
            continue
        try:
            rules[name] = replace(GATED[name], margin=float(value))
        except ValueError:
            rules[name] = replace(GATED[name], margin=math.nan)
        if not 0 <= rules[name].margin < 100:
            raise SettingsError(
                f"--margin {text}: it is name=share, for example {name}={GATED[name].margin}, "
                f"or {name}=off"
            )
    return rules


def record_runs(runs: Sequence[Run]) -> tuple[dict[str, RecordedRun], list[UnreadFile]]:
    """Return what runs did, by task, and what was wrong with their samples. Raises DataError where
    no run has samples."""
    found: dict[str, RecordedRun] = {}
    unread: list[UnreadFile] = []
    metrics = [metric.name for metric in GATED.values()]
    for task, run in one_of_each_task("the results", runs).items():
        outcomes, some = read_outcomes(run)
        unread += some
        if outcomes is None:
            reason = f"{task} has no samples to pair: run lm_eval with --log_samples"
            unread.append(UnreadFile(run.results_path, reason))
        else:
            found[task] = record_run(run, outcomes, metrics)
    unread = first_of_each_file(unread)
    if not found:
        raise DataError("; ".join(map(str, unread)))
    return found, unread


def judge(baseline: Recorded, now: Recorded, rules: Rules) -> GateVerdict:
    """Check each task of a baseline."""
    checks: list[GateCheck] = []
    new = [task for task in now if task not in baseline]
    changes = [f"{task} is not in the baseline: not checked" for task in new]
    num_checks = sum(len(_applied(before, rules)) for before in baseline.values())
    for task, before in baseline.items():
        if task not in now:
            checks.append(GateCheck(task, "task", "undecided", "it is not among the results"))
            continue
        changes += [f"{task}: {change}" for change in changed(before, now[task])]
        checks += _check_task(before, now[task], rules, max(num_checks, 1))
    return GateVerdict(tuple(checks), tuple(changes))


def _applied(before: RecordedRun, rules: Rules) -> dict[str, Metric]:
    return {n: rule for n, rule in rules.items() if rule.name in before.outcomes.metrics}


def changed(before: RecordedRun, now: RecordedRun) -> list[str]:
    """Name what differs between the two configurations."""
    names = [n for n in before.fingerprint if n != "settings"]
    pairs = [(n, before.fingerprint[n], now.fingerprint.get(n)) for n in names]
    old, new = before.fingerprint.get("settings", {}), now.fingerprint.get("settings", {})
    pairs += [(n, old.get(n), new.get(n)) for n in sorted({*old, *new})]
    return [f"{n} changed from {_said(a)} to {_said(b)}" for n, a, b in pairs if a != b]


def _said(value: Any) -> str:
    return "none" if value is None else str(value)


def _check_task(
    before: RecordedRun, now: RecordedRun, rules: Rules, num_checks: int
) -> list[GateCheck]:
    if reason := _incomparable(before, now):
        return [GateCheck(before.task, "comparable", "undecided", reason)]
    checks = []
    for name, rule in _applied(before, rules).items():
        if rule.name not in now.outcomes.metrics:
            sentence = f"{rule.name} is in the baseline, but not in this run"
            checks.append(GateCheck(before.task, name, "undecided", sentence))
            continue
        a, b = paired(before.outcomes, now.outcomes, rule.name, rule.name)
        if len(a):
            decide = decide_ratio if rule.unit == "count" else decide_share
            status, sentence = decide(name, a, b, rule, ALPHA / num_checks)
            checks.append(GateCheck(before.task, name, status, sentence))
    return checks


def _incomparable(before: RecordedRun, now: RecordedRun) -> str | None:
    """Return why outcomes cannot be compared, or None."""
    for name in MUST_MATCH:
        a, b = before.fingerprint.get(name), now.fingerprint.get(name)
        if a != b:
            return (
                f"{name} changed from {_said(a)} to {_said(b)}: the outcomes cannot be compared; "
                "write a new baseline with --update"
            )
    if missing := len(set(before.outcomes.documents) - set(now.outcomes.documents)):
        return (
            f"{missing} of the baseline's {len(before.outcomes.documents)} problems are not in "
            "this run: other data, another order of options, or another --limit"
        )
    return None


def decide_share(name: str, a: Array, b: Array, rule: Metric, alpha: float) -> tuple[Status, str]:
    """Decide on a metric in [0, 1] by its paired difference; see the module for the rule.
    a, b: of shape (documents,), before and now. alpha: the chance of a false alarm."""
    loss = rule.sign * (a - b)
    said = f"{name} {100 * a.mean():.1f} % → {100 * b.mean():.1f} %"
    if not np.any(loss):
        return "passed", f"{said}: the same on all {len(a)} problems."
    mean, bound = float(loss.mean()), statistics.matched_interval(loss, 1 - 2 * ALPHA).high
    if bound <= rule.margin:
        return "passed", (
            f"{said}: a loss of more than {100 * rule.margin:.1f} points is ruled out "
            f"(95 % bound: {100 * bound:.1f})."
        )
    p_value = statistics.paired_p_value(a, b) / 2
    if mean > 0 and p_value <= alpha:
        return "regressed", (
            f"{said}: worse by {100 * mean:.1f} points, more than chance explains "
            f"(p = {p_value:.2g}, {len(a)} problems)."
        )
    return "undecided", (
        f"{said}: {len(a)} problems are too few to tell; the loss may be {100 * bound:.1f} points, "
        f"the margin is {100 * rule.margin:.1f}.{_needed(len(a), mean, bound, rule.margin)}"
    )


def decide_ratio(name: str, a: Array, b: Array, rule: Metric, alpha: float) -> tuple[Status, str]:
    """Decide on a mean by its ratio to the baseline's, less being better."""
    said = f"{name} {a.mean():.0f} → {b.mean():.0f} a problem"
    if np.array_equal(a, b):
        return "passed", f"{said}: the same on all {len(a)} problems."
    bound = statistics.ratio_interval(a, b, 1 - 2 * ALPHA).high - 1
    if bound <= rule.margin:
        return "passed", (
            f"{said}: a rise of more than {100 * rule.margin:.0f} % is ruled out "
            f"(95 % bound: {100 * bound:+.1f} %)."
        )
    ratio = float(b.mean() / a.mean()) if a.any() else float("inf")
    if statistics.ratio_interval(a, b, 1 - 2 * alpha).low > 1:
        return "regressed", (
            f"{said}: {100 * (ratio - 1):+.1f} %, more than chance explains "
            f"({len(a)} problems, margin {100 * rule.margin:.0f} %)."
        )
    return "undecided", (
        f"{said}: {len(a)} problems are too few to tell; the rise may be {100 * bound:.0f} %, the "
        f"margin is {100 * rule.margin:.0f} %.{_needed(len(a), ratio - 1, bound, rule.margin)}"
    )


def _needed(size: int, mean: float, bound: float, margin: float) -> str:
    """Say how many problems would decide, if the loss stayed what it is; "" if that is no help."""
    if mean >= margin or not np.isfinite(bound):
        return ""
    needed = size * ((bound - mean) / (margin - mean)) ** 2
    return f" About {needed:.0f} problems would decide at this difference."
