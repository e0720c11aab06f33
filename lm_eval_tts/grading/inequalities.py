"""Inequalities of one variable as the interval they say: x >= 2, 1 < 2x + 3 <= 7.

Knows the order of their sides; what an end means is for `answers` to say.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lm_eval_tts.grading import values
from lm_eval_tts.grading.expressions import read_value
from lm_eval_tts.grading.values import TooLarge, Value

_COMPARISON = re.compile(r"\\(le|ge|lt|gt|ne)(?![A-Za-z])|(<=|>=|<|>)")
_SIGNS = {"le": "<=", "ge": ">=", "lt": "<", "gt": ">"}
_VARIABLE = re.compile(r"(?:[a-zA-Z]|\\[a-z]+)(?:\([a-z]\)|_\d)?")


class Interval(NamedTuple):
    """mark: the two brackets. lower, upper: as written, or already worked out."""

    mark: str
    lower: str | Value
    upper: str | Value


class _Bound(NamedTuple):
    value: Value
    is_upper: bool


def read_interval(text: str) -> Interval | None:
    """Return the interval of an inequality; None if the text is none, or not of one variable."""
    parts = _COMPARISON.split(text)
    if len(parts) not in (4, 7) or "ne" in parts:
        return None
    sides = [side.strip() for side in parts[::3]]
    signs = [parts[i] or parts[i + 1] for i in range(1, len(parts), 3)]
    signs = [_SIGNS.get(sign, sign) for sign in signs]
    if signs[0][0] == ">":
        sides, signs = sides[::-1], [sign.replace(">", "<") for sign in signs[::-1]]
    if any(sign[0] != "<" for sign in signs):
        return None
    return _between(sides, signs) or _solved(sides, signs)


def _between(sides: list[str], signs: list[str]) -> Interval | None:
    """Of a variable that stands alone."""
    if len(sides) == 2 and _VARIABLE.fullmatch(sides[1]):
        sides, signs = [*sides, "\\infty"], [*signs, "<"]
    elif len(sides) == 2:
        sides, signs = ["-\\infty", *sides], ["<", *signs]
    if not _VARIABLE.fullmatch(sides[1]):
        return None
    return Interval(_mark(*signs), sides[0], sides[2])


def _solved(sides: list[str], signs: list[str]) -> Interval | None:
    """Of a variable in a linear formula."""
    ends: dict[bool, tuple[str | Value, str]] = {False: ("-\\infty", "<"), True: ("\\infty", "<")}
    for left, right, sign in zip(sides, sides[1:], signs, strict=False):
        if not (bound := _bound(left, right)):
            return None
        ends[bound.is_upper] = (bound.value, sign)
    (lower, lower_sign), (upper, upper_sign) = ends[False], ends[True]
    return Interval(_mark(lower_sign, upper_sign), lower, upper)


def _mark(lower: str, upper: str) -> str:
    return ("[" if lower == "<=" else "(") + ("]" if upper == "<=" else ")")


def _bound(left: str, right: str) -> _Bound | None:
    """What left < right says of the only variable, if both sides are linear in it."""
    try:
        low, high = read_value(left), read_value(right)
    except TooLarge:
        return None
    if low is None or high is None:
        return None
    difference = values.add(low, values.negate(high))
    slopes = [product for product in difference.top if any(a.kind == "free" for a, _ in product)]
    if difference.bottom != values.ONE or len(slopes) != 1 or len(difference.variables) != 1:
        return None
    ((atom, rate), *others) = slopes[0]
    if others or rate != 1 or atom.name == "∞":
        return None
    slope = difference.top[slopes[0]]
    rest = {product: -f / slope for product, f in difference.top.items() if product != slopes[0]}
    return _Bound(Value(rest, values.ONE), slope > 0)
