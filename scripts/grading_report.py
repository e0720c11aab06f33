"""How grading agrees with labelled responses, beside other graders on the same responses.

    python scripts/grading_report.py [../shared/grading/labels.jsonl]
    python scripts/grading_report.py tests/grading/claims.json

Prints a confusion table, plain and weighted: ours, math-verify on the whole response, and the
grader of the matching lm-eval task (aime24 for AIME; minerva_math's extraction and math_verify, or
its exact match, for MATH; the flexible extraction of gpqa for GPQA), then every response on which
ours disagrees with the label. Of the cases of the tests it prints how many of each kind ours and
math-verify grade right. Only prints; the data is nobody's to copy.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lm_eval_tts.grading import Item, grade_many

ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, Any]


class Table(NamedTuple):
    """Weights of right and wrong verdicts."""

    true_positive: float
    false_positive: float
    true_negative: float
    false_negative: float

    @property
    def total(self) -> float:
        """The weight of all."""
        return sum(self)

    @property
    def agreement(self) -> float:
        """The share of verdicts that are right."""
        return (self.true_positive + self.true_negative) / self.total


def tabulate(rows: list[Row], verdicts: list[bool], *, weighted: bool) -> Table:
    cells = {(a, b): 0.0 for a in (True, False) for b in (True, False)}
    for row, verdict in zip(rows, verdicts, strict=True):
        cells[verdict, bool(row["label"])] += row["weight"] if weighted else 1
    return Table(cells[True, True], cells[True, False], cells[False, False], cells[False, True])


def ours(rows: list[Row]) -> list[Any]:
    return grade_many(
        Item(
            row["response"],
            row["reference"],
            "choice" if row["benchmark"] == "gpqa" else "math",
            row.get("options"),
        )
        for row in rows
    )


def by_math_verify(row: Row) -> bool:
    from math_verify import parse, verify

    return bool(verify(parse(f"${row['reference']}$"), parse(row["response"])))


def by_aime24(row: Row) -> bool:
    """lm-eval's aime24, the code of hendrycks_math too: the text between the outer $, or a box."""
    from lm_eval.tasks.aime.utils import process_results

    return bool(process_results({"Answer": row["reference"]}, [row["response"]])["exact_match"])


def by_minerva(row: Row) -> bool:
    from lm_eval.tasks.minerva_math import utils

    answer = utils.normalize_final_answer(utils.get_unnormalized_answer(row["response"]))
    return bool(utils.is_equiv(answer, utils.normalize_final_answer(row["reference"])))


def by_gpqa(row: Row) -> bool:
    """lm-eval's gpqa flexible-extract: the last letter in parentheses."""
    letters = re.findall(r"\(([A-Z])\)", row["response"])
    return bool(letters) and letters[-1] == row["reference"]


def judged(rows: list[Row], judge: Callable[[Row], bool]) -> list[bool] | None:
    """Verdicts of another grader; a failure on a response is a no, a missing library is None."""
    verdicts = []
    for row in rows:
        try:
            verdicts.append(judge(row))
        except (ImportError, AssertionError) as error:
            print(f"{judge.__name__} left out: {str(error)[:110]}", file=sys.stderr)
            return None
        except Exception:
            verdicts.append(False)
    return verdicts


def show(name: str, rows: list[Row], verdicts: list[bool]) -> None:
    for kind, weighted in (("plain", False), ("weighted", True)):
        table = tabulate(rows, verdicts, weighted=weighted)
        shares = " ".join(f"{100 * cell / table.total:7.2f}" for cell in table)
        print(f"{name:30} {kind:9} {100 * table.agreement:7.2f}   {shares}")


def cause(row: Row, verdict: Any) -> str:
    if verdict.answer is None:
        return "no answer found"
    if verdict.correct:
        return "taken for equal"
    return "taken for different, or another answer was found"


def compare(rows: list[Row], verdicts: list[bool]) -> None:
    print(f"\n{'% of responses':30} {'':9}   agree     right+  wrong+  right-  wrong-")
    for name, judge, benchmark in (
        ("math-verify", by_math_verify, None),
        ("lm-eval aime24", by_aime24, "aime24"),
        ("lm-eval aime24/hendrycks", by_aime24, "math500"),
        ("lm-eval minerva_math", by_minerva, "math500"),
        ("lm-eval gpqa flexible", by_gpqa, "gpqa"),
    ):
        chosen = [i for i, row in enumerate(rows) if benchmark in (None, row["benchmark"])]
        part = [rows[i] for i in chosen]
        where = f" ({benchmark or 'all'}, {len(part)})"
        if part and (other := judged(part, judge)) is not None:
            show(name + where, part, other)
            show("  lm_eval_tts" + where, part, [verdicts[i] for i in chosen])


def compare_kinds(cases: list[Row]) -> None:
    """How many cases of each kind are graded right, by ours and by math-verify."""
    found = grade_many(
        Item(
            case["response"],
            case["reference"],
            case["type"],
            case.get("options"),
            question=case.get("question", ""),
        )
        for case in cases
    )
    other = judged(cases, by_math_verify) or [False] * len(cases)
    print(f"{'kind':50} {'cases':>6} {'ours':>6} {'math-verify':>12}")
    for kind in [*dict.fromkeys(case["kind"] for case in cases), None]:
        rows = [i for i, case in enumerate(cases) if kind in (None, case["kind"])]
        right = sum(found[i].correct == cases[i]["correct"] for i in rows)
        theirs = sum(other[i] == cases[i]["correct"] for i in rows)
        print(f"{kind or 'all':50} {len(rows):6} {right:6} {theirs:12}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    default = ROOT.parent / "shared" / "grading" / "labels.jsonl"
    parser.add_argument("labels", nargs="?", type=Path, default=default)
    path = parser.parse_args().labels
    logging.disable(logging.CRITICAL)
    if path.suffix == ".json":
        compare_kinds(json.loads(path.read_text(encoding="utf-8")))
        return
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["label"] is not None]
    verdicts = ours(rows)
    compare(rows, [verdict.correct for verdict in verdicts])
    wrong = [(r, v) for r, v in zip(rows, verdicts, strict=True) if v.correct != bool(r["label"])]
    print(f"\n{len(wrong)} of {len(rows)} disagree with the label")
    for row, verdict in wrong:
        found = " ".join((verdict.answer or "-").split())[:60]
        print(f"  {row['id']}: {cause(row, verdict)} ({verdict.source}): {found!r}")


if __name__ == "__main__":
    main()
