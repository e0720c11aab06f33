"""Functions of exact values: rational where the result is known to be, opaque atoms elsewhere.

Knows arithmetic only: no text, no LaTeX.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lm_eval_tts.grading import values
from lm_eval_tts.grading.fingerprints import CTX
from lm_eval_tts.grading.values import TooLarge, Value

MAX_FACTORIAL = 400

# Logarithms without a base are natural ones, as in computer algebra; log_b is read apart.
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin": CTX.sin,
    "cos": CTX.cos,
    "tan": CTX.tan,
    "cot": CTX.cot,
    "sec": CTX.sec,
    "csc": CTX.csc,
    "arcsin": CTX.asin,
    "arccos": CTX.acos,
    "arctan": CTX.atan,
    "arccot": CTX.acot,
    "sinh": CTX.sinh,
    "cosh": CTX.cosh,
    "tanh": CTX.tanh,
    "ln": CTX.log,
    "log": CTX.log,
    "exp": CTX.exp,
    "arg": CTX.arg,
    "Re": CTX.re,
    "Im": CTX.im,
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
        return values.opaque(f"binom({top.key!r},{bottom.key!r})", (numbers[0], numbers[1]))
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
    return values.opaque(f"abs({value.key!r})", (first, second))


def rounded(name: str, value: Value) -> Value:
    """Return the floor or the ceiling of a value, by what it comes to."""
    if value.variables:
        return values.function(name, value, lambda x: x + values.pseudo_number(name)[0])
    number = value.number[0]
    if CTX.im(number):
        raise NotAFormula("rounding of a complex number")
    return values.rational(int(CTX.floor(number) if name == "floor" else CTX.ceil(number)))
