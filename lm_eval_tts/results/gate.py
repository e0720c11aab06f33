"""Has a change made a model worse? A run against a baseline, paired by document.

Three answers, so that noise is neither an alarm nor a pass. A check

- passed if a loss beyond its margin is ruled out (a non-inferiority test: the one-sided 95 % bound
  of the loss is within the margin), or if no document changed at all;
- regressed if the run is significantly worse and it did not pass (one-sided; the 5 % are shared
  among a run's checks by Bonferroni, so a run without a change raises an alarm at most that often);
- is undecided otherwise.

Passing all checks needs no correction: each must pass (an intersection-union test, Berger 1982)."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.etree import ElementTree

import numpy as np

from lm_eval_tts.core.metrics import GATED, Metric
from lm_eval_tts.errors import DataError, SettingsError, looked_up
from lm_eval_tts.results import statistics
from lm_eval_tts.results.baseline import RecordedRun
from lm_eval_tts.results.formats import inline, markdown_table, printable
from lm_eval_tts.results.samples import Outcomes, paired
from lm_eval_tts.results.statistics import Array

ALPHA = 0.05
Status = Literal["passed", "regressed", "undecided"]
Recorded = Mapping[str, RecordedRun]  # by task
Rules = Mapping[str, Metric]  # by check
Outcome = tuple[str, Status, str]  # of a check: its name, and what it says
EXIT_CODES: Mapping[Status, int] = {"passed": 0, "regressed": 1, "undecided": 2}
# What makes outcomes incomparable where it changed, see `Run.measure`; other changes are named, for
# they may be what is being tested.
MUST_MATCH = ("task version", "grader version", "metric", "few-shot examples")
SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
_HEADLINES = {
    "passed": "Passed: no check found a loss beyond its margin.",
    "regressed": "Regressed.",
    "undecided": "Undecided: the data can neither rule out a loss nor show one.",
}
# In JUnit a regression is a failure, an undecided check an error.
_JUNIT: dict[Status, str] = {"regressed": "failure", "undecided": "error"}


class GateCheck(NamedTuple):
    """The outcome of one check, in a plain sentence."""

    task: str
    name: str
    status: Status
    sentence: str


class GateVerdict(NamedTuple):
    """All checks of a run, and what changed besides the outcomes."""

    checks: tuple[GateCheck, ...]
    changes: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """Regressed if any check is; else undecided if any is, or if there is none."""
        worst: Sequence[Status] = ("regressed", "undecided", "passed")
        return min((c.status for c in self.checks), key=worst.index, default="undecided")


def read_margins(given: Sequence[str]) -> dict[str, Metric]:
    """Return the rules with margins from texts like `accuracy=0.02`; `loops=off` drops a check.
    Raises SettingsError for an unknown check or a margin that is not a number >= 0."""
    rules = dict(GATED)
    for text in given:
        name, _, value = text.partition("=")
        rule = looked_up("check", name, GATED)
        if value == "off":
            rules.pop(name, None)
            continue
        with suppress(ValueError):
            if 0 <= float(value) < 100:
                rules[name] = replace(rule, margin=float(value))
                continue
        raise SettingsError(
            f"--margin {text}: it is name=share, for example {name}={rule.margin}, or {name}=off"
        )
    return rules


def judge(baseline: Recorded, now: Recorded, rules: Rules) -> GateVerdict:
    """Check each task of a baseline."""
    applied = {
        task: {n: rule for n, rule in rules.items() if rule.name in before.outcomes.metrics}
        for task, before in baseline.items()
    }
    alpha = ALPHA / max(sum(map(len, applied.values())), 1)
    checks: list[GateCheck] = []
    changes = [
        f"{task} is not in the baseline: not checked" for task in now if task not in baseline
    ]
    for task, before in baseline.items():
        found: Iterable[Outcome] = [("task", "undecided", "it is not among the results")]
        if task in now:
            changed = dict(_changed(before.fingerprint, now[task].fingerprint))
            changes += [f"{task}: {change}" for change in changed.values()]
            found = _check_task(before.outcomes, now[task].outcomes, changed, applied[task], alpha)
        checks += [GateCheck(task, *outcome) for outcome in found]
    return GateVerdict(tuple(checks), tuple(changes))


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what differs between two fingerprints, by name."""
    settings, newer = old.get("settings", {}), new.get("settings", {})
    pairs = [(n, old.get(n), new.get(n)) for n in dict.fromkeys((*MUST_MATCH, *old))]
    pairs += [(n, settings.get(n), newer.get(n)) for n in sorted({*settings, *newer})]
    for name, *values in pairs:
        if values[0] != values[1] and name != "settings":
            was, is_now = ("none" if value is None else value for value in values)
            yield name, f"{name} changed from {was} to {is_now}"


def _check_task(
    before: Outcomes, now: Outcomes, changed: Mapping[str, str], rules: Rules, alpha: float
) -> Iterator[Outcome]:
    if unlike := next((changed[name] for name in MUST_MATCH if name in changed), None):
        advice = "the outcomes cannot be compared; write a new baseline with --update"
        yield "comparable", "undecided", f"{unlike}: {advice}"
        return
    if missing := len(set(before.documents) - set(now.documents)):
        lost = f"{missing} of the baseline's {len(before.documents)} problems are not in this run"
        why = "other data, another order of options, or another --limit"
        yield "comparable", "undecided", f"{lost}: {why}"
        return
    for name, rule in rules.items():
        if rule.name not in now.metrics:
            yield name, "undecided", f"{rule.name} is in the baseline, but not in this run"
            continue
        a, b = paired(before, now, rule.name, rule.name)
        if len(a):
            yield name, *decide(name, a, b, rule, alpha)


def decide(name: str, a: Array, b: Array, rule: Metric, alpha: float) -> tuple[Status, str]:
    """Decide on a metric, of a share by its paired difference, of a count by the ratio of its means
    (less being better); see the module for the rule.
    a, b: of shape (documents,), before and now. alpha: the chance of a false alarm."""
    size, margin, is_count = len(a), rule.margin, rule.unit == "count"
    before, now = float(a.mean()), float(b.mean())
    share = f"{100 * before:.1f} % → {100 * now:.1f} %"
    said = f"{name} {f'{before:.0f} → {now:.0f} a problem' if is_count else share}"
    if np.array_equal(a, b):
        return "passed", f"{said}: the same on all {size} problems."
    if is_count:
        unit, word, test = " %", "rise", ""
        loss = now / before - 1 if before else math.inf
        bound = statistics.ratio_interval(a, b, 1 - 2 * ALPHA).high - 1
        worse = statistics.ratio_interval(a, b, 1 - 2 * alpha).low > 1
    else:
        losses, p_value = rule.sign * (a - b), statistics.paired_p_value(a, b) / 2
        unit, word, test = " points", "loss", f"p = {p_value:.2g}, "
        loss, bound = losses.mean(), statistics.matched_interval(losses, 1 - 2 * ALPHA).high
        worse = loss > 0 and p_value <= alpha
    if bound <= margin:
        sentence = f"a {word} of more than {100 * margin:.1f}{unit} is ruled out"
        return "passed", f"{said}: {sentence} (95 % bound: {100 * bound:.1f}{unit})."
    if worse:
        sentence = f"worse by {100 * loss:.1f}{unit}, more than chance explains"
        return "regressed", f"{said}: {sentence} ({test}{size} problems)."
    sentence = (
        f"{size} problems are too few to tell; the {word} may be {100 * bound:.1f}{unit}, the "
        f"margin is {100 * margin:.1f}{unit}."
    )
    if loss < margin and np.isfinite(bound):  # the loss may stay what it is
        needed = size * ((bound - loss) / (margin - loss)) ** 2
        sentence += f" About {needed:.0f} problems would decide at this difference."
    return "undecided", f"{said}: {sentence}"


def verdict_text(verdict: GateVerdict) -> str:
    """Return one line per check, then what changed, then the verdict."""
    width = max((len(check.status) for check in verdict.checks), default=0)
    lines = [f"{c.status:{width}}  {c.task}: {c.sentence}" for c in verdict.checks]
    lines += [f"note: {change}" for change in verdict.changes]
    lines.append(_HEADLINES[verdict.status])
    # A line end in a name would begin a line of its own, which GitHub may take for a command.
    return "".join(printable(" ".join(line.splitlines())) + "\n" for line in lines)


def verdict_junit(verdict: GateVerdict) -> str:
    """Return the checks as JUnit XML."""
    statuses = [check.status for check in verdict.checks]
    counts = {f"{kind}s": str(statuses.count(status)) for status, kind in _JUNIT.items()}
    named = {"name": "lm-eval-tts gate", "tests": str(len(statuses)), **counts}
    suite = ElementTree.Element("testsuite", named)
    for check in verdict.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=check.task, name=check.name)
        if kind := _JUNIT.get(check.status):
            ElementTree.SubElement(case, kind, message=check.sentence)
        ElementTree.SubElement(case, "system-out").text = check.sentence
    if verdict.changes:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(verdict.changes)
    ElementTree.indent(suite)
    return printable(ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)) + "\n"


def append_summary(verdict: GateVerdict) -> None:
    """Append to the step summary of a GitHub job, if this is one. Raises DataError."""
    if not (path := os.environ.get(SUMMARY_VARIABLE)):
        return
    rows = [[c.status, c.task, c.name, c.sentence] for c in verdict.checks]
    try:
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(
                f"## Regression gate: {verdict.status}\n\n{_HEADLINES[verdict.status]}\n\n"
            )
            summary.write(f"{markdown_table([['', 'task', 'check', ''], *rows])}\n")
            summary.writelines(f"- {inline(change)}\n" for change in verdict.changes)
    except OSError as error:
        raise DataError(f"{SUMMARY_VARIABLE}={path} cannot be written: {error.strerror}") from error
