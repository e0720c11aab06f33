"""Matrices in LaTeX: the cells of one as texts, and the value of a sum of products of several.
Vectors as sums of the unit vectors i, j, k.

Knows their layout and arithmetic; what a cell means is for `answers` to say.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lm_eval_tts.grading import values
from lm_eval_tts.grading.expressions import read_value
from lm_eval_tts.grading.values import TooLarge, Value

MAX_CELLS = 100

_BLOCK = re.compile(
    r"\\begin\{(?P<name>[pbvBV]?matrix|array)\}(?:\{[lcr|]*\})?(?P<body>(?:[^\\]|\\(?!begin|end))*)"
    r"\\end\{(?P=name)\}(?:\^\{?(?:T|\\top)\}?)?"
)
_ENCLOSED = re.compile(r"^[(\[]\s*(\\begin\{.*\})\s*[)\]]$", re.S)  # what \left[ leaves
_ROW_END = re.compile(r"\\\\(?:\[[^\]]*\])?")
_GAP = re.compile(r"\s*(?P<sign>[-+]?)\s*(?P<scalar>.*?)\s*(?:\\cdot|\\times|\*)?\s*", re.S)

Table = list[list[str]]
Matrix = list[list[Value]]


class Layout(NamedTuple):
    """A matrix and the factor before it, None if there is none."""

    factor: Value | None
    cells: Table


def read_layout(text: str) -> Layout | None:
    """Return the cells of a text that is one matrix, at most with a factor before it."""
    text = _ENCLOSED.sub(r"\1", text)
    blocks = _blocks(text)
    if len(blocks) != 1 or text[blocks[0].end() :]:
        return None
    before = text[: blocks[0].start()].strip().rstrip("*").strip()
    factor = read_value(before) if before else None
    return None if before and factor is None else Layout(factor, _cells(blocks[0]))


def evaluate(text: str) -> Matrix | None:
    """Return the value of a sum of products of several matrices; None if it is none."""
    blocks = _blocks(text)
    if len(blocks) < 2 or text[blocks[-1].end() :].strip():
        return None
    terms: list[Matrix] = []
    at = 0
    for block in blocks:
        gap = _GAP.fullmatch(text, at, block.start())
        matrix = _values(_cells(block))
        factor = read_value((gap["sign"] + (gap["scalar"] or "1")).strip()) if gap else None
        if not gap or matrix is None or factor is None:
            return None
        matrix = [[values.multiply(factor, cell) for cell in row] for row in matrix]
        if terms and not gap["sign"]:
            terms[-1] = _product(terms[-1], matrix)
        else:
            terms.append(matrix)
        at = block.end()
    total = terms[0]
    for term in terms[1:]:
        total = _sum(total, term)
    return total


def components(value: Value) -> list[Value] | None:
    """Return x, y, z of x i + y j + z k; None if a value is no such sum (3 + 4i is none)."""
    found = dict.fromkeys("ijk", values.rational(0))
    if value.bottom != values.ONE or not value.variables & {"j", "k"}:
        return None
    for product, factor in value.top.items():
        axes = [atom for atom, rate in product if atom.name in found and rate == 1]
        if len(axes) != 1:
            return None
        rest = tuple(item for item in product if item[0] != axes[0])
        term = Value({rest: factor}, values.ONE)
        found[axes[0].name] = values.add(found[axes[0].name], term)
    return list(found.values())


def _blocks(text: str) -> list[re.Match[str]]:
    return list(_BLOCK.finditer(text)) if "\\begin" in text else []


def _cells(block: re.Match[str]) -> Table:
    rows = [row.split("&") for row in _ROW_END.split(block["body"])]
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if len(rows) * max(map(len, rows), default=0) > MAX_CELLS:
        raise TooLarge("cells")
    return rows


def _values(cells: Table) -> Matrix | None:
    matrix = [[read_value(cell.strip()) for cell in row] for row in cells]
    if not matrix or any(len(row) != len(matrix[0]) for row in matrix):
        return None
    known = [[cell for cell in row if cell is not None] for row in matrix]
    return known if [*map(len, known)] == [*map(len, matrix)] else None


def _sum(a: Matrix, b: Matrix) -> Matrix:
    if (len(a), len(a[0])) != (len(b), len(b[0])):
        raise TooLarge("shapes of a sum")
    return [
        [values.add(x, y) for x, y in zip(row, other, strict=True)]
        for row, other in zip(a, b, strict=True)
    ]


def _product(a: Matrix, b: Matrix) -> Matrix:
    if len(a[0]) != len(b):
        raise TooLarge("shapes of a product")
    return [[_dot(row, column) for column in zip(*b, strict=True)] for row in a]


def _dot(row: list[Value], column: tuple[Value, ...]) -> Value:
    total = values.rational(0)
    for x, y in zip(row, column, strict=True):
        total = values.add(total, values.multiply(x, y))
    return total
