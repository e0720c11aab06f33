"""A leaderboard as Markdown, CSV or JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lm_eval_tts.core.metrics import Metric
from lm_eval_tts.results import formats
from lm_eval_tts.results.leaderboard import COLUMNS, Cell, Leaderboard, LeaderboardRow
from lm_eval_tts.results.points import CurvePoint, is_choice
from lm_eval_tts.results.setups import Setup, short_names

LEGEND = (
    "Accuracy in % with its 95 % interval. Rank: 1 + the number of rows that are significantly "
    "better (paired tests, corrected for all pairs), so rows that cannot be told apart may share "
    "one. Tokens and calls are means of one problem; seconds are those of the whole command, "
    "loading included, where it ran one task."
)

_IN_TERMINAL = ("sampled_tokens",)  # of the metrics beside the accuracy


def board_markdown(board: Leaderboard) -> str:
    """Return one table for each benchmark, the legend, and the notes."""
    names = short_names(row.setup.checkpoint for row in board.rows)
    parts = [_benchmark_table(board, benchmark, names) for benchmark in board.benchmarks]
    notes = "".join(f"- {formats.inline(note)}\n" for note in board.notes)
    return "\n".join([*parts, f"{LEGEND}\n", *([f"Notes:\n\n{notes}"] if notes else [])])


def board_terminal(board: Leaderboard) -> RenderableType:
    """Return one table for each benchmark that fits a terminal: what it cost, and no other cost."""
    names = short_names(row.setup.checkpoint for row in board.rows)
    narrow = [metric for metric in COLUMNS if metric.name in _IN_TERMINAL]
    parts: list[RenderableType] = []
    reasons = dict[str, None]()
    for benchmark in board.benchmarks:
        heads, *lines = _table(board, benchmark, names, narrow)
        table = Table(title=formats.printable(benchmark), title_justify="left", box=box.SIMPLE_HEAD)
        for head in heads:
            table.add_column(head, overflow="fold", ratio=head == "strategy" or None)
        for rank, *line in lines:
            ranked = rank.isdecimal()
            reasons |= {} if ranked else {rank: None}
            cells = [rank if ranked else formats.MISSING, *line]
            table.add_row(*(Text(formats.printable(_breakable(cell))) for cell in cells))
        parts.append(table)
    why = [Text(f"{formats.MISSING} {formats.printable(reason)}") for reason in reasons]
    legend = Text(f"{LEGEND} More columns: -o board.md; all of them: board.html or board.csv.")
    return Group(*parts, *why, legend)


def _breakable(text: str) -> str:
    """Return a cell that can be broken between the values of a list."""
    return ", ".join(part.strip() for part in text.split(","))


def _benchmark_table(board: Leaderboard, benchmark: str, names: Mapping[str, str]) -> str:
    cells = [row.cells[benchmark] for row in board.rows if benchmark in row.cells]
    shown = [m for m in COLUMNS if any(m.name in cell.metrics for cell in cells)]
    table = formats.markdown_table(_table(board, benchmark, names, shown))
    return f"## {formats.inline(benchmark)}\n\n{table}"


def _table(
    board: Leaderboard, benchmark: str, names: Mapping[str, str], shown: Sequence[Metric]
) -> list[list[str]]:
    """Return the headings and the rows of a benchmark with these metrics beside the accuracy."""
    rows = [(row.setup, row.cells[benchmark]) for row in ranked_rows(board, benchmark)]
    lines = [
        [
            str(cell.rank) if cell.rank else f"not ranked: {'; '.join(cell.marks)}",
            setup.weights(names[setup.checkpoint]),
            setup.prompt_style or formats.MISSING,
            f"{setup.method} {setup.settings_text}".strip(),
            _accuracy(cell),
            *(formats.figure_text(cell.metrics.get(m.name), m.unit) for m in shown),
            str(cell.num_docs or formats.MISSING),
        ]
        for setup, cell in rows
    ]
    costs = (metric.heading for metric in shown)
    heads = ["rank", "checkpoint", "prompt", "strategy", "accuracy %", *costs, "n"]
    return [heads, *lines]


def _accuracy(cell: Cell) -> str:
    """Return accuracy and interval in per cent; a metric beyond 1 is left as it is."""
    value = cell.run.accuracy
    if not 0 <= value <= 1:
        return f"{value:.4g}"
    low, high = cell.interval
    interval = "" if math.isnan(low) else f" ({100 * low:.1f}–{100 * high:.1f})"
    return f"{100 * value:.1f}{interval}"


def ranked_rows(board: Leaderboard, benchmark: str) -> list[LeaderboardRow]:
    """Return the rows of a benchmark: ranked ones by accuracy, then those that are marked."""
    rows = [row for row in board.rows if benchmark in row.cells]

    def place(row: LeaderboardRow) -> tuple[bool, float, float]:
        cell = row.cells[benchmark]
        return cell.rank is None, -cell.run.accuracy, cell.tokens

    return sorted(rows, key=place)


def board_csv(board: Leaderboard) -> str:
    """Return one line for each cell; what is not known is empty."""
    return formats.csv_text(board_records(board))


def board_json(board: Leaderboard) -> str:
    """Return everything: the cells with their points, and the notes; unknown figures are null."""
    content = {"benchmarks": board.benchmarks, "rows": board_records(board), "notes": board.notes}
    return formats.json_text(content)


def board_records(board: Leaderboard) -> list[dict[str, Any]]:
    """Return each cell as plain data."""
    return [
        cell_record(row.setup, row.cells[benchmark])
        for benchmark in board.benchmarks
        for row in ranked_rows(board, benchmark)
    ]


def cell_record(setup: Setup, cell: Cell) -> dict[str, Any]:
    """Return a cell as plain data."""
    run = cell.run
    return {
        "benchmark": run.benchmark,
        "task": run.task,
        "rank": cell.rank,
        **setup.record(),
        "metric": run.metric,
        "filter": run.filter,
        "accuracy": run.accuracy,
        **cell.interval._asdict(),
        "n": cell.num_docs,
        **{metric.name: cell.metrics.get(metric.name) for metric in COLUMNS},
        "pass_at": {str(k): value for k, value in cell.pass_at.items()},
        "choices": {name: value for name, value in run.metrics.items() if is_choice(name)},
        "points": [_point(point) for point in cell.points],
        "not_comparable": list(cell.marks),
        "fronts": sorted(cell.fronts),
        **run.made._asdict(),
        "file": str(run.results_path),
    }


def _point(point: CurvePoint) -> dict[str, Any]:
    return {
        "label": point.label,
        "sampled_tokens": point.cost,
        "thinking_tokens": point.mean_tokens,
        "accuracy": point.score,
        **point.score_interval._asdict(),
    }


BOARDS = {"md": board_markdown, "csv": board_csv, "json": board_json}
