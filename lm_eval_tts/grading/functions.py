"""Functions of exact values: rational where the result is known to be, opaque atoms elsewhere.

Knows arithmetic only: no text, no LaTeX.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from lm_eval_tts.grading import values
from lm_eval_tts.grading.values import CTX, TooLarge, Value

MAX_FACTORIAL = 400

# Logarithms without a base are natural ones, as in computer algebra; log_b is read apart.
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(CTX, name) for name in ("sin", "cos", "tan", "cot", "sec", "csc")},
    **{name: getattr(CTX, name) for name in ("sinh", "cosh", "tanh", "exp", "log", "arg")},
    **{f"arc{name}": getattr(CTX, f"a{name}") for name in ("sin", "cos", "tan", "cot")},
    **{"ln": CTX.log, "Re": CTX.re, "Im": CTX.im},
}
# |x| of a variable is x times a constant of its own, so that |-x| and |x| agree and x differs.
_SIZE = values.pseudo_number("| |")
MAX_ARGUMENT = 10**6  # of functions that grow or oscillate, beyond which digits are lost


class NotAFormula(ValueError):
    """The text is not a formula of the kinds that are known here."""


def apply(name: str, argument: Value) -> Value:
    """Return the function of a value."""
    if name != "ln" and name != "log" and any(abs(n) > MAX_ARGUMENT for n in argument.number):
        raise TooLarge(name)
    return values.function(name, argument, FUNCTIONS[name])


def logarithm(argument: Value, base: Value) -> Value:
    """Return the logarithm to a base."""
    return values.divide(apply("log", argument), apply("log", base))


def factorial(value: Value) -> Value:
    """Return the factorial of a small natural number, or of a variable."""
    number = value.constant
    if number is None:
        return values.function("factorial", value, lambda x: CTX.gamma(x + 1))
    if number.denominator != 1 or number < 0:
        raise NotAFormula("factorial")
    if number > MAX_FACTORIAL:
        raise TooLarge("factorial")
    return values.rational(math.factorial(int(number)))


def binomial(top: Value, bottom: Value) -> Value:
    """Return a binomial coefficient, of small natural numbers or of variables."""
    n, k = top.constant, bottom.constant
    if n is None or k is None:
        numbers = [CTX.binomial(a, b) for a, b in zip(top.number, bottom.number, strict=True)]
        return values.opaque("binom", (top, bottom), (numbers[0], numbers[1]))
    if n.denominator * k.denominator != 1 or min(n, k) < 0:
        raise NotAFormula("binomial")
    if n > MAX_FACTORIAL:
        raise TooLarge("binomial")
    return values.rational(math.comb(int(n), int(k)))


def absolute(value: Value) -> Value:
    """Return the absolute value."""
    if value.constant is not None:
        return values.rational(abs(value.constant))
    if not value.variables:
        return values.function("abs", value, abs)
    first, second = (size * CTX.sqrt(n * n) for size, n in zip(_SIZE, value.number, strict=True))
    return values.opaque("abs", (value,), (first, second))


def rounded(name: str, value: Value) -> Value:
    """Return the floor or the ceiling of a value, by what it comes to."""
    if value.variables:
        return values.function(name, value, lambda x: x + values.pseudo_number(name)[0])
    number = value.number[0]
    if CTX.im(number):
        raise NotAFormula("rounding of a complex number")
    return values.rational(int(CTX.floor(number) if name == "floor" else CTX.ceil(number)))


def _integers(found: Sequence[Value]) -> list[int]:
    if any(value.constant is None or value.constant.denominator != 1 for value in found):
        raise NotAFormula("whole numbers")
    return [int(value.constant or 0) for value in found]


def _ordered(found: Sequence[Value]) -> list[Value]:
    if any(value.variables or CTX.im(value.number[0]) for value in found):
        raise NotAFormula("an order")
    return sorted(found, key=lambda value: CTX.re(value.number[0]))


# Functions of several values.
SEVERAL: dict[str, Callable[[Sequence[Value]], Value]] = {
    "gcd": lambda found: values.rational(math.gcd(*_integers(found))),
    "lcm": lambda found: values.rational(math.lcm(*_integers(found))),
    "max": lambda found: _ordered(found)[-1],
    "min": lambda found: _ordered(found)[0],
}
