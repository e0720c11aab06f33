"""A gate's verdict for people and for CI: text, JUnit XML, a GitHub step summary."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

from lm_eval_tts.errors import DataError
from lm_eval_tts.results.gate import Verdict

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
_HEADLINES = {
    "passed": "Passed: no check found a loss beyond its margin.",
    "regressed": "Regressed.",
    "undecided": "Undecided: the data cannot rule out a loss, nor show one.",
}


def to_text(verdict: Verdict) -> str:
    """Return one line a check, then what changed, then the verdict."""
    width = max((len(check.status) for check in verdict.checks), default=0)
    lines = [f"{c.status:{width}}  {c.task}: {c.sentence}" for c in verdict.checks]
    lines += [f"note: {change}" for change in verdict.changes]
    return "\n".join([*lines, _HEADLINES[verdict.status]]) + "\n"


def to_markdown(verdict: Verdict) -> str:
    """Return the verdict as a GitHub step summary."""
    rows = "".join(
        f"| {c.status} | {c.task} | {c.name} | {_cell(c.sentence)} |\n" for c in verdict.checks
    )
    notes = "".join(f"- {change}\n" for change in verdict.changes)
    return (
        f"## Regression gate: {verdict.status}\n\n{_HEADLINES[verdict.status]}\n\n"
        f"| | task | check | |\n|---|---|---|---|\n{rows}\n{notes}"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def to_junit(verdict: Verdict) -> str:
    """Return JUnit XML: a regression is a failure, an undecided check an error."""
    counts = {s: sum(c.status == s for c in verdict.checks) for s in ("regressed", "undecided")}
    suite = ElementTree.Element(
        "testsuite",
        name="lm-eval-tts gate",
        tests=str(len(verdict.checks)),
        failures=str(counts["regressed"]),
        errors=str(counts["undecided"]),
    )
    for check in verdict.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=check.task, name=check.name)
        kind = {"regressed": "failure", "undecided": "error"}.get(check.status)
        if kind:
            ElementTree.SubElement(case, kind, message=check.sentence)
        ElementTree.SubElement(case, "system-out").text = check.sentence
    if verdict.changes:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(verdict.changes)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def append_summary(verdict: Verdict) -> None:
    """Append to the step summary of a GitHub job, if this is one."""
    path = os.environ.get(SUMMARY_VARIABLE)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(to_markdown(verdict))
    except OSError as error:
        raise DataError(f"{SUMMARY_VARIABLE}={path} cannot be written: {error.strerror}") from error
