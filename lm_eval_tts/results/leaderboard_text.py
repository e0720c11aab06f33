"""A leaderboard as Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from lm_eval_tts.results.leaderboard import COLUMNS, Cell, Leaderboard, Row
from lm_eval_tts.results.runs import short_names

MISSING = "–"
LEGEND = (
    "Accuracy in % with its 95 % interval. Rank: 1 + the number of rows that are significantly "
    "better (paired tests, corrected for all pairs), so rows that cannot be told apart may share "
    "one. Tokens and calls are means of one problem; seconds are those of the whole command, "
    "loading included, where it ran one task."
)


def to_markdown(board: Leaderboard) -> str:
    """Return one table for each benchmark, the legend, and the notes."""
    names = short_names(row.setup.checkpoint for row in board.rows)
    parts = [_benchmark_table(board, benchmark, names) for benchmark in board.benchmarks]
    notes = "".join(f"- {note}\n" for note in board.notes)
    return "\n".join([*parts, f"{LEGEND}\n", *([f"Notes:\n\n{notes}"] if notes else [])])


def _benchmark_table(board: Leaderboard, benchmark: str, names: Mapping[str, str]) -> str:
    rows = ranked_rows(board, benchmark)
    shown = [c for c in COLUMNS if any(c[1] in row.cells[benchmark].metrics for row in rows)]
    head = [
        "rank",
        "checkpoint",
        "prompt",
        "strategy",
        "accuracy %",
        *(heading for heading, _, _ in shown),
        "n",
    ]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cell = row.cells[benchmark]
        values = [written(cell.metrics.get(name), form) for _, name, form in shown]
        lines.append(
            [
                _rank(cell),
                *_setup(row, names),
                accuracy(cell),
                *values,
                str(cell.num_docs or MISSING),
            ]
        )
    return f"## {benchmark}\n\n" + "".join(
        f"| {' | '.join(map(escape_cell, line))} |\n" for line in lines
    )


def escape_cell(text: str) -> str:
    """Return text that stays within one cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _setup(row: Row, names: Mapping[str, str]) -> list[str]:
    setup = row.setup
    adapter = f" + {setup.adapter}" if setup.adapter else ""
    revision = f" @ {setup.revision[:8]}" if setup.revision else ""
    strategy = f"{setup.strategy or setup.model} {setup.settings_text}".strip()
    return [names[setup.checkpoint] + adapter + revision, setup.prompt_style or MISSING, strategy]


def _rank(cell: Cell) -> str:
    return str(cell.rank) if cell.rank else f"not ranked: {'; '.join(cell.marks)}"


def accuracy(cell: Cell) -> str:
    """Return accuracy and interval in per cent; a metric beyond 1 is left as it is."""
    value = cell.run.accuracy
    if not 0 <= value <= 1:
        return f"{value:.4g}"
    low, high = cell.interval
    return f"{100 * value:.1f}" + (
        "" if math.isnan(low) else f" ({100 * low:.1f}–{100 * high:.1f})"
    )


def written(value: float | None, form: str) -> str:
    """Return a figure as text; form: "count", "share" or "seconds"."""
    if value is None or math.isnan(value):
        return MISSING
    if form == "share":
        return f"{100 * value:.1f}%"
    return f"{value:.1f}" if value < 100 and value != int(value) else f"{value:.0f}"


def ranked_rows(board: Leaderboard, benchmark: str) -> list[Row]:
    """Return the rows of a benchmark: ranked ones by accuracy, then those that are marked."""
    rows = [row for row in board.rows if benchmark in row.cells]
    return sorted(rows, key=lambda row: _place(row.cells[benchmark]))


def _place(cell: Cell) -> tuple[bool, float, float]:
    return (cell.rank is None, -cell.run.accuracy, cell.metrics.get("total_tokens", math.inf))


def to_csv(board: Leaderboard) -> str:
    """Return one line for each cell; what is not known is empty."""
    lines = list(_records(board))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _flat(v) for k, v in line.items()} for line in lines)
    return out.getvalue()


def _flat(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return "; ".join(map(str, value)) if isinstance(value, list) else json.dumps(value)
    return value


def to_json(board: Leaderboard) -> str:
    """Return everything: the cells with their points, and the notes; unknown figures are null."""
    content = {"benchmarks": board.benchmarks, "rows": list(_records(board)), "notes": board.notes}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _records(board: Leaderboard) -> Iterable[dict[str, Any]]:
    for benchmark in board.benchmarks:
        for row in ranked_rows(board, benchmark):
            yield record(row, row.cells[benchmark])


def record(row: Row, cell: Cell) -> dict[str, Any]:
    """Return a cell as plain data."""
    setup, run = row.setup, cell.run
    return {
        "benchmark": run.benchmark,
        "task": run.task,
        "rank": cell.rank,
        "model": setup.model,
        "checkpoint": setup.checkpoint,
        "adapter": setup.adapter,
        "revision": setup.revision,
        "prompt_style": setup.prompt_style,
        "strategy": setup.strategy,
        "settings": setup.settings_text,
        "seed": setup.seed,
        "metric": run.metric,
        "filter": run.filter,
        "accuracy": run.accuracy,
        "low": known(cell.interval.low),
        "high": known(cell.interval.high),
        "n": cell.num_docs,
        **{name: known(cell.metrics.get(name)) for _, name, _ in COLUMNS},
        "pass_at": {str(k): known(v) for k, v in cell.pass_at.items()},
        "points": [point_record(*point) for point in cell.points],
        "not_comparable": list(cell.marks),
        "file": str(run.results_path),
    }


def point_record(label: str, tokens: float, accuracy: float, interval: Any) -> dict[str, Any]:
    """Return an anytime point as plain data."""
    low, high = map(known, interval)
    return {"label": label, "tokens": tokens, "accuracy": accuracy, "low": low, "high": high}


def known(value: float | None) -> float | None:
    """Return the value, None for NaN, which JSON does not have."""
    return None if value is None or math.isnan(value) else value
