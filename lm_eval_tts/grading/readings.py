"""What an answer may leave out or write differently, and still be that of the reference.

Equality is strict. Grading against a reference also tries these readings, each a named rule of
`readings.yaml` with direction, reason and example; votes never do. A rule gives other trees of the
same answer; one that drops something (a unit, a name) is tried on one side.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress

from lm_eval_tts.grading import values
from lm_eval_tts.grading.lexicon import read_data, words_of
from lm_eval_tts.grading.trees import Node, form_of, is_name, node_of, unnamed
from lm_eval_tts.grading.units import UNIT_LETTERS, make_mark, unit_of
from lm_eval_tts.grading.values import UNREADABLE

MAX_TREES = 24
ASIDES = words_of("asides")
_OTHER_MARKS = {"()": "vector", "[]": "vector", ":": "time", "to": ":"}


def _without_name(node: Node) -> Iterator[Node]:
    bare = unnamed(node)
    parts = node.parts if node.kind in ("list", "tuple") else ()
    named = [(part.parts[0].value, unnamed(part)) for part in parts if part != unnamed(part)]
    names = {value.op if value else "": side for value, side in named}
    if len(names) == len(parts) > 1:  # x = 1, y = 2 for (1, 2)
        yield Node("tuple", "()", tuple(names[name] for name in sorted(names)))
        yield Node("list", "named", bare.parts)
    elif bare != node:
        yield bare


def _without_unit(node: Node) -> Iterator[Node]:
    if node.kind in ("list", "tuple"):
        yield node.mapped(lambda part: next(_without_unit(part), part))
    elif node.mark == "%" and abs(node.exact.number[0]) >= 0.01:
        yield node_of(node.exact * values.rational(100))
    elif node.unit:
        yield node_of(node.exact)


def _letter_as_unit(node: Node) -> Iterator[Node]:
    """A decimal number times letters that are units: 0.64 N, but not 5/7 g."""
    found = list(node.value.factors()) if node.value and not node.unit else []
    letters = [(str(unit_of(f.op)), int(rate)) for f, rate in found if f.op in UNIT_LETTERS]
    others = [f for f, _ in found if f.op not in UNIT_LETTERS]
    number = others[0].constant if len(others) == 1 else None
    if letters and number and abs(number) != 1 and 10**40 % number.denominator == 0:
        yield Node("value", value=others[0], unit=make_mark(letters))


def _other_brackets(node: Node) -> Iterator[Node]:
    if node.kind == "tuple" and node.mark in _OTHER_MARKS:
        yield node._replace(mark=_OTHER_MARKS[node.mark])
    if (node.kind, node.mark, len(node.parts)) == ("tuple", ":", 2):
        yield node_of(node.parts[0].exact / node.parts[1].exact)
    if node.kind == "list" and not node.mark:
        yield Node("tuple", "()", node.parts)
    if node.value and node.value.variables & {"j", "k"}:  # 2i - 3j
        found, rest = [], node.value
        for axis in "ijk" if "k" in rest.names else "ij":
            slope, rest = rest.linear(axis) or (rest, rest)
            found.append(node_of(slope))
        if rest.constant == 0:
            yield Node("tuple", "()", tuple(found))


def _as_function(node: Node) -> Iterator[Node]:
    is_equation = (node.kind, node.mark) == ("relation", "=") and is_name(node.parts[0])
    if is_equation and "(" in node.parts[0].exact.op:
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
        if is_constant or (name in "kmnl" and is_angle and not b.variables):
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
    found = list(trees)
    for tree in found:  # which grows
        for rule in rules if len(found) < MAX_TREES else ():
            with suppress(*UNREADABLE):
                found.extend(other for other in rule(tree) if other not in found)
    return found[:MAX_TREES]


def keys(trees: Sequence[Node], side: str) -> set[Hashable]:
    """Return the canonical forms of trees and of their readings."""
    return set(map(form_of, closure(trees, side)))
