"""A leaderboard in a terminal, as Markdown, CSV or JSON."""

import math
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lm_eval_tts.core.metrics import METRIC, Metric
from lm_eval_tts.results import formats
from lm_eval_tts.results.curve import is_choice
from lm_eval_tts.results.leaderboard import COLUMNS, Cell, Leaderboard
from lm_eval_tts.results.setups import short_names

LEGEND = (
    "Accuracy in % with its 95 % interval. Rank: 1 + the number of rows that are significantly "
    "better (paired tests, corrected for all pairs), so rows that cannot be told apart may share "
    "one. Tokens and calls are means of one problem; seconds are those of the whole command, "
    "loading included, where it ran one task."
)


def board_text(board: Leaderboard, form: str) -> str:
    """Return a board as "md": one table for each benchmark, the legend and the notes; as "csv": one
    line for each cell, what is not known is empty; or as "json": everything, the notes too."""
    if form == "csv":
        return formats.csv_text(board_records(board))
    if form == "json":
        records = board_records(board)
        content = {"benchmarks": board.benchmarks, "rows": records, "notes": board.notes}
        return formats.json_text(content)
    parts = []
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
    names = short_names(row.setup.checkpoint for row in board.rows)
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
