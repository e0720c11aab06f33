"""Whether an answer is that of a reference: by canonical forms and readings, or nearly so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.grading import readings
from lm_eval_tts.grading.canonical import key, unnamed
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.lexicon import Mark, size, words_of
from lm_eval_tts.grading.tokens import tidy
from lm_eval_tts.grading.trees import Node
from lm_eval_tts.grading.values import CTX, Unreadable, rational

MAX_ANSWER_LENGTH = 2_000
_LABEL = re.compile(r"\(?([A-J])[).:][\s~]*(?=.)")
_FONTS = re.compile(r"\\(?:text|math)?(?:bf|rm|it)?\s*\{([^{}]*)\}|[$*]")
_UNFINISHED = tuple(f"\\{name}" for name in words_of("unfinished"))
# A decimal, or what is before a power of ten: 7.2, 4.5e33, 3 \times 10^8.
_DECIMAL = re.compile(r"\d*\.\d+|\d+(?=[eE]|\s*(?:\\times|\\cdot|[x*×])\s*10\s*\^)")


@lru_cache(maxsize=100_000)
def matches(answer: str, reference: str) -> bool | None:
    """Say whether an answer is that of a reference; None if a sum, limit or integral would
    have to be worked out."""
    answer, reference = answer.strip(), reference.strip()
    if answer == reference or not answer or not reference:
        return answer == reference != ""
    if max(len(answer), len(reference)) > MAX_ANSWER_LENGTH:
        return False
    if key(answer) == key(reference):
        return True
    try:
        if _are_alike(answer, reference):
            return True
    except (Unreadable, RecursionError):
        return False
    text = tidy(answer + reference)
    return None if any(mark in text for mark in _UNFINISHED) else False


def _are_alike(answer: str, reference: str) -> bool:
    given, wanted = [parse(answer)], [parse(reference)]
    if "," in answer:
        given.append(parse(answer, comma=True))  # 1,5 in Europe
    return any(
        readings.keys([*one, *_of_label(text)], "either") & readings.keys(other, "both")
        for one, text, other in ((given, answer, wanted), (wanted, reference, given))
    )


def _of_label(text: str) -> list[Node]:
    """The letter and the value of a choice such as (C) 24."""
    bare = _FONTS.sub(r" \1", text).strip()
    label = _LABEL.match(bare)
    return [parse(part) for part in (label[1], bare[label.end() :])] if label else []


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
        if unknown := set(settings or ()) - set(cls._fields):
            raise SettingsError(
                f"unknown in a tolerance: {', '.join(sorted(unknown))}; "
                f"known are {', '.join(cls._fields)}"
            )
        return cls(**settings) if settings else None


def within(answer: str, reference: str, tolerance: Tolerance) -> bool:
    """Say whether an answer is near enough to a reference."""
    try:
        wanted = _quantities(readings.closure([parse(reference)], "both"))
        given = _quantities(readings.closure([parse(answer)], "either"))
        return any(_near(a, b, reference, tolerance) for a in given for b in wanted)
    except (Unreadable, RecursionError):
        return False


def _quantities(trees: Sequence[Node]) -> list[tuple[Any, Mark]]:
    nodes = [node for node in map(unnamed, trees) if not node.has_variables]
    return [(node.exact.number[0], node.unit) for node in nodes]


def _near(
    given: tuple[Any, Mark], wanted: tuple[Any, Mark], reference: str, tolerance: Tolerance
) -> bool:
    (number, unit), (target, other) = given, wanted
    if unit != other and unit and other:
        (factor, dimension), (base, other_dimension) = size(unit), size(other)
        if not tolerance.units or dimension != other_dimension:
            return False
        number *= rational(factor / base).number[0]
    allowed = [abs(target) * CTX.mpf(10) ** -30]
    if mantissa := _DECIMAL.search(reference):
        allowed += [tolerance.absolute, abs(target) * tolerance.relative]
        if tolerance.digits:
            places = len(mantissa[0].partition(".")[2])
            allowed.append(abs(target) / (CTX.mpf(mantissa[0]) or 1) / 10**places / 2)
    return bool(abs(number - target) <= max(allowed) * (1 + CTX.mpf(10) ** -12))
