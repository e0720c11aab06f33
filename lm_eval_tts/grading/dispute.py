"""Where two graders differ on the same responses: what each read, how often, both accuracies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval_tts.errors import DataError, SettingsError
from lm_eval_tts.grading.equality import Tolerance
from lm_eval_tts.grading.verdicts import Item, grade_many

MARKS = ("wrong", "right")
MAX_SHOWN = 60  # characters of what was read


def by_math_verify(item: Item) -> tuple[bool, str]:
    """Say whether a whole response is right by math-verify, and what that read."""
    from math_verify import parse, verify

    try:
        found = parse(item.response)
        return bool(verify(parse(f"${item.reference}$"), found)), str(found[-1] if found else "-")
    except Exception:  # a grader that fails on a response has not found it right
        return False, "(failed)"


GRADERS: Mapping[str, Callable[[Item], tuple[bool, str]]] = {"math-verify": by_math_verify}


def read_items(path: Path) -> list[Item]:
    """Read responses from JSON lines: lm_eval's samples, or rows with response and reference.

    Raises DataError for a line that is neither.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # no other ends of lines, as U+2028
        rows = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON lines: {error}") from error
    return [_item(row, f"line {number} of {path}") for number, row in enumerate(rows, 1)]


def _item(row: Any, place: str) -> Item:
    try:
        doc = row.get("doc", row)
        reference = doc["reference"] if "reference" in doc else doc["answer"]
        response = row["response"] if "response" in row else row["resps"][0][0]
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{place} has no response and reference: "
            "give lm_eval's samples, or rows with `response` and `reference`"
        ) from error
    options, question = doc.get("options"), doc.get("question", doc.get("problem", ""))
    return Item(
        str(response),
        str(reference),
        "choice" if options else "math",
        options,
        question=str(question),
        tolerance=Tolerance.of(doc.get("tolerance")),
    )


def dispute_report(items: Sequence[Item], grader: str) -> str:
    """Return a report in Markdown. Raises SettingsError for an unknown grader."""
    if grader not in GRADERS:
        raise SettingsError(f"the grader {grader!r} is unknown; known are {', '.join(GRADERS)}")
    ours, others = grade_many(items), list(map(GRADERS[grader], items))
    rows = list(enumerate(zip(items, ours, others, strict=True), 1))
    disputes = [row for row in rows if row[1][1].correct != row[1][2][0]]
    counts = Counter((o.source or "nothing found", MARKS[o.correct]) for _, (_, o, _) in disputes)
    total = max(len(items), 1)
    lines = [
        f"# lm_eval_tts against {grader}\n",
        f"| {len(items)} responses | right |\n|---|---|",
        f"| lm_eval_tts | {sum(verdict.correct for verdict in ours) / total:.1%} |",
        f"| {grader} | {sum(correct for correct, _ in others) / total:.1%} |\n",
        f"Undecided here: {sum(v.undecided for v in ours)}. Different: {len(disputes)}.\n",
        "| what was read here from | here | responses |\n|---|---|---|",
        *(_row(source, mark, count) for (source, mark), count in counts.most_common()),
        f"\n| line | reference | read here | | {grader} read | |\n|---|---|---|---|---|---|",
    ]
    for line, (item, verdict, (correct, read)) in disputes:
        here = verdict.answer or "-", MARKS[verdict.correct]
        lines.append(_row(line, item.reference, *here, read, MARKS[correct]))
    return "\n".join(lines) + "\n"


def _row(*cells: object) -> str:
    short = (" ".join(str(cell).split())[:MAX_SHOWN].replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(short)} |"
