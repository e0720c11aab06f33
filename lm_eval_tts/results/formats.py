"""Figures and tables as every report writes them: Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval_tts.core.metrics import Unit

MISSING = "–"
TextTable = Sequence[Sequence[str]]  # the first line has the headings


def known(value: float | None) -> float | None:
    """Return the value, None for NaN, which JSON does not have."""
    return None if value is None or math.isnan(value) else value


def figure_text(value: float | None, unit: Unit) -> str:
    """Return a figure as people read it, a share in per cent."""
    if value is None or math.isnan(value):
        return MISSING
    if unit == "share":
        return f"{100 * value:.1f}%"
    return f"{value:.1f}" if value < 100 and value != int(value) else f"{value:.0f}"


def markdown_table(table: TextTable) -> str:
    """Return a Markdown table; what is in a cell stays in it."""
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "".join(f"|{'|'.join(map(_cell, line))}|\n" for line in lines)


def _cell(text: str) -> str:
    escaped = text.replace("|", "\\|").replace("\n", " ")
    return f" {escaped} " if escaped else " "


def csv_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for each record, after the names of the first one's fields."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _flat(value) for name, value in r.items()} for r in records)
    return out.getvalue()


def _flat(value: Any) -> Any:
    """Return a value as one field: a list of texts, or JSON, which is no program's own notation."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value)
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def json_text(content: Any) -> str:
    """Return indented JSON with a line end."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
