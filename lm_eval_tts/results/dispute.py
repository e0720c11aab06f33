"""Where two graders differ on the same responses: what each read, how often, both accuracies."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lm_eval_tts.core.identity import mapping_in, question_of
from lm_eval_tts.errors import DataError, SettingsError
from lm_eval_tts.grading import Item, Kind, Tolerance, grade_many
from lm_eval_tts.results.files import UnreadFile, read_samples, texts_in
from lm_eval_tts.results.formats import MISSING, markdown_table

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


def read_items(path: Path) -> list[Item]:
    """Read responses from JSON lines: lm_eval's samples, or rows with response and reference.
    Raises DataError for a line that is neither."""
    items = []
    for number, row in enumerate(read_samples(path), 1):
        if isinstance(row, UnreadFile):
            raise DataError(f"{row}; name one samples_*.jsonl, or JSON lines of responses")
        doc = mapping_in(row, "doc") or row
        response = next(iter(texts_in(row.get("response", row.get("resps")))), None)
        reference = doc.get("reference", doc.get("answer"))
        if response is None or reference is None:
            raise DataError(
                f"line {number} of {path} has no response and reference: "
                "give lm_eval's samples, or rows with `response` and `reference`"
            )
        options, question = doc.get("options"), question_of(doc) or ""
        kind: Kind = "choice" if options else "math"
        tolerance, known = Tolerance.of(doc.get("tolerance")), (response, str(reference), kind)
        items.append(Item(*known, options, question=question, tolerance=tolerance))
    return items


def dispute_report(items: Sequence[Item], grader: str) -> str:
    """Return a report in Markdown. Raises SettingsError for an unknown grader."""
    if grader != "math-verify":
        raise SettingsError(f"the grader {grader!r} is unknown; known are math-verify")
    ours, others = grade_many(items), list(map(by_math_verify, items))
    right = {"lm_eval_tts": [v.correct for v in ours], grader: [correct for correct, _ in others]}
    shares = {name: sum(verdicts) / max(len(items), 1) for name, verdicts in right.items()}
    summary = [[f"{len(items)} responses", "right"]]
    summary += [[name, f"{share:.1%}"] for name, share in shares.items()]
    counts: Counter[tuple[str, str]] = Counter()
    disputes = [["line", "reference", "read here", "", f"{grader} read", ""]]
    for line, (item, verdict, (correct, read)) in enumerate(zip(items, ours, others, strict=True)):
        if verdict.correct != correct:
            here, there = MARKS[verdict.correct], MARKS[correct]
            counts[verdict.source or "nothing found", here] += 1
            row = [str(line + 1), item.reference, verdict.answer or MISSING, here, read, there]
            disputes.append([cell[:MAX_SHOWN] for cell in row])
    sources = [["what was read here from", "here", "responses"]]
    sources += [[*said, str(count)] for said, count in counts.most_common()]
    undecided = sum(verdict.undecided for verdict in ours)
    said = f"Undecided here: {undecided}. Different: {len(disputes) - 1}.\n"
    tables = map(markdown_table, (summary, sources, disputes))
    return "\n".join((f"# lm_eval_tts against {grader}\n", next(tables), said, *tables))
