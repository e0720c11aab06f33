"""What an answer may leave out or write otherwise, and still be that of the reference.

Equality (`canonical`) is strict. Grading against a reference also tries these readings, each a
named rule with its direction, a why and an example; votes never do. docs/grading.md prints the
table. A rule gives other trees of the same answer; one that drops something (a unit, a name) is
tried on one side alone, so that 5 cm is never 5 m by dropping both.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Literal, NamedTuple

from lm_eval_tts.grading import values
from lm_eval_tts.grading.canonical import form_of
from lm_eval_tts.grading.phrases import SYNONYMS
from lm_eval_tts.grading.tokens import words_of
from lm_eval_tts.grading.trees import Node, components, is_name, node_of
from lm_eval_tts.grading.units import UNIT_LETTERS, Mark, make_mark, unit_of
from lm_eval_tts.grading.values import TooLarge, Value

Side = Literal["answer", "reference", "either", "both"]
MAX_TREES = 24


class Leniency(NamedTuple):
    """A rule. side: whose tree it may read otherwise; "either" is one of the two, never both.

    example: an answer and a reference that are the same by this rule.
    """

    name: str
    side: Side
    why: str
    example: tuple[str, str]
    trees: Callable[[Node], Iterator[Node]]


def _without_name(node: Node) -> Iterator[Node]:
    if node.kind == "named" and node.parts[1].kind != "text" and not is_name(node.parts[1]):
        yield node.parts[1]
    if node.kind in ("list", "tuple") and any(p.kind == "named" for p in node.parts):
        named = [p for p in node.parts if p.kind == "named"]
        if len(named) == len(node.parts) and len({form_of(p.parts[0]) for p in named}) == len(
            named
        ):
            ordered = sorted(named, key=lambda p: p.parts[0].value.name if p.parts[0].value else "")
            yield Node("tuple", "()", tuple(p.parts[1] for p in ordered))  # x = 1, y = 2 for (1, 2)
            yield Node("list", "named", tuple(p.parts[1] for p in named))
            return
        yield node._replace(parts=tuple(p.parts[1] if p.kind == "named" else p for p in node.parts))


def _without_unit(node: Node) -> Iterator[Node]:
    if node.kind == "value" and (node.unit or node.mark not in ("", "%")):
        yield node_of(node.value)  # type: ignore[arg-type]
    if node.kind in ("list", "tuple") and any(
        p.unit or p.mark for p in node.parts if p.kind == "value"
    ):
        bare = (
            node_of(p.value) if p.kind == "value" and p.mark != "%" and p.value else p
            for p in node.parts
        )
        yield node._replace(parts=tuple(bare))
    if (split := _letter_unit(node)) is not None:
        yield node_of(split[0])


def _without_percent(node: Node) -> Iterator[Node]:
    if node.kind == "value" and node.mark == "%" and node.value is not None:
        hundredfold = values.multiply(node.value, values.rational(100))
        if (constant := hundredfold.constant) is None or abs(constant) >= 1:
            yield node_of(hundredfold)


def _letter_as_unit(node: Node) -> Iterator[Node]:
    if split := _letter_unit(node):
        yield Node("value", value=split[0], unit=split[1])


def _letter_unit(node: Node) -> tuple[Value, Mark] | None:
    """A decimal number times one letter that is a unit: 0.64 N, but not 5/7 g."""
    if node.kind != "value" or node.unit or node.value is None or len(node.value.top) != 1:
        return None
    ((product, factor),) = node.value.top.items()
    is_unit = product and all(
        atom.name in UNIT_LETTERS and rate.denominator == 1 for atom, rate in product
    )
    if not is_unit or node.value.bottom != values.ONE:
        return None
    rest = factor.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    mark = make_mark((str(unit_of(atom.name)), int(rate)) for atom, rate in product)
    return (values.rational(factor), mark) if rest == 1 and abs(factor) != 1 else None


def _as_vector(node: Node) -> Iterator[Node]:
    if node.kind == "tuple" and node.mark in ("()", "[]"):
        yield node._replace(mark="vector")
    if (
        node.kind == "list"
        and node.mark == ""
        and not any(p.kind in ("tuple", "named", "text") for p in node.parts)
    ):
        yield Node("tuple", "()", node.parts)
    if (
        node.kind == "value"
        and node.value
        and (found := components(node.value))
        and not (found[2].value or node.value).top
    ):
        yield Node("tuple", "()", found[:2])
        yield Node("tuple", "vector", found[:2])


def _as_function(node: Node) -> Iterator[Node]:
    if node.kind == "named" and is_name(node.parts[0]):
        name = next(iter(node.parts[0].value.atoms)).name  # type: ignore[union-attr]
        if len(node.parts[0].value.atoms) == 1 and "(" in name:  # type: ignore[union-attr]
            yield node._replace(parts=(node_of(values.free("y")), node.parts[1]))


def _without_noun(node: Node) -> Iterator[Node]:
    words = node.mark.split() if node.kind == "text" else []
    if len(words) == 2 and words[-1] in _NOUNS:
        yield node._replace(mark=words[0])
    for at in range(1, len(words)):
        tail = " ".join(words[at:])
        if tail in SYNONYMS or tail in SYNONYMS.values():
            yield node._replace(mark=tail)  # the limit does not exist
    for at, word in enumerate(words):
        if at and word in _AFTER:
            yield node._replace(mark=" ".join(words[:at]))
            break


def _as_ratio(node: Node) -> Iterator[Node]:
    if node.kind == "tuple" and node.mark == "to":
        yield node._replace(mark=":")
    if node.kind == "tuple" and node.mark == ":" and len(node.parts) == 2:
        first, second = (p.value for p in node.parts)
        if first is not None and second is not None and second.top:
            yield node_of(values.divide(first, second))


def _as_time(node: Node) -> Iterator[Node]:
    if node.kind == "tuple" and node.mark == ":":
        yield node._replace(mark="time")
        hour = node.parts[0].value.constant if node.parts[0].value else None
        if hour is not None and hour <= 12:
            later = node_of(values.rational(hour % 12 + 12))
            yield Node("tuple", "time", (later, *node.parts[1:]))


def _constant_renamed(node: Node) -> Iterator[Node]:
    if node.kind == "named":
        yield from (
            node._replace(parts=(node.parts[0], side)) for side in _constant_renamed(node.parts[1])
        )
    if (
        node.kind != "value"
        or node.value is None
        or len(node.value.top) < 2
        or node.value.bottom != values.ONE
    ):
        return
    for product, factor in node.value.top.items():
        if (
            factor == 1
            and len(product) == 1
            and product[0][1] == 1
            and product[0][0].name in ("C", "K", "c", "k", "C_1")
        ):
            rest = Value({p: f for p, f in node.value.top.items() if p != product}, values.ONE)
            if rest.atoms and product[0][0].name not in rest.variables:
                yield node_of(values.add(rest, values.free("any constant")))


def _integer_renamed(node: Node) -> Iterator[Node]:
    """π/4 + nπ: a lone letter times π is any integer."""
    if node.kind == "named":
        yield from (
            node._replace(parts=(node.parts[0], s)) for s in _integer_renamed(node.parts[1])
        )
    if node.kind != "value" or node.value is None or not node.value.variables <= set("knml"):
        return
    for product, factor in node.value.top.items():
        names = {atom.name for atom, _ in product}
        if len(names) == 2 and "π" in names and names & node.value.variables:
            rest = {p: f for p, f in node.value.top.items() if p != product}
            multiple = values.multiply(values.PI, values.free("any integer"))
            multiple = values.multiply(multiple, values.rational(factor))
            if not Value(rest, values.ONE).variables and node.value.bottom == values.ONE:
                yield node_of(values.add(Value(rest, values.ONE), multiple))


def _last_side(node: Node) -> Iterator[Node]:
    """Only where the left side is what somebody may ask for: m + n, but not 2x or x² + y²."""
    if (
        node.kind != "relation"
        or node.mark != "="
        or node.parts[0].value is None
        or node.parts[1].value is None
    ):
        return
    if node.parts[0].value.key == node.parts[1].value.key:
        yield node.parts[1]  # both sides are the same
    for left, right in (node.parts, node.parts[::-1]):
        terms = left.value.top.items()  # type: ignore[union-attr]
        if not left.value.variables and not any(a.kind == "binder" for a in left.value.atoms):  # type: ignore[union-attr]
            continue
        is_binder = len(terms) == 1 and all(
            len(p) == 1 and p[0][0].kind == "binder" for p, _ in terms
        )
        is_asked = all(
            abs(f) == 1 and p and all(r == 1 and a.kind == "free" for a, r in p) for p, f in terms
        )
        has_value = is_binder or (is_asked and not right.value.variables)  # type: ignore[union-attr]
        if has_value and left.value.bottom == values.ONE:  # type: ignore[union-attr]
            yield right


def _as_equation_side(node: Node) -> Iterator[Node]:
    """The right side of "area = 5", of "PQ/RS = 2/7" and the like."""
    if (
        node.kind == "relation"
        and node.mark == "="
        and node.parts[0].kind in ("opaque", "text", "base")
    ):
        yield node.parts[1]


def _without_base(node: Node) -> Iterator[Node]:
    if node.kind == "base" and node.parts[0].mark.isdigit():
        yield node_of(values.rational(int(node.parts[0].mark)))


_NOUNS = frozenset(words_of("function functions direction number numbers curve triangle"))
_AFTER = frozenset(
    words_of(
        "centered centred with that which because since as in on of at from for by opening "
        "having whose where due and is was has"
    )
)

READINGS: tuple[Leniency, ...] = (
    Leniency(
        "no name",
        "either",
        "a response may say what its value is called",
        ("x = 3", "3"),
        _without_name,
    ),
    Leniency("no unit", "either", "a question often fixes the unit", ("5 cm", "5"), _without_unit),
    Leniency(
        "no percent sign",
        "either",
        "of a percentage that was asked for as a number",
        ("28%", "28"),
        _without_percent,
    ),
    Leniency(
        "letter as a unit",
        "both",
        "plain text does not tell 5 m from 5 times m",
        ("5 m", "5 meters"),
        _letter_as_unit,
    ),
    Leniency(
        "vector",
        "either",
        "brackets and layout of vectors are a matter of taste",
        ("[1, -2]", "\\begin{pmatrix}1\\\\-2\\end{pmatrix}"),
        _as_vector,
    ),
    Leniency(
        "name of a function",
        "both",
        "y and f(x) name the same",
        ("y = x^2", "f(x) = x^2"),
        _as_function,
    ),
    Leniency(
        "words around a word",
        "either",
        "the reference is the word that counts",
        ("even function", "even"),
        _without_noun,
    ),
    Leniency(
        "ratio", "answer", "3 to 4 is a ratio if the reference is one", ("3 to 4", "3:4"), _as_ratio
    ),
    Leniency("no base", "reference", "a question fixes the base", ("302", "302_5"), _without_base),
    Leniency(
        "time of day", "either", "clocks have 12 or 24 hours", ("20:34", "8:34 p.m."), _as_time
    ),
    Leniency(
        "constant of integration",
        "both",
        "any letter does",
        ("x^2 + K", "x^2 + C"),
        _constant_renamed,
    ),
    Leniency(
        "any integer",
        "both",
        "k in kπ may have any name",
        ("n\\pi", "k\\pi, k \\in \\mathbb{Z}"),
        _integer_renamed,
    ),
    Leniency(
        "what was asked, equals",
        "answer",
        "a response names the sum that was asked for",
        ("m + n = 12", "12"),
        _last_side,
    ),
    Leniency(
        "words, equals",
        "either",
        "the left side says in words what it is",
        ("area of T = 12", "12"),
        _as_equation_side,
    ),
)


def closure(trees: Sequence[Node], side: Side) -> list[Node]:
    """Return trees and what they become by the readings of one side, repeatedly."""
    found, at = list(trees), 0
    while at < len(found) < MAX_TREES:
        node, at = found[at], at + 1
        for reading in READINGS:
            if reading.side in (side, "both") or (side != "both" and reading.side == "either"):
                found += [tree for tree in reading.trees(node) if tree not in found]
    return found[:MAX_TREES]


def keys(trees: Sequence[Node], side: Side) -> set[Hashable]:
    """Return the canonical forms of trees and of their readings."""
    found: set[Hashable] = set()
    for tree in closure(trees, side):
        try:
            found.add(form_of(tree))
        except TooLarge:
            continue
    return found
