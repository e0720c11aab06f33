"""Whether two answers are the same, and whether one is that of a reference, or nearly so.

Equality is that of canonical forms, so an equivalence: classes of votes do not depend on an order.
Grading against a reference also tries readings, each a named rule of `readings.yaml` with its
direction, reason and example. A rule gives other trees of the same answer; one that drops something
(a unit, a name) is tried on one side.
"""

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from lm_eval_tts.core.disk import read_yaml
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.grading import notation, values
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.notation import UNIT_LETTERS, tidy, tokens, unit_of, words_of
from lm_eval_tts.grading.trees import Node, form_of, is_name, node_of, unnamed
from lm_eval_tts.grading.values import CTX, UNREADABLE

MAX_ANSWER_LENGTH = 2_000
MAX_TREES = 24  # of the readings of an answer
_OPTIONS = frozenset("ABCDEFGHIJ")
_NO_SIGNS = str.maketrans("", "", "$*")
_UNFINISHED = tuple(f"\\{name}" for name in words_of("unfinished"))
# A decimal, or what is before a power of ten: 7.2, 4.5e33, 3 \times 10^8.
_DECIMAL = re.compile(r"\d*\.\d+|\d+(?=[eE]|\s*(?:\\times|\\cdot|[x*×])\s*10\s*\^)")
_OTHER_MARKS = {"()": "vector", "[]": "vector", ":": "time", "to": ":"}


@lru_cache(maxsize=50_000)
def key(text: str, for_vote: bool = False) -> Hashable:
    """Return the canonical form of an answer; of a vote without the name of the value."""
    try:
        return form_of(unnamed(parse(text)) if for_vote else parse(text))
    except UNREADABLE:
        return ("huge", "".join(text.split()))


def equivalent(a: str, b: str) -> bool:
    """Say whether two answers are the same, without any tolerance or leniency.

    Stricter than `grade`: "5 cm" and "5" differ, though the first answers the second.
    """
    return a == b or key(a) == key(b)


def answer_classes(answers: Sequence[str | None]) -> list[int | None]:
    """Return a number for each answer, the same for equal ones; None for a missing answer."""
    numbers: dict[Hashable, int] = {}
    forms = [None if answer is None else key(answer, True) for answer in answers]
    return [None if form is None else numbers.setdefault(form, len(numbers)) for form in forms]


@lru_cache(maxsize=100_000)
def matches(answer: str, reference: str) -> bool | None:
    """Say whether an answer is that of a reference; None if that would have to be worked out."""
    answer, reference = answer.strip(), reference.strip()
    if answer == reference or not answer or not reference:
        return answer == reference != ""
    if max(len(answer), len(reference)) > MAX_ANSWER_LENGTH:
        return False
    try:
        if key(answer) == key(reference):
            return True
        given, wanted = [parse(answer)], [parse(reference)]
        if "," in answer:
            given.append(parse(answer, comma=True))  # 1,5 in Europe
        for one, label, other in ((given, answer, wanted), (wanted, reference, given)):
            forms = set(map(form_of, closure([*one, *_of_label(label)], "either")))
            if not forms.isdisjoint(map(form_of, closure(other, "both"))):
                return True
    except UNREADABLE:
        return False
    text = tidy(answer + reference)
    return None if any(mark in text for mark in _UNFINISHED) else False


def _of_label(text: str) -> list[Node]:
    """The letter and the value of a choice such as (C) 24."""
    text = tidy(text.translate(_NO_SIGNS))
    head = [token for token in tokens(text) if token.kind != "("][:3]
    if len(head) < 3 or head[0].text not in _OPTIONS or head[1].text not in (")", ".", ":"):
        return []
    return [parse(head[0].text), parse(text[head[1].end :].lstrip(" }"))]


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
        yield Node("value", value=others[0], unit=notation.make_mark(letters))


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
    ends = [at for at, word in enumerate(words) if at and word in words_of("asides")]
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
READINGS: list[dict[str, str]] = read_yaml("grading/readings.yaml")


def closure(trees: Sequence[Node], side: str) -> list[Node]:
    """Return trees and what they become by the readings of "both" sides or of "either"."""
    rules = [_RULES[row["name"]] for row in READINGS if row["of"] in ("both", side)]
    found = list(trees)
    for tree in found:  # which grows
        for rule in rules if len(found) < MAX_TREES else ():
            with suppress(*UNREADABLE):
                found.extend(other for other in rule(tree) if other not in found)
    return found[:MAX_TREES]


class Tolerance(NamedTuple):
    """How far an answer may be from a reference that is a decimal; whole numbers are exact.

    relative: a share of the reference, as 0.01. absolute: in its unit. Either is enough.
    digits: half a unit of the last digit that the reference gives. units: 0.5 m is 50 cm.
    """

    relative: float = 0.0
    absolute: float = 0.0
    digits: bool = False
    units: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None) -> "Tolerance | None":
        """Return the tolerance that a task or document names. Raises SettingsError."""
        try:
            return cls(**settings) if settings else None
        except TypeError as error:
            raise SettingsError(f"a tolerance is of {', '.join(cls._fields)}: {error}") from None


def within(answer: str, reference: str, tolerance: Tolerance) -> bool:
    """Say whether an answer is near enough to a reference."""
    try:
        wanted = map(unnamed, closure([parse(reference)], "both"))
        given = list(map(unnamed, closure([parse(answer)], "either")))
        return any(_near(a, b, reference, tolerance) for b in wanted for a in given)
    except UNREADABLE:
        return False


def _near(given: Node, wanted: Node, reference: str, tolerance: Tolerance) -> bool:
    if not given.value or not wanted.value or given.value.variables or wanted.value.variables:
        return False
    number, target = given.value.number[0], wanted.value.number[0]
    if given.unit != wanted.unit and given.unit and wanted.unit:
        (factor, dimension), (base, other) = notation.size(given.unit), notation.size(wanted.unit)
        if not tolerance.units or dimension != other:
            return False
        number *= factor / base
    allowed = [abs(target) / 10**30]
    if mantissa := _DECIMAL.search(reference):
        places = len(mantissa[0].partition(".")[2])
        half = abs(target) / (CTX.mpf(mantissa[0]) or 1) / 10**places / 2  # of the last digit
        allowed += [tolerance.absolute, abs(target) * tolerance.relative, tolerance.digits * half]
    return bool(abs(number - target) <= max(allowed) * (1 + 1e-12))
