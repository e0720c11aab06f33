"""Where two graders differ on the same responses: what each read, how often, both accuracies."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lm_eval_tts.errors import DataError, SettingsError
from lm_eval_tts.grading.parts import DEFAULT_TAGS
from lm_eval_tts.grading.pool import grade_many
from lm_eval_tts.grading.tolerance import Tolerance
from lm_eval_tts.grading.verdicts import Item, Verdict

MAX_SHOWN = 60  # characters of what was read


class Reply(NamedTuple):
    """What another grader says of a response: whether it is right, and what it read."""

    correct: bool
    read: str


class Dispute(NamedTuple):
    """A response on which two graders differ, with its line in the file, from 1."""

    line: int
    item: Item
    ours: Verdict
    other: Reply


def add_dispute_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `lm-eval-tts grade` takes."""
    parser.add_argument("file", type=Path, help="samples of lm_eval, or JSON lines of responses")
    parser.add_argument("--against", default="math-verify", help="the other grader: math-verify")
    parser.add_argument("-o", "--output", type=Path, help="file for the report in Markdown")


def run_dispute(args: argparse.Namespace) -> int:
    """Print or write the report."""
    text = dispute_report(read_items(args.file), args.against)
    if args.output:
        args.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


def by_math_verify(item: Item) -> Reply:
    """Grade by math-verify on the whole response."""
    from math_verify import parse, verify

    try:
        found = parse(item.response)
        correct = bool(verify(parse(f"${item.reference}$"), found))
    except Exception:  # a grader that fails on a response has not found it right
        return Reply(False, "(failed)")
    return Reply(correct, str(found[-1]) if found else "(nothing)")


GRADERS: Mapping[str, Callable[[Item], Reply]] = {"math-verify": by_math_verify}


def read_items(path: Path) -> list[Item]:
    """Read responses from JSON lines: lm_eval's samples, or rows with response and reference.

    Raises DataError for a line that is neither.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read as JSON lines: {error}") from error
    return [_item(row, path, number) for number, row in enumerate(rows, 1)]


def _item(row: Any, path: Path, number: int) -> Item:
    doc = row.get("doc", row) if isinstance(row, dict) else {}
    response = row.get("response") if isinstance(row, dict) else None
    if response is None and isinstance(row, dict) and row.get("resps"):
        response = row["resps"][0][0]
    reference = doc.get("reference", doc.get("answer"))
    if not isinstance(response, str) or reference is None:
        raise DataError(
            f"line {number} of {path} has no response and reference: "
            "give lm_eval's samples, or rows with `response` and `reference`"
        )
    options = doc.get("options")
    question = str(doc.get("question", doc.get("problem", "")))
    tolerance = Tolerance.of(doc.get("tolerance"))
    kind = "choice" if options else "math"
    return Item(response, str(reference), kind, options, DEFAULT_TAGS, question, tolerance)  # type: ignore[arg-type]


def dispute_report(items: Sequence[Item], grader: str) -> str:
    """Return a report in Markdown. Raises SettingsError for an unknown grader."""
    if grader not in GRADERS:
        raise SettingsError(f"the grader {grader!r} is unknown; known are {', '.join(GRADERS)}")
    ours = grade_many(items)
    others = [GRADERS[grader](item) for item in items]
    disputes = [
        Dispute(line, item, verdict, other)
        for line, (item, verdict, other) in enumerate(zip(items, ours, others, strict=True), 1)
        if verdict.correct != other.correct
    ]
    return "\n".join(_report(grader, ours, others, disputes)) + "\n"


def _report(
    grader: str, ours: Sequence[Verdict], others: Sequence[Reply], disputes: Sequence[Dispute]
) -> Iterable[str]:
    total = max(len(ours), 1)
    yield f"# lm_eval_tts against {grader}\n"
    yield f"| {len(ours)} responses | right |\n|---|---|"
    yield f"| lm_eval_tts | {sum(v.correct for v in ours) / total:.1%} |"
    yield f"| {grader} | {sum(o.correct for o in others) / total:.1%} |"
    yield f"\nUndecided here: {sum(v.undecided for v in ours)}. Different: {len(disputes)}.\n"
    counts = Counter((d.ours.source or "nothing found", d.ours.correct) for d in disputes)
    yield "| what was read here from | right here | responses |\n|---|---|---|"
    for (source, correct), count in counts.most_common():
        yield f"| {source} | {'yes' if correct else 'no'} | {count} |"
    yield f"\n| line | reference | read here | | {grader} read | |\n|---|---|---|---|---|---|"
    for d in disputes:
        cells = (
            d.line,
            d.item.reference,
            d.ours.answer or "-",
            _mark(d.ours.correct),
            d.other.read,
        )
        yield (
            "| " + " | ".join(_cell(str(cell)) for cell in (*cells, _mark(d.other.correct))) + " |"
        )


def _mark(correct: bool) -> str:
    return "right" if correct else "wrong"


def _cell(text: str) -> str:
    return " ".join(text.split())[:MAX_SHOWN].replace("|", "\\|")
