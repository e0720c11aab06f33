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
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from importlib.resources import files
from itertools import count, islice
from typing import Any

from lm_eval_tts.core.metrics import COSTS, METRICS
from lm_eval_tts.results.formats import nulled
from lm_eval_tts.results.leaderboard import COLUMNS, Leaderboard, LeaderboardRow
from lm_eval_tts.results.leaderboard_text import LEGEND, cell_record
from lm_eval_tts.results.runs import Run
from lm_eval_tts.results.samples import SampleTexts, read_sample_texts
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


def page_parts(
    board: Leaderboard, title: str = "Leaderboard", samples: bool = True
) -> Iterator[str]:
    """Yield the page in parts; samples are read one chunk at a time."""
    cells = [cell for name in board.benchmarks for cell in board.ranked(name)]
    readable = [cell.run for cell in cells if samples and cell.outcomes]
    js, katex = "".join(map(_page_file, _PAGE_SCRIPTS)), _page_file("katex.min.js")
    hashes = (hashlib.sha256(script.encode()).digest() for script in (js, katex))
    parts: dict[str, Iterable[str]] = {
        "title": [html.escape(title)],
        "css": [_page_file("leaderboard.css")],
        # What lets a script run under the page's Content-Security-Policy.
        "hashes": [" ".join(f"'sha256-{base64.b64encode(some).decode()}'" for some in hashes)],
        "js": [js],
        "board": [in_script(_content(board, readable, title))],
        "samples": _sample_scripts(readable, katex),
    }
    for place, piece in enumerate(re.split(r"\{\{(\w+)\}\}", _page_file("leaderboard.html"))):
        yield from parts[piece] if place % 2 else [piece]


def _page_file(name: str) -> str:
    return (files("lm_eval_tts.results") / "page" / name).read_text(encoding="utf-8")


def in_script(content: Any) -> str:
    """Return JSON that is safe within a script element: it has no `<`."""
    return json.dumps(nulled(content), ensure_ascii=False).replace("<", "\\u003c")


def _content(board: Leaderboard, readable: Sequence[Run], title: str) -> dict[str, Any]:
    names = short_names(row.setup.checkpoint for row in board.rows)
    numbers = {id(run): number for number, run in enumerate(readable)}
    made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    many = len({row.setup.seed for row in board.rows}) > 1
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
            {
                "id": n,
                "show_seed": many,
                **_row(row, names[row.setup.checkpoint], numbers),
            }
            for n, row in enumerate(board.rows)
        ],
    }


def _row(row: LeaderboardRow, name: str, numbers: dict[int, int]) -> dict[str, Any]:
    shown = row.setup.record() | {"strategy": row.setup.strategy or ""}
    made = next(iter(row.cells.values())).run.made
    size = f"{made['num_parameters'] / 1e6:.3g} M parameters" if made["num_parameters"] else ""
    said = (made["date"], made["weights_dtype"], size, made["versions"])
    return {
        "name": name,
        "words": " ".join(str(word).lower() for word in (name, *shown.values()) if word),
        **shown,
        "made": ", ".join(filter(None, said)),
        **made,
        "cells": {
            benchmark: cell_record(cell) | {"samples": numbers.get(id(cell.run))}
            for benchmark, cell in row.cells.items()
        },
    }


def _sample_scripts(readable: Sequence[Run], katex: str) -> Iterator[str]:
    """Yield a script element for each chunk of a run's samples, one for each run's index, and KaTeX
    if a sample has a formula."""
    has_formulas = False
    for number, run in enumerate(readable):
        index: list[list[Any]] = []
        samples = read_sample_texts(run)
        for part in count():
            if not (chunk := list(islice(samples, SAMPLES_A_CHUNK))):
                break
            index += map(_index_entry, chunk)
            has_formulas = has_formulas or any(map(_has_formula, chunk))
            # Of points all but the texts.
            new = ({"points": one.answers_at_points, "settings": None} for one in chunk)
            yield _packed(f"s{number}-{part}", [one._asdict() | next(new) for one in chunk])
        yield _packed(f"i{number}", index)
    if has_formulas:
        yield f"<script>{katex}</script>\n"


def _has_formula(sample: SampleTexts) -> bool:
    answers = [sample.reference, *sample.extracted]
    texts = [sample.problem, *answers, *(text for parts in sample.responses for text in parts)]
    found = (_IS_TYPESET.search(text) for text in texts if "$" in text or "\\" in text)
    return any(found) or any(map(_IS_LATEX.search, answers))


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
