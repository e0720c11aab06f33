"""Whether two answers are the same, and whether one is that of a reference, or nearly so.

Equality is that of canonical forms, so an equivalence: classes of votes do not depend on an order.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.lexicon import words_of
from lm_eval_tts.grading.readings import closure, keys
from lm_eval_tts.grading.tokens import tidy, tokens
from lm_eval_tts.grading.trees import Node, form_of, unnamed
from lm_eval_tts.grading.units import size
from lm_eval_tts.grading.values import CTX, UNREADABLE

MAX_ANSWER_LENGTH = 2_000
_LETTERS = frozenset("ABCDEFGHIJ")
_NO_SIGNS = str.maketrans("", "", "$*")
_UNFINISHED = tuple(f"\\{name}" for name in words_of("unfinished"))
# A decimal, or what is before a power of ten: 7.2, 4.5e33, 3 \times 10^8.
_DECIMAL = re.compile(r"\d*\.\d+|\d+(?=[eE]|\s*(?:\\times|\\cdot|[x*×])\s*10\s*\^)")


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
            if keys([*one, *_of_label(label)], "either") & keys(other, "both"):
                return True
    except UNREADABLE:
        return False
    text = tidy(answer + reference)
    return None if any(mark in text for mark in _UNFINISHED) else False


def _of_label(text: str) -> list[Node]:
    """The letter and the value of a choice such as (C) 24."""
    text = tidy(text.translate(_NO_SIGNS))
    head = [token for token in tokens(text) if token.kind != "("][:3]
    if len(head) < 3 or head[0].text not in _LETTERS or head[1].text not in (")", ".", ":"):
        return []
    return [parse(head[0].text), parse(text[head[1].end :].lstrip(" }"))]


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
    def of(cls, settings: Mapping[str, Any] | None) -> Tolerance | None:
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
        (factor, dimension), (base, other) = size(given.unit), size(wanted.unit)
        if not tolerance.units or dimension != other:
            return False
        number *= factor / base
    allowed = [abs(target) / 10**30]
    if mantissa := _DECIMAL.search(reference):
        places = len(mantissa[0].partition(".")[2])
        half = abs(target) / (CTX.mpf(mantissa[0]) or 1) / 10**places / 2  # of the last digit
        allowed += [tolerance.absolute, abs(target) * tolerance.relative, tolerance.digits * half]
    return bool(abs(number - target) <= max(allowed) * (1 + 1e-12))
