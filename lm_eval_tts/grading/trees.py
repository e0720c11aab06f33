"""The tree of an answer, and what needs no text: relations, intervals, sets and matrices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from lm_eval_tts.grading import values
from lm_eval_tts.grading.fingerprints import CTX
from lm_eval_tts.grading.functions import NotAFormula
from lm_eval_tts.grading.units import Mark
from lm_eval_tts.grading.values import TooLarge, Value

ORDER = {"<", "<=", ">", ">="}


class Node(NamedTuple):
    """kind: value, list, tuple, matrix (a row is a tuple), relation, named, text, base or opaque.

    mark: the brackets, signs of a relation, name, base, noun or words. unit: of a value.
    """

    kind: str
    mark: str = ""
    parts: tuple[Node, ...] = ()
    value: Value | None = None
    unit: Mark = ()


def node_of(value: Value) -> Node:
    """Return a value as a tree."""
    return Node("value", value=value)


def number(value: int) -> Node:
    """Return a whole number as a tree."""
    return node_of(values.rational(value))


def value_of(node: Node) -> Value:
    """Return the value of a tree. Raises NotAFormula if it is none."""
    if node.kind != "value" or node.value is None:
        raise NotAFormula(node.kind)
    return node.value


INFINITE = node_of(values.INFINITY)
MINUS_INFINITE = node_of(values.negate(values.INFINITY))
ALL_REALS = Node("tuple", "()", (MINUS_INFINITE, INFINITE))


def is_name(node: Node) -> bool:
    """Say whether a tree is a product of variables and nothing else: x, f(x), PQ/RS."""
    if node.kind != "value" or node.value is None or node.unit or node.value.bottom != values.ONE:
        return False
    if len(node.value.top) != 1:
        return False
    ((product, factor),) = node.value.top.items()
    kinds = {atom.kind for atom, _ in product}
    return (
        factor == 1
        and bool(product)
        and kinds <= {"free", "unit"}
        and all(abs(r) == 1 for _, r in product)
    )


def relation(sides: Sequence[Node], signs: Sequence[str]) -> Node:
    """Return a named value, an interval, a set or an equation."""
    if signs[-1] == "~":
        left, right = relation(sides[:-1], signs[:-1]) if len(sides) > 2 else sides[0], sides[-1]
        if left.kind == "named":
            return left
        return Node("named", "", (left, right)) if is_name(left) else left
    if signs[-1] == "\\in":
        return _member(sides)
    if set(signs) == {"="}:
        return _equation(sides)
    if set(signs) == {"!="} and len(sides) == 2 and is_name(sides[0]) and sides[1].kind == "value":
        return Node("relation", "!=", tuple(sides))
    if (
        set(signs) <= ORDER
        and all(side.kind == "value" for side in sides)
        and (found := _interval(sides, signs))
    ):
        return found
    if signs[0] == "=" and len(signs) > 1 and is_name(sides[0]):  # f(x) = x > 3
        return relation(sides[1:], signs[1:])
    return Node("relation", " ".join(signs), tuple(sides))


def _member(sides: Sequence[Node]) -> Node:
    """x ∈ S says S, other than k ∈ ℤ, which says what k may be."""
    if sides[-1].kind == "opaque":
        return Node("named", "∈ℤ", (sides[0], sides[-1]))
    return sides[-1]


def _equation(sides: Sequence[Node]) -> Node:
    left, right = sides[-2:]
    if len(sides) > 2 and sides[0].kind == "opaque":
        left = sides[0]
    if not is_name(left) and is_name(right) and not _has_variables(left):
        left, right = right, left  # 17 = x
    if is_name(left) and left != right:
        return Node("named", "", (left, right))
    if left.kind == right.kind == "tuple" and all(map(is_name, left.parts)):
        return Node("named", "", (left, right))  # (x, y) = (1, 2)
    if len(sides) > 2 and is_name(sides[0]):
        return Node("named", "", (sides[0], right))  # y = 2 + 3 = 5
    if left.kind == "text":
        return Node("named", "", (left, right))  # area = 5
    if not _has_variables(left) and not _has_variables(right):
        return (
            right
            if len(sides) > 2 or _is_true(left, right)
            else Node("relation", "=", (left, right))
        )  # 2 + 3 = 5
    return Node("relation", "=", (left, right))


def _is_true(left: Node, right: Node) -> bool:
    if left.kind != "value" or right.kind != "value":
        return left.kind not in ("value", "list", "tuple")
    return value_of(left).key == value_of(right).key


def _has_variables(node: Node) -> bool:
    return node.kind != "value" or node.value is None or bool(node.value.variables)


def _interval(sides: Sequence[Node], signs: Sequence[str]) -> Node | None:
    """What an inequality says of its only variable, if it is linear in it."""
    if signs[0][0] == ">":
        sides, signs = sides[::-1], [s.replace(">", "<") for s in signs[::-1]]
    if any(s[0] != "<" for s in signs) or len(sides) > 3:
        return None
    ends = {False: (MINUS_INFINITE, "<"), True: (INFINITE, "<")}
    unknown: values.Product | None = None
    for left, right, sign in zip(sides, sides[1:], signs, strict=False):
        difference = values.add(value_of(left), values.negate(value_of(right)))
        terms = [p for p in difference.top if any(atom.kind == "free" for atom, _ in p)]
        if len(terms) != 1 or difference.bottom != values.ONE or unknown not in (None, terms[0]):
            return None
        unknown = terms[0]
        if len(unknown) > 1 or unknown[0][1] != 1:
            return None
        slope = difference.top[unknown]
        rest = {p: -f / slope for p, f in difference.top.items() if p != unknown}
        ends[slope > 0] = (node_of(Value(rest, values.ONE)), sign)
    mark = ("[" if ends[False][1] == "<=" else "(") + ("]" if ends[True][1] == "<=" else ")")
    return Node("tuple", mark, (ends[False][0], ends[True][0]))


def complement(points: Sequence[Node]) -> Node:
    """Return all real numbers but some."""
    if any(p.kind != "value" or p.value is None or p.value.variables for p in points):
        raise NotAFormula("points")
    ordered = sorted(points, key=lambda p: float(CTX.re(value_of(p).number[0])))
    ends = [MINUS_INFINITE, *ordered, INFINITE]
    pairs = pairwise(ends)
    return Node("list", "cup", tuple(Node("tuple", "()", pair) for pair in pairs))


def scaled(matrix: Node, factor: Value) -> Node:
    """Return a matrix times a number."""
    rows = (
        row._replace(parts=tuple(node_of(values.multiply(factor, value_of(x))) for x in row.parts))
        for row in matrix.parts
    )
    return matrix if factor.constant == 1 else matrix._replace(parts=tuple(rows))


def added(a: Node, b: Node) -> Node:
    """Return the sum of two matrices."""
    if [len(row.parts) for row in a.parts] != [len(row.parts) for row in b.parts]:
        raise TooLarge("shapes of a sum")
    rows = (
        tuple(
            node_of(values.add(value_of(x), value_of(y)))
            for x, y in zip(r.parts, s.parts, strict=True)
        )
        for r, s in zip(a.parts, b.parts, strict=True)
    )
    return Node("matrix", parts=tuple(Node("tuple", "()", row) for row in rows))


def multiplied(a: Node, b: Node) -> Node:
    """Return the product of two matrices."""
    if len(a.parts[0].parts) != len(b.parts):
        raise TooLarge("shapes of a product")
    columns = list(zip(*(row.parts for row in b.parts), strict=True))
    rows = (tuple(_dot(row.parts, column) for column in columns) for row in a.parts)
    return Node("matrix", parts=tuple(Node("tuple", "()", row) for row in rows))


def _dot(row: Sequence[Node], column: Sequence[Node]) -> Node:
    total = values.rational(0)
    for x, y in zip(row, column, strict=True):
        total = values.add(total, values.multiply(value_of(x), value_of(y)))
    return node_of(total)


def components(value: Value) -> tuple[Node, ...] | None:
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
    return tuple(map(node_of, found.values()))
