"""Figures and tables as every report writes them: Markdown, CSV, JSON.

The content of a results file may be anybody's. So that it does nothing where a report is opened,
Markdown gets no HTML from it, a terminal no control characters, a spreadsheet no formulas."""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from lm_eval_tts.core.metrics import Unit

MISSING = "–"
# What a terminal obeys, and what turns the order of a line's letters (Unicode's embeddings,
# overrides and isolates), so that it reads as another one. Line ends and tabs are none here.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LONE = re.compile("[\ud800-\udfff]")  # halves of surrogate pairs, which no encoding has
# How a cell begins that a spreadsheet computes: by OWASP's list, full-width letters as well.
_FORMULA = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")
TextTable = Sequence[Sequence[str]]  # the first line has the headings


def printable(text: str) -> str:
    """Return a text without what a terminal would obey; what cannot be encoded is written out."""
    return _written_out(_CONTROL.sub("\ufffd", text))


def _written_out(text: str) -> str:
    return _LONE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def inline(text: object) -> str:
    """Return a text as a part of a line of Markdown: no HTML, no link and no picture in it."""
    return " ".join(printable(str(text)).split()).replace("<", "&lt;").replace("](", "]\\(")


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
    escaped = inline(text.replace("\\", "\\\\")).replace("|", "\\|")
    return f" {escaped} " if escaped else " "


def csv_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for each record, after the names of all fields."""
    out, names = io.StringIO(), dict.fromkeys(name for record in records for name in record)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_flat, names))
    writer.writerows([_flat(record.get(name, "")) for name in names] for record in records)
    return out.getvalue()


def _flat(value: Any) -> Any:
    """Return a value as one field: a list of texts, or JSON, which is not one program's own
    notation. A text that a spreadsheet would run begins with an apostrophe."""
    value = nulled(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = "; ".join(value)
    elif isinstance(value, list | dict):
        value = json.dumps(value)
    if not isinstance(value, str):
        return value
    return printable(f"'{value}" if value.startswith(_FORMULA) else value)


def json_text(content: Any) -> str:
    """Return indented JSON with a line end."""
    return f"{strict_json(content, indent=2, ensure_ascii=False)}\n"


def strict_json(content: Any, *, default: Callable[[Any], Any] | None = None, **form: Any) -> str:
    """Return what `json.dumps` does, as JSON that every reader takes: what is not a finite number
    is null, and halves of surrogate pairs are written out."""
    plain = default and (lambda some: nulled(default(some)))
    return _written_out(json.dumps(nulled(content), default=plain, allow_nan=False, **form))


def encodable(content: Any) -> Any:
    """Return plain data whose texts every encoding has: halves of surrogate pairs written out."""
    if isinstance(content, str):
        return _written_out(content)
    if isinstance(content, Mapping):
        return {name: encodable(value) for name, value in content.items()}
    return list(map(encodable, content)) if isinstance(content, list | tuple) else content


def nulled(content: Any) -> Any:
    """Return plain data with None for every number that JSON does not have."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {name: nulled(value) for name, value in content.items()}
    return [nulled(one) for one in content] if isinstance(content, list | tuple) else content


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return each path by its last parts, as many as keep them apart; `owner/name` stays whole."""
    unique = sorted(set(names))
    parts = {name: PurePosixPath(name.replace("\\", "/")).parts or (name,) for name in unique}
    short = {n: n if len(parts[n]) == 2 and n[0] not in "./~" else parts[n][-1] for n in unique}
    for length in range(2, max(map(len, parts.values()), default=0) + 1):
        taken = list(short.values())
        for name in unique:
            if taken.count(short[name]) > 1:
                short[name] = "/".join(parts[name][-length:])
    return short
