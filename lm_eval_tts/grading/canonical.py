"""The canonical form of an answer: one hashable key for every way to write the same thing.

Equality of answers is equality of keys, so it is reflexive, symmetric and transitive, and classes
of votes do not depend on any order. A key never depends on a reference and grants nothing; what
grading allows on top is in `readings`.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import lru_cache

from lm_eval_tts.grading import values
from lm_eval_tts.grading.fingerprints import significant
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.phrases import SYNONYMS
from lm_eval_tts.grading.tokens import words_of
from lm_eval_tts.grading.trees import Node, complement, components, value_of
from lm_eval_tts.grading.values import TooLarge

EMPTY_WORDS = frozenset(words_of("the a an of there are is"))


@lru_cache(maxsize=50_000)
def key(text: str) -> Hashable:
    """Return the canonical form of an answer."""
    try:
        return form_of(parse(text))
    except TooLarge:
        return ("huge", "".join(text.split()))


def equal(a: str, b: str) -> bool:
    """Say whether two answers are the same by their canonical forms."""
    return a == b or key(a) == key(b)


def form_of(node: Node) -> Hashable:
    """Return the canonical form of a tree. Raises TooLarge."""
    return _KINDS[node.kind](node)


def _value(node: Node) -> Hashable:
    key = value_of(node).key
    if found := components(value_of(node)):
        return ("tuple", "vector", tuple(map(form_of, found)))
    return ("value", key, node.unit) if node.unit else ("value", key)


def _list(node: Node) -> Hashable:
    first = node.parts[0] if node.parts else node
    if first.kind == "relation" and first.mark == "!=":  # x ≠ 1, 2 and x ≠ 1, x ≠ 2
        points = [p.parts[1] if p.kind == "relation" else p for p in node.parts]
        return form_of(complement(points))
    members = frozenset(map(form_of, node.parts))
    if len(members) == 1:
        return next(iter(members))
    return ("list", members)


def _tuple(node: Node) -> Hashable:
    rows = node.parts
    is_table = node.mark == "[]" and all(row.kind == "tuple" and row.mark == "[]" for row in rows)
    if is_table and len({len(row.parts) for row in rows}) == 1:  # [[1, 2], [3, 4]], as in programs
        return _matrix(Node("matrix", parts=tuple(row._replace(mark="()") for row in rows)))
    return ("tuple", node.mark, tuple(map(form_of, node.parts)))


def _matrix(node: Node) -> Hashable:
    rows = [row.parts for row in node.parts]
    if len(rows) == 1 or all(len(row) == 1 for row in rows):  # a vector, standing or lying
        return ("tuple", "vector", tuple(form_of(cell) for row in rows for cell in row))
    return ("matrix", tuple(tuple(form_of(cell) for cell in row.parts) for row in node.parts))


def _relation(node: Node) -> Hashable:
    if node.mark == "!=":
        return form_of(complement([node.parts[1]]))
    if node.mark == "=" and all(side.kind == "value" for side in node.parts):
        return _equation(node)
    if node.mark in ("<", "<=", ">", ">=") and all(side.kind == "value" for side in node.parts):
        left, right = node.parts if node.mark[0] == "<" else node.parts[::-1]
        difference = values.add(value_of(left), values.negate(value_of(right)))
        first, second = difference.number
        size = abs(first)
        return (
            ("order", "=" in node.mark, significant(first / size), significant(second / size))
            if size
            else ("order",)
        )
    return ("relation", node.mark, tuple(map(form_of, node.parts)))


def _equation(node: Node) -> Hashable:
    """Equations are the same if their differences are, up to a factor."""
    left, right = map(value_of, node.parts)
    difference = values.add(left, values.negate(right))
    first, second = difference.number
    if not first or not second:
        return ("identity", frozenset((left.key, right.key)))
    return ("equation", significant(first / second))


def _named(node: Node) -> Hashable:
    """An equation in variables, or a value with the name of what it is."""
    name, side = node.parts
    if (
        side.kind == "value"
        and side.value is not None
        and name.kind == "value"
        and (side.value.variables or not side.value.atoms)
    ):
        return _equation(node)
    return ("named", form_of(name), form_of(side))


def _text(node: Node) -> Hashable:
    words = [word for word in node.mark.replace("-", " ").split() if word not in EMPTY_WORDS]
    plain = " ".join(words)
    return ("text", SYNONYMS.get(plain, plain))


def _opaque(node: Node) -> Hashable:
    return ("opaque", re.sub(r"\s", "", node.mark))


def _base(node: Node) -> Hashable:
    return ("base", node.mark, node.parts[0].mark)


_KINDS = {
    "value": _value, "list": _list, "tuple": _tuple, "matrix": _matrix, "relation": _relation,
    "named": _named, "text": _text, "opaque": _opaque, "base": _base,
}  # fmt: skip
