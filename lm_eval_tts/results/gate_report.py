"""A gate's verdict for people and for CI: text, JUnit XML, a GitHub step summary."""

import os
from pathlib import Path
from xml.etree import ElementTree

from lm_eval_tts.errors import DataError
from lm_eval_tts.results.formats import inline, markdown_table, printable
from lm_eval_tts.results.gate import GateVerdict, Status

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
_HEADLINES = {
    "passed": "Passed: no check found a loss beyond its margin.",
    "regressed": "Regressed.",
    "undecided": "Undecided: the data can neither rule out a loss nor show one.",
}
# In JUnit a regression is a failure, an undecided check an error.
_JUNIT: dict[Status, str] = {"regressed": "failure", "undecided": "error"}


def verdict_text(verdict: GateVerdict) -> str:
    """Return one line per check, then what changed, then the verdict."""
    width = max((len(check.status) for check in verdict.checks), default=0)
    lines = [f"{c.status:{width}}  {c.task}: {c.sentence}" for c in verdict.checks]
    lines += [f"note: {change}" for change in verdict.changes]
    lines.append(_HEADLINES[verdict.status])
    # A line end in a name would begin a line of its own, which GitHub may take for a command.
    return "".join(printable(" ".join(line.splitlines())) + "\n" for line in lines)


def verdict_markdown(verdict: GateVerdict) -> str:
    """Return the verdict as a GitHub step summary."""
    rows = [[c.status, c.task, c.name, c.sentence] for c in verdict.checks]
    notes = "".join(f"- {inline(change)}\n" for change in verdict.changes)
    return (
        f"## Regression gate: {verdict.status}\n\n{_HEADLINES[verdict.status]}\n\n"
        f"{markdown_table([['', 'task', 'check', ''], *rows])}\n{notes}"
    )


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
    """Append to the step summary of a GitHub job, if this is one."""
    if not (path := os.environ.get(SUMMARY_VARIABLE)):
        return
    try:
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(verdict_markdown(verdict))
    except OSError as error:
        raise DataError(f"{SUMMARY_VARIABLE}={path} cannot be written: {error.strerror}") from error
