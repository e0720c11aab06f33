"""A leaderboard in a terminal, as Markdown, CSV or JSON, and as one HTML file that works offline:
table, plot, and the samples to read.

Samples are packed in chunks (JSON, gzip, base64) that the page opens one at a time, so a file with
tens of thousands of them opens at once, and nothing a model wrote is ever HTML. The page's own
parts are in `page/`; it runs no other scripts, by their hashes."""

import base64
import gzip
import hashlib
import html
import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from importlib.resources import files
from itertools import count, islice
from typing import Any

import jinja2
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lm_eval_tts.core.metrics import COSTS, METRIC, METRICS, Metric
from lm_eval_tts.results import formats
from lm_eval_tts.results.curve import is_choice
from lm_eval_tts.results.leaderboard import COLUMNS, Cell, Leaderboard, LeaderboardRow
from lm_eval_tts.results.runs import Run
from lm_eval_tts.results.samples import SampleTexts, read_sample_texts

LEGEND = (
    "Accuracy in % with its 95 % interval. Rank: 1 + the number of rows that are significantly "
    "better (paired tests, corrected for all pairs), so rows that cannot be told apart may share "
    "one. Tokens and calls are means of one problem; seconds are those of the whole command, "
    "loading included, where it ran one task."
)
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


def board_text(board: Leaderboard, form: str) -> str:
    """Return a board as "md": one table for each benchmark, the legend and the notes; as "csv": one
    line for each cell, what is not known is empty; or as "json": everything, the notes too."""
    rows, parts = board_records(board), []
    if form == "csv":
        return formats.csv_text(rows)
    if form == "json":
        content = {"benchmarks": board.benchmarks, "rows": rows, "notes": board.notes}
        return formats.json_text(content)
    for benchmark in board.benchmarks:
        known = {name for cell in board.ranked(benchmark) for name in cell.run.metrics}
        table = _table(board, benchmark, [metric for metric in COLUMNS if metric.name in known])
        parts.append(f"## {formats.inline(benchmark)}\n\n{formats.markdown_table(table)}")
    notes = "".join(f"- {formats.inline(note)}\n" for note in board.notes)
    return "\n".join([*parts, f"{LEGEND}\n", *([f"Notes:\n\n{notes}"] if notes else [])])


def board_terminal(board: Leaderboard) -> RenderableType:
    """Return one table for each benchmark that fits a terminal: what it cost, and no other cost."""
    parts: list[RenderableType] = []
    reasons = dict[str, None]()
    for benchmark in board.benchmarks:
        heads, *lines = _table(board, benchmark, [METRIC["sampled_tokens"]])
        table = Table(title=formats.printable(benchmark), title_justify="left", box=box.SIMPLE_HEAD)
        for head in heads:
            table.add_column(head, overflow="fold", ratio=head == "strategy" or None)
        for rank, *line in lines:
            reasons |= {} if rank.isdecimal() else {rank: None}
            cells = [rank if rank.isdecimal() else formats.MISSING, *line]
            # A blank after each comma, so that a cell can be broken between the values of a list.
            spaced = (", ".join(part.strip() for part in cell.split(",")) for cell in cells)
            table.add_row(*(Text(formats.printable(cell)) for cell in spaced))
        parts.append(table)
    why = [Text(f"{formats.MISSING} {formats.printable(reason)}") for reason in reasons]
    legend = Text(f"{LEGEND} More columns: -o board.md; all of them: board.html or board.csv.")
    return Group(*parts, *why, legend)


def _table(board: Leaderboard, benchmark: str, shown: Sequence[Metric]) -> list[list[str]]:
    """Return the headings and the rows of a benchmark with these metrics beside the accuracy."""
    names = formats.short_names(row.setup.checkpoint for row in board.rows)
    costs = (metric.heading for metric in shown)
    lines = [["rank", "checkpoint", "prompt", "strategy", "accuracy %", *costs, "n"]]
    for cell in board.ranked(benchmark):
        setup, metrics = cell.run.setup, cell.run.metrics
        lines.append(
            [
                str(cell.rank) if cell.rank else f"not ranked: {'; '.join(cell.marks)}",
                setup.weights(names[setup.checkpoint]),
                setup.prompt_style or formats.MISSING,
                f"{setup.method} {setup.settings_text}".strip(),
                _accuracy(cell),
                *(formats.figure_text(metrics.get(m.name), m.unit) for m in shown),
                str(cell.num_docs or formats.MISSING),
            ]
        )
    return lines


def _accuracy(cell: Cell) -> str:
    """Return accuracy and interval in per cent; a metric beyond 1 is left as it is."""
    value, (low, high) = cell.run.accuracy, cell.interval.in_percent
    if not 0 <= value <= 1:
        return f"{value:.4g}"
    return f"{100 * value:.1f}" + ("" if math.isnan(low) else f" ({low:.1f}–{high:.1f})")


def board_records(board: Leaderboard) -> list[dict[str, Any]]:
    """Return each cell as plain data."""
    return [cell_record(cell) for name in board.benchmarks for cell in board.ranked(name)]


def cell_record(cell: Cell) -> dict[str, Any]:
    """Return a cell as plain data."""
    run = cell.run
    return {
        "benchmark": run.benchmark,
        "task": run.task,
        "rank": cell.rank,
        **run.setup.record(),
        "metric": run.metric,
        "filter": run.filter,
        "accuracy": run.accuracy,
        **cell.interval._asdict(),
        "n": cell.num_docs,
        **{metric.name: run.metrics.get(metric.name) for metric in COLUMNS},
        "pass_at": {str(k): value for k, value in cell.pass_at.items()},
        "choices": {name: value for name, value in run.metrics.items() if is_choice(name)},
        "points": [
            {
                "label": point.label,
                "sampled_tokens": point.cost,
                "thinking_tokens": point.mean_tokens,
                "accuracy": point.score,
                **point.interval._asdict(),
            }
            for point in cell.points
        ],
        "not_comparable": list(cell.marks),
        "fronts": sorted(cell.fronts),
        **run.made,
        "file": str(run.results_path),
    }


def page_parts(
    board: Leaderboard, title: str = "Leaderboard", samples: bool = True
) -> Iterator[str]:
    """Yield the page in parts; samples are read one chunk at a time."""
    cells = [cell for name in board.benchmarks for cell in board.ranked(name)]
    readable = [cell.run for cell in cells if samples and cell.outcomes]
    js, katex = "".join(map(_page_file, _PAGE_SCRIPTS)), _page_file("katex.min.js")
    hashes = (hashlib.sha256(script.encode()).digest() for script in (js, katex))
    page = jinja2.Template(_page_file("leaderboard.html"), keep_trailing_newline=True)
    yield from page.generate(
        title=html.escape(title),
        css=_page_file("leaderboard.css"),
        # What lets a script run under the page's Content-Security-Policy.
        hashes=" ".join(f"'sha256-{base64.b64encode(some).decode()}'" for some in hashes),
        js=js,
        board=in_script(_content(board, readable, title)),
        samples=_sample_scripts(readable, katex),
    )


def _page_file(name: str) -> str:
    return (files("lm_eval_tts.results") / "page" / name).read_text(encoding="utf-8")


def in_script(content: Any) -> str:
    """Return JSON that is safe within a script element: it has no `<`."""
    return json.dumps(formats.nulled(content), ensure_ascii=False).replace("<", "\\u003c")


def _content(board: Leaderboard, readable: Sequence[Run], title: str) -> dict[str, Any]:
    names = formats.short_names(row.setup.checkpoint for row in board.rows)
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
            {"id": n, "show_seed": many} | _row(row, names[row.setup.checkpoint], numbers)
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
    """Yield script elements: chunks of a run's samples, its index, and KaTeX for formulas."""
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
            changed = [{"points": one.answers_at_points, "settings": None} for one in chunk]
            records = [one._asdict() | new for one, new in zip(chunk, changed, strict=True)]
            yield _packed(f"s{number}-{part}", records)
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
    raw = json.dumps(formats.nulled(content), ensure_ascii=True).encode()
    text = base64.b64encode(gzip.compress(raw, 2, mtime=0)).decode()
    return f'<script type="text/plain" id="{name}">{text}</script>\n'
