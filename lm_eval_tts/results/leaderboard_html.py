"""A leaderboard as one HTML file that works offline: table, plot, and the samples to read.

Samples are packed in chunks (JSON, gzip, base64) that the page opens one at a time, so a file with
tens of thousands of them opens at once, and nothing a model wrote is ever HTML. The page's own
parts are in `page/`; it runs no other scripts, by their hashes."""

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from importlib.resources import files
from itertools import islice
from typing import Any, TextIO

from lm_eval_tts.core.metrics import COSTS, METRICS
from lm_eval_tts.results.formats import nulled
from lm_eval_tts.results.leaderboard import COLUMNS, Leaderboard, LeaderboardRow
from lm_eval_tts.results.leaderboard_text import LEGEND, cell_record, ranked_rows
from lm_eval_tts.results.runs import Run
from lm_eval_tts.results.sample_texts import SampleTexts, read_sample_texts
from lm_eval_tts.results.setups import short_names

SAMPLES_A_CHUNK = 50  # that are unpacked at once
# What the columns mean that are no metric.
_EXPLAINED = {
    "rank": "1 + the number of rows that are significantly better; rows may share one",
    "checkpoint": "what answered, with its adapter and revision",
    "strategy": "how it was asked, and how its answer was found",
    "accuracy": "share of problems answered right, with the 95 % interval",
    "pass": "chance that one of k samples is right",
    "maj": "what the vote of k samples scores",
    "n": "problems",
}
_PAGE_SCRIPTS = ("leaderboard.js", "marks.js", "choices.js", "samples.js")
_LISTED = 110  # characters of a problem that the list shows
# Formulas in delimiters, read by Python and by JavaScript. A dollar closes another as in pandoc:
# no blank inside of it, no digit behind it, so that "$5 and $6" has none. No alternative goes on
# past another opening of its own kind, so the search takes time in proportion to the text.
_BODY = r"((?:\\.|[^$\\])+)"
_TYPESET = "|".join(
    (
        rf"\$\${_BODY}\$\$",
        r"\\\[((?:\\[^\[\]]|[^\\])+)\\\]",
        r"\\\(((?:\\[^()]|[^\\])+)\\\)",
        r"\$(?<![\\$A-Za-z0-9]\$)(?![\s$]|\d[\d.,]* +[A-Za-z][a-z])"
        + rf"{_BODY}(?<!\s)\$(?![A-Za-z0-9{{])",
        r"\\begin\{(align|alignat|equation|gather)(\*?)\}(?:(?!\\begin\{\5).)+?\\end\{\5\6\}",
    )
)
_IS_TYPESET = re.compile(_TYPESET, re.DOTALL)
_IS_LATEX = re.compile(r"\\[A-Za-z]")  # an answer may be a formula without delimiters


def write_html(
    board: Leaderboard, out: TextIO, title: str = "Leaderboard", samples: bool = True
) -> None:
    """Write the page; samples are read and written one chunk at a time."""
    cells = [row.cells[name] for name in board.benchmarks for row in ranked_rows(board, name)]
    readable = [c.run for c in cells if samples and c.outcomes]
    js, katex = "".join(map(_page_file, _PAGE_SCRIPTS)), _page_file("katex.min.js")
    parts: dict[str, Iterable[str]] = {
        "title": [html.escape(title)],
        "css": [_page_file("leaderboard.css")],
        "hashes": [" ".join(map(_hash, (js, katex)))],
        "js": [js],
        "board": [in_script(_content(board, readable, title))],
        "samples": _sample_scripts(readable, katex),
    }
    template = _page_file("leaderboard.html")
    for place, piece in enumerate(re.split(r"\{\{(\w+)\}\}", template)):
        out.writelines(parts[piece] if place % 2 else [piece])


def _page_file(name: str) -> str:
    return (files("lm_eval_tts.results") / "page" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Return what lets a script run under the page's Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def in_script(content: Any) -> str:
    """Return JSON that is safe within a script element: it has no `<`."""
    return json.dumps(nulled(content), ensure_ascii=False).replace("<", "\\u003c")


def _content(board: Leaderboard, readable: Sequence[Run], title: str) -> dict[str, Any]:
    names = short_names(row.setup.checkpoint for row in board.rows)
    numbers = {id(run): number for number, run in enumerate(readable)}
    made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    seeds = {row.setup.seed for row in board.rows}
    rows = f"{len(board.rows)} rows" if len(board.rows) != 1 else "1 row"
    return {
        "title": title,
        "subtitle": f"{rows}, made {made} by lm-eval-tts from lm-eval's results",
        "legend": LEGEND,
        "notes": board.notes,
        "benchmarks": board.benchmarks,
        "columns": [(m.heading, m.name, m.unit) for m in COLUMNS],
        "extra": [m.name for m in COLUMNS if m.column == "asked"],
        "explained": _EXPLAINED | {m.name: m.meaning for m in COLUMNS},
        "costs": COSTS,
        "chunk": SAMPLES_A_CHUNK,
        "formula": _TYPESET,
        "latex": _IS_LATEX.pattern,
        "rows": [
            {"id": number, "show_seed": len(seeds) > 1, **_row(row, names, numbers)}
            for number, row in enumerate(board.rows)
        ],
    }


def _row(row: LeaderboardRow, names: Mapping[str, str], numbers: dict[int, int]) -> dict[str, Any]:
    setup, name = row.setup, names[row.setup.checkpoint]
    shown = setup.record() | {"strategy": setup.strategy or ""}
    return {
        "name": name,
        "words": " ".join(str(word).lower() for word in (name, *shown.values()) if word),
        **shown,
        "made": str(made := next(iter(row.cells.values())).run.made),
        **made._asdict(),
        "cells": {
            benchmark: cell_record(setup, cell) | {"samples": numbers.get(id(cell.run))}
            for benchmark, cell in row.cells.items()
        },
    }


def _sample_scripts(readable: Sequence[Run], katex: str) -> Iterator[str]:
    """Yield a script element for each chunk of a run's samples, one for each run's index, and KaTeX
    if a sample has a formula."""
    has_formulas = False
    for number, run in enumerate(readable):
        index: list[list[Any]] = []
        for part, chunk in enumerate(_chunks(read_sample_texts(run))):
            index += [_index_entry(sample) for sample in chunk]
            has_formulas = has_formulas or any(map(_has_formula, chunk))
            yield _packed(f"s{number}-{part}", list(map(_sample_record, chunk)))
        yield _packed(f"i{number}", index)
    if has_formulas:
        yield f"<script>{katex}</script>\n"


def _has_formula(sample: SampleTexts) -> bool:
    answers = [sample.reference, *sample.extracted]
    texts = [sample.problem, *answers, *(text for parts in sample.responses for text in parts)]
    found = (_IS_TYPESET.search(text) for text in texts if "$" in text or "\\" in text)
    return any(found) or any(map(_IS_LATEX.search, answers))


def _sample_record(sample: SampleTexts) -> dict[str, Any]:
    """Return what the page shows of a sample: of its points all but the texts."""
    points = [{n: v for n, v in point.items() if n != "response"} for point in sample.points]
    return {**sample._asdict(), "points": points, "settings": None}


def _chunks(samples: Iterable[SampleTexts]) -> Iterator[list[SampleTexts]]:
    rest = iter(samples)
    while chunk := list(islice(rest, SAMPLES_A_CHUNK)):
        yield chunk


def _index_entry(sample: SampleTexts) -> list[Any]:
    flags = [metric.flag for metric in METRICS if metric.flag and sample.figures.get(metric.name)]
    if "[invalid]" in sample.extracted:  # as lm-eval's extraction filters write it
        flags.append("no answer")
    start = " ".join(sample.problem[: 2 * _LISTED].split())[:_LISTED]
    tokens = next((sample.figures[cost] for cost in COSTS if cost in sample.figures), None)
    return [sample.label, sample.score, start, tokens, flags]


def _packed(name: str, content: Any) -> str:
    raw = json.dumps(nulled(content), ensure_ascii=True).encode()
    text = base64.b64encode(gzip.compress(raw, 2, mtime=0)).decode()
    return f'<script type="text/plain" id="{name}">{text}</script>\n'
