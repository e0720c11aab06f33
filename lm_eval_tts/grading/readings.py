"""What an answer may leave out or write differently, and still be that of the reference.

Equality (`canonical`) is strict. Grading against a reference also tries these readings, each a
named rule of `readings.yaml` with direction, reason and example; votes never do. A rule gives
other trees of the same answer; one that drops something (a unit, a name) is tried on one side.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress

from lm_eval_tts.grading import values
from lm_eval_tts.grading.canonical import form_of, unnamed
from lm_eval_tts.grading.lexicon import UNIT_LETTERS, make_mark, read_data, unit_of, words_of
from lm_eval_tts.grading.trees import Node, components, is_name, node_of
from lm_eval_tts.grading.values import Unreadable

MAX_TREES = 24
ASIDES = words_of("asides")
_OTHER_MARKS = {"()": "vector", "[]": "vector", ":": "time", "to": ":"}


def _without_name(node: Node) -> Iterator[Node]:
    bare = unnamed(node)
    parts = node.parts if node.kind in ("list", "tuple") else ()
    names = {_names(part): unnamed(part) for part in parts if part != unnamed(part)}
    if len(names) == len(parts) > 1:  # x = 1, y = 2 for (1, 2)
        yield Node("tuple", "()", tuple(names[name] for name in sorted(names)))
        yield Node("list", "named", bare.parts)
    elif bare != node:
        yield bare


def _names(equation: Node) -> tuple[str, ...]:
    return tuple(sorted(equation.parts[0].value.names)) if equation.parts[0].value else ()


def _without_unit(node: Node) -> Iterator[Node]:
    if node.kind in ("list", "tuple"):
        bare = node.mapped(lambda part: next(_without_unit(part), part))
        yield from [bare] if bare != node else []
    elif node.mark == "%" and abs(node.exact.number[0]) >= 0.01:
        yield node_of(node.exact * values.rational(100))
    elif node.unit:
        yield node_of(node.exact)


def _letter_as_unit(node: Node) -> Iterator[Node]:
    """A decimal number times letters that are units: 0.64 N, but not 5/7 g."""
    found = list(node.value.factors()) if node.value and not node.unit else []
    letters = [(str(unit_of(f.op)), int(rate)) for f, rate in found if f.op in UNIT_LETTERS]
    factor = values.rational(1)
    for other, rate in found:
        if other.op not in UNIT_LETTERS:
            factor *= values.power(other, values.rational(rate))
    number = factor.constant
    if letters and number and abs(number) != 1 and 10**40 % number.denominator == 0:
        yield Node("value", value=factor, unit=make_mark(letters))


def _other_brackets(node: Node) -> Iterator[Node]:
    if node.kind == "tuple" and node.mark in _OTHER_MARKS:
        yield node._replace(mark=_OTHER_MARKS[node.mark])
    if (node.kind, node.mark, len(node.parts)) == ("tuple", ":", 2):
        yield node_of(node.parts[0].exact / node.parts[1].exact)
    if node.kind == "list" and not node.mark:
        yield Node("tuple", "()", node.parts)
    if node.value and (found := components(node.value)):
        yield Node("tuple", "()", found)


def _as_function(node: Node) -> Iterator[Node]:
    is_equation = (node.kind, node.mark) == ("relation", "=")
    if is_equation and is_name(node.parts[0]) and "(" in "".join(_names(node)):
        yield node._replace(parts=(node_of(values.free("y")), node.parts[1]))


def _without_aside(node: Node) -> Iterator[Node]:
    words = node.mark.split() if node.kind == "text" else []
    ends = [at for at, word in enumerate(words) if at and word in ASIDES]
    if ends:
        yield node._replace(mark=" ".join(words[: ends[0]]))


def _any_letter(node: Node) -> Iterator[Node]:
    """The constant of x² + C; the integer of π/4 + nπ and of 30° + 360° k."""
    if node.kind in ("relation", "list"):
        yield node.mapped(lambda part: next(_any_letter(part), part))
    whole = node.value or values.rational(0)
    for name in whole.variables:
        a, b = whole.linear(name) or (whole, whole)
        is_constant = name[0] in "CKck" and a.constant == 1 and b.names
        is_angle = a.names == {"π"} or node.unit == (("degree", 1),)
        if is_constant or (name in ("k", "n", "m", "l") and is_angle and not b.variables):
            yield node._replace(value=b + a * values.free("any integer"))


_RULES: dict[str, Callable[[Node], Iterator[Node]]] = {
    "no name": _without_name,
    "no unit": _without_unit,
    "letter as a unit": _letter_as_unit,
    "brackets": _other_brackets,
    "name of a function": _as_function,
    "words around a word": _without_aside,
    "any letter": _any_letter,
}
READINGS: list[dict[str, str]] = read_data("readings.yaml")


def closure(trees: Sequence[Node], side: str) -> list[Node]:
    """Return trees and what they become by the readings of "both" sides or of "either"."""
    rules = [_RULES[row["name"]] for row in READINGS if row["of"] in ("both", side)]
    found, at = list(trees), 0
    while at < len(found) < MAX_TREES:
        for rule in rules:
            with suppress(Unreadable):
                found.extend(tree for tree in rule(found[at]) if tree not in found)
        at += 1
    return found[:MAX_TREES]


def keys(trees: Sequence[Node], side: str) -> set[Hashable]:
    """Return the canonical forms of trees and of their readings."""
    found: set[Hashable] = set()
    for tree in closure(trees, side):
        with suppress(Unreadable):
            found.add(form_of(tree))
    return found
