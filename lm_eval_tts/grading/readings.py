"""What an answer may leave out or write differently, and still be that of the reference.

Equality (`canonical`) is strict. Grading against a reference also tries these readings, each a
named rule of `readings.yaml` with direction, reason and example; votes never do. A rule gives
other trees of the same answer; one that drops something (a unit, a name) is tried on one side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple

from lm_eval_tts.grading import values
from lm_eval_tts.grading.canonical import form_of, names_value
from lm_eval_tts.grading.lexicon import SYNONYMS, read_data, words_of
from lm_eval_tts.grading.trees import Node, components, is_name, node_of
from lm_eval_tts.grading.units import UNIT_LETTERS, Mark, make_mark, unit_of
from lm_eval_tts.grading.values import Unreadable, Value

MAX_TREES = 24
NOUNS = words_of("nouns")
ASIDES = words_of("asides")
_CONSTANT_NAMES = ("C", "K", "c", "k", "C_1", "K_1", "c_1", "k_1")
_COMMAND_OR_BRACKET = re.compile(r"\\[A-Za-z]+|\([^()]*\)")


class Leniency(NamedTuple):
    """A rule. side: "answer", "reference", "both", or "either" of the two.

    example: an answer and a reference that are the same by this rule.
    """

    name: str
    side: str
    why: str
    example: tuple[str, str]
    trees: Callable[[Node], Iterator[Node]]


def _without_name(node: Node) -> Iterator[Node]:
    if node.kind == "named" and node.parts[1].kind != "text" and not _is_identity(*node.parts):
        yield node.parts[1]
    named = [p for p in node.parts if p.kind == "named"] if node.kind in ("list", "tuple") else []
    if len({form_of(p.parts[0]) for p in named}) == len(node.parts) > 0:
        ordered = sorted(named, key=lambda p: _names(p.parts[0]))
        yield Node("tuple", "()", tuple(p.parts[1] for p in ordered))  # x = 1, y = 2 for (1, 2)
        yield Node("list", "named", tuple(p.parts[1] for p in named))
    elif named:
        yield node.mapped(lambda p: p.parts[1] if p.kind == "named" else p)


def _is_identity(name: Node, side: Node) -> bool:
    """Whether an equation says that two things are the same: S = D, MR = MC, but not E = mgh."""
    letters = [len(_names(part)) for part in (name, side)]
    return is_name(side) and (letters[1] == 1 or letters[0] > 1)


def _names(node: Node) -> list[str]:
    return sorted(node.value.names) if node.value else []


def _without_unit(node: Node) -> Iterator[Node]:
    if node.value and (node.unit or node.mark not in ("", "%")):
        yield node_of(node.value)
    if node.kind in ("list", "tuple") and any(p.value and (p.unit or p.mark) for p in node.parts):
        yield node.mapped(lambda p: node_of(p.value) if p.value and p.mark != "%" else p)
    if split := _letter_unit(node):
        yield node_of(split[0])


def _without_percent(node: Node) -> Iterator[Node]:
    if node.value and node.mark == "%":
        hundredfold = node.value * values.rational(100)
        if hundredfold.constant is None or abs(hundredfold.constant) >= 1:
            yield node_of(hundredfold)


def _letter_as_unit(node: Node) -> Iterator[Node]:
    if split := _letter_unit(node):
        yield Node("value", value=split[0], unit=split[1])


def _letter_unit(node: Node) -> tuple[Value, Mark] | None:
    """A decimal number times one letter that is a unit: 0.64 N, but not 5/7 g."""
    found = node.value.powers if node.value and not node.unit else {}
    letters = {factor.op: int(rate) for factor, rate in found.items() if factor.op in UNIT_LETTERS}
    number = values.rational(1)
    for factor, rate in found.items():
        number = (
            number if factor.op in letters else number * values.power(factor, values.rational(rate))
        )
    if not letters or number.constant in (None, 1, -1) or 10**40 % number.constant.denominator:
        return None
    return number, make_mark((str(unit_of(name)), rate) for name, rate in letters.items())


def _as_vector(node: Node) -> Iterator[Node]:
    if node.kind == "tuple" and node.mark in ("()", "[]"):
        yield node._replace(mark="vector")
    is_plain = not {"tuple", "named", "text"} & {p.kind for p in node.parts}
    if node.kind == "list" and not node.mark and is_plain:
        yield Node("tuple", "()", node.parts)
    found = components(node.value) if node.value else None
    if found and found[2].exact.constant == 0:
        yield Node("tuple", "()", found[:2])
        yield Node("tuple", "vector", found[:2])


def _as_function(node: Node) -> Iterator[Node]:
    if node.kind == "named" and is_name(node.parts[0]):
        names = _names(node.parts[0])
        if len(names) == 1 and "(" in names[0]:
            yield node._replace(parts=(node_of(values.free("y")), node.parts[1]))


def _without_noun(node: Node) -> Iterator[Node]:
    words = node.mark.split() if node.kind == "text" else []
    if len(words) == 2 and words[-1] in NOUNS:
        yield node._replace(mark=words[0])
    for tail in (" ".join(words[at:]) for at in range(1, len(words))):
        if tail in SYNONYMS or tail in SYNONYMS.values():
            yield node._replace(mark=tail)  # the limit does not exist
    ends = [at for at, word in enumerate(words) if at and word in ASIDES]
    if ends:
        yield node._replace(mark=" ".join(words[: ends[0]]))


def _as_ratio(node: Node) -> Iterator[Node]:
    if (node.kind, node.mark) == ("tuple", "to"):
        yield node._replace(mark=":")
    if (node.kind, node.mark, len(node.parts)) == ("tuple", ":", 2):
        yield node_of(node.parts[0].exact / node.parts[1].exact)


def _as_time(node: Node) -> Iterator[Node]:
    if (node.kind, node.mark) == ("tuple", ":"):
        yield node._replace(mark="time")
        hour = node.parts[0].exact.constant
        if hour is not None and hour.denominator == 1 and hour <= 12:
            yield Node("tuple", "time", (node_of(int(hour) % 12 + 12), *node.parts[1:]))


def _of_terms(
    rule: Callable[[Value, Value, Mark], Iterator[Value]],
) -> Callable[[Node], Iterator[Node]]:
    """A rule of a term and the rest of a sum, for each term of a value, named or in a list."""

    def trees(node: Node) -> Iterator[Node]:
        if node.kind == "named":
            yield from (node._replace(parts=(node.parts[0], s)) for s in trees(node.parts[1]))
        if node.kind == "list":
            yield node.mapped(lambda part: next(trees(part), part))
        terms = node.value.terms if node.value and node.value.variables else []
        for term in terms:
            rest = sum((t for t in terms if t is not term), values.rational(0))
            found = rule(term, rest, node.unit)
            yield from (node._replace(value=value) for value in found)

    return trees


def _constant_renamed(term: Value, rest: Value, unit: Mark) -> Iterator[Value]:
    if term.op in _CONSTANT_NAMES and rest.names and term.op not in rest.names:
        yield rest + values.free("any constant")


def _integer_renamed(term: Value, rest: Value, unit: Mark) -> Iterator[Value]:
    """π/4 + nπ, 30° + 360° k: a lone letter times an angle is any integer."""
    letter = "".join(term.variables)
    is_angle = term.names == {letter, "π"} or unit == (("degree", 1),)
    if is_angle and letter in tuple("knml") and not rest.variables:
        yield rest + term / values.free(letter) * values.free("any integer")


def _last_side(node: Node) -> Iterator[Node]:
    if (node.kind, node.mark) != ("relation", "=") or not all(p.value for p in node.parts):
        return
    if node.parts[0].exact.key == node.parts[1].exact.key:
        yield node.parts[1]  # both sides are the same
    for left, right in (node.parts, node.parts[::-1]):
        if names_value(left, right):
            yield right


def _as_equation_side(node: Node) -> Iterator[Node]:
    """The right side of "area = 5", of "PQ/RS = 2/7" and the like."""
    left = node.parts[0] if (node.kind, node.mark) == ("relation", "=") else node
    plain = _COMMAND_OR_BRACKET.sub("", left.mark)
    is_sum = (
        left.kind == "opaque" and any(c in plain for c in "+-") and plain.upper() != plain.lower()
    )
    if left is not node and left.kind in ("opaque", "text", "base") and not is_sum:
        yield node.parts[1]


def _without_base(node: Node) -> Iterator[Node]:
    if node.kind == "base" and node.parts[0].mark.isdigit():
        yield node_of(int(node.parts[0].mark))


_RULES: dict[str, Callable[[Node], Iterator[Node]]] = {
    "no name": _without_name,
    "no unit": _without_unit,
    "no percent sign": _without_percent,
    "letter as a unit": _letter_as_unit,
    "vector": _as_vector,
    "name of a function": _as_function,
    "words around a word": _without_noun,
    "ratio": _as_ratio,
    "no base": _without_base,
    "time of day": _as_time,
    "constant of integration": _of_terms(_constant_renamed),
    "any integer": _of_terms(_integer_renamed),
    "what was asked, equals": _last_side,
    "words, equals": _as_equation_side,
}
READINGS = tuple(
    Leniency(
        row["name"], row["of"], row["why"], (row["answer"], row["reference"]), _RULES[row["name"]]
    )
    for row in read_data("readings.yaml")
)


def closure(trees: Sequence[Node], side: str) -> list[Node]:
    """Return trees and what they become by the readings of one side, repeatedly."""
    sides = ("both",) if side == "both" else (side, "both", "either")
    rules = [reading.trees for reading in READINGS if reading.side in sides]
    found, at = list(trees), 0
    while at < len(found) < MAX_TREES:
        for rule in rules:
            try:
                found += [tree for tree in rule(found[at]) if tree not in found]
            except Unreadable:
                continue
        at += 1
    return found[:MAX_TREES]


def keys(trees: Sequence[Node], side: str) -> set[Hashable]:
    """Return the canonical forms of trees and of their readings."""
    found: set[Hashable] = set()
    for tree in closure(trees, side):
        try:
            found.add(form_of(tree))
        except Unreadable:
            continue
    return found
