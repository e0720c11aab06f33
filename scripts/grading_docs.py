"""Writes the table of readings into docs/grading.md, between its two marks.

python scripts/grading_docs.py
"""

from __future__ import annotations

from pathlib import Path

from lm_eval_tts.grading.readings import READINGS

DOCS = Path(__file__).resolve().parents[1] / "docs" / "grading.md"
START, END = "<!-- readings -->", "<!-- end of readings -->"


def table() -> str:
    rows = ["| reading | of | why | answer | reference |", "|---|---|---|---|---|"]
    for reading in READINGS:
        answer, reference = (f"`{text}`".replace("|", "\\|") for text in reading.example)
        rows.append(f"| {reading.name} | {reading.side} | {reading.why} | {answer} | {reference} |")
    return "\n".join(rows)


def rendered(text: str) -> str:
    head, _, rest = text.partition(START)
    return f"{head}{START}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    DOCS.write_text(rendered(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
