"""Functions of exact values: exact where the result is known to be, opaque atoms elsewhere.

Knows arithmetic only: no text, no LaTeX.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from fractions import Fraction

from lm_eval_tts.grading import values
from lm_eval_tts.grading.powers import power
from lm_eval_tts.grading.values import TooLarge, Value

MAX_FACTORIAL = 400

FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "cot": lambda x: 1 / cmath.tan(x),
    "sec": lambda x: 1 / cmath.cos(x),
    "csc": lambda x: 1 / cmath.sin(x),
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "ln": cmath.log,
    "log": cmath.log,
    "exp": cmath.exp,
    "arg": lambda x: complex(cmath.phase(x)),
}
_QUOTIENTS = {"tan": ("sin", "cos"), "cot": ("cos", "sin"), "sec": ("", "cos"), "csc": ("", "sin")}
ONE = values.rational(1)


class NotAFormula(ValueError):
    """The text is not a formula of the kinds that are known here."""


def degree() -> Value:
    """Return the sign of a degree; as an argument of a function it is pi / 180."""
    return values.constant("°", math.pi / 180)


def apply(name: str, argument: Value) -> Value:
    """Return the function of a value."""
    if name in _QUOTIENTS:
        top, bottom = (apply(part, argument) if part else ONE for part in _QUOTIENTS[name])
        return values.divide(top, bottom)
    if name in ("sin", "cos") and (turn := _twelfths(argument)) is not None:
        return _sine(turn if name == "sin" else turn + 6)
    return values.function(name, argument, FUNCTIONS[name])


def _twelfths(angle: Value) -> int | None:
    """How many twelfths of pi an angle is, if that is whole."""
    degrees = values.divide(angle, degree()).constant
    halves = values.divide(angle, values.constant("π", math.pi)).constant
    twelfths = degrees / 15 if degrees is not None else None if halves is None else halves * 12
    return int(twelfths) if twelfths is not None and twelfths.denominator == 1 else None


def _sine(twelfths: int) -> Value:
    """The sine of a multiple of 15 degrees, by roots: sin 15 = (sqrt 6 - sqrt 2) / 4 and so on."""
    twelfths %= 24
    if twelfths >= 12:
        return values.negate(_sine(twelfths - 12))
    quarter = Fraction(1, 4)
    parts = {
        0: (), 1: ((6, quarter), (2, -quarter)), 2: ((1, 2 * quarter),), 3: ((2, 2 * quarter),),
        4: ((3, 2 * quarter),), 5: ((6, quarter), (2, quarter)), 6: ((1, 4 * quarter),),
    }[min(twelfths, 12 - twelfths)]  # fmt: skip
    total = values.rational(0)
    for radicand, factor in parts:
        root = power(values.rational(radicand), values.rational(Fraction(1, 2)))
        total = values.add(total, values.multiply(values.rational(factor), root))
    return total


def factorial(value: Value) -> Value:
    """Return the factorial of a small natural number."""
    number = value.constant
    if number is None:
        return values.function("factorial", value, lambda x: complex(math.gamma(x.real + 1)))
    if number.denominator != 1 or number < 0:
        raise NotAFormula("factorial")
    if number > MAX_FACTORIAL:
        raise TooLarge("factorial")
    return values.rational(math.factorial(int(number)))


def binomial(top: Value, bottom: Value) -> Value:
    """Return a binomial coefficient of small natural numbers."""
    n, k = top.constant, bottom.constant
    if n is None or k is None or n.denominator * k.denominator != 1 or min(n, k) < 0:
        raise NotAFormula("binomial")
    if n > MAX_FACTORIAL:
        raise TooLarge("binomial")
    return values.rational(math.comb(int(n), int(k)))


def absolute(value: Value) -> Value:
    """Return the absolute value."""
    if value.constant is not None:
        return values.rational(abs(value.constant))
    return values.function("abs", value, lambda x: complex(abs(x)))
