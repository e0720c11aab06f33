"""How far an answer may be from a reference: what a task says, and nothing by default.

Whole numbers and fractions are exact always: only a reference that is a decimal can be a rounded
one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.grading.canonical import unnamed
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.readings import closure
from lm_eval_tts.grading.trees import Node
from lm_eval_tts.grading.units import Mark, size
from lm_eval_tts.grading.values import CTX, Unreadable

_DECIMAL = re.compile(r"(?<![\d.])(\d*)\.(\d+)|\d[eE][-+]?\d|10\s*\^")
_POWER = re.compile(r"[eE]|\\times|\s?[x*×]")


class Tolerance(NamedTuple):
    """relative: a share of the reference, as 0.01. absolute: in its unit. Either is enough.

    digits: half a unit of the last digit that the reference gives. units: 0.5 m is 50 cm.
    """

    relative: float = 0.0
    absolute: float = 0.0
    digits: bool = False
    units: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None) -> Tolerance | None:
        """Return the tolerance that a task or document names. Raises SettingsError."""
        if not settings:
            return None
        if unknown := set(settings) - set(cls._fields):
            raise SettingsError(
                f"unknown in a tolerance: {', '.join(sorted(unknown))}; "
                f"known are {', '.join(cls._fields)}"
            )
        return cls(**settings)


def within(answer: str, reference: str, tolerance: Tolerance) -> bool:
    """Say whether an answer is near enough to a reference."""
    try:
        wanted = _quantities(closure([parse(reference)], "both"))
        given = _quantities(closure([parse(answer)], "answer"))
        return any(_near(a, b, reference, tolerance) for a in given for b in wanted)
    except (Unreadable, RecursionError):
        return False


def _quantities(trees: Sequence[Node]) -> list[tuple[Any, Mark]]:
    nodes = map(unnamed, trees)
    found = [
        (n.exact.number[0], n.unit) for n in nodes if n.kind == "value" and not n.has_variables
    ]
    return [(CTX.re(number), unit) for number, unit in found if not CTX.im(number)]


def _near(
    given: tuple[Any, Mark], wanted: tuple[Any, Mark], reference: str, tolerance: Tolerance
) -> bool:
    number, target = given[0], wanted[0]
    if given[1] != wanted[1] and given[1] and wanted[1]:
        (factor, dimension), (other, other_dimension) = size(given[1]), size(wanted[1])
        if not tolerance.units or dimension != other_dimension:
            return False
        number *= CTX.mpf((factor / other).numerator) / (factor / other).denominator
    distance = abs(number - target)
    if distance <= abs(target) * CTX.mpf(10) ** -30:
        return True
    allowed = [tolerance.absolute, abs(target) * tolerance.relative]
    if tolerance.digits:
        exponent = CTX.floor(CTX.log10(abs(target))) if target else 0
        spelled = "".join(filter(str.isdecimal, _POWER.split(reference)[0]))
        digits = len(spelled.lstrip("0")) or 1
        allowed.append(CTX.mpf(10) ** (exponent - digits + 1) / 2)
    is_near = distance <= max(allowed) * (1 + CTX.mpf(10) ** -12)
    return bool(is_near and _DECIMAL.search(reference))
