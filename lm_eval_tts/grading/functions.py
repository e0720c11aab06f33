"""Functions of exact values: rational where the result is known to be, else what they come to.

Knows arithmetic only: no text, no LaTeX.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from lm_eval_tts.grading.values import (
    CTX,
    NotAFormula,
    TooLarge,
    Value,
    made,
    pseudo_number,
    rational,
)

MAX_FACTORIAL = 400
MAX_ARGUMENT = 10**6  # of functions that grow or oscillate, beyond which digits are lost
# Logarithms without a base are natural ones, as in sympy; log_b is read apart.
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(CTX, name) for name in ("sin", "cos", "tan", "cot", "sec", "csc")},
    **{name: getattr(CTX, name) for name in ("sinh", "cosh", "tanh", "exp", "log", "arg")},
    **{f"arc{name}": getattr(CTX, f"a{name}") for name in ("sin", "cos", "tan", "cot")},
    **{"cis": CTX.expj, "ln": CTX.log, "Re": CTX.re, "Im": CTX.im},
}
# |x| of a variable is x times a constant of its own, so that |-x| and |x| agree and x differs.
_SIZE = pseudo_number("| |")


def _function(name: str, arguments: tuple[Value, ...], rule: Callable[..., Any]) -> Value:
    """Return a function of values by what it comes to."""
    try:
        return made(name, arguments, *map(rule, *(a.number for a in arguments)))
    except (ArithmeticError, ValueError, TypeError) as error:
        raise TooLarge(name) from error


def apply(name: str, argument: Value) -> Value:
    """Return the function of a value."""
    if name not in ("ln", "log") and any(abs(n) > MAX_ARGUMENT for n in argument.number):
        raise TooLarge(name)
    return _function(name, (argument,), FUNCTIONS[name])


def _whole(found: Sequence[Value], least: int | None = None) -> list[int]:
    """Whole numbers. Raises NotAFormula if they are not, or less than the least one allowed."""
    numbers = [value.constant for value in found]
    if any(n is None or n.denominator != 1 or (least is not None and n < least) for n in numbers):
        raise NotAFormula("whole numbers")
    return [int(n or 0) for n in numbers]


def factorial(value: Value) -> Value:
    """Return the factorial of a small natural number, or of a variable."""
    if value.constant is None:
        return _function("factorial", (value,), lambda x: CTX.gamma(x + 1))
    if value.constant > MAX_FACTORIAL:
        raise TooLarge("factorial")
    return rational(math.factorial(*_whole([value], 0)))


def binomial(top: Value, bottom: Value) -> Value:
    """Return a binomial coefficient, of small natural numbers or of variables."""
    if top.constant is None or bottom.constant is None:
        return _function("binom", (top, bottom), CTX.binomial)
    if top.constant > MAX_FACTORIAL:
        raise TooLarge("binomial")
    return rational(math.comb(*_whole([top, bottom], 0)))


def absolute(value: Value) -> Value:
    """Return the absolute value."""
    if value.constant is not None:
        return rational(abs(value.constant))
    if not value.variables:
        return _function("abs", (value,), abs)
    sizes = (size * CTX.sqrt(n * n) for size, n in zip(_SIZE, value.number, strict=True))
    return made("abs", (value,), *sizes)


def rounded(name: str, value: Value) -> Value:
    """Return the floor or the ceiling of a value, by what it comes to."""
    if value.variables:
        return _function(name, (value,), lambda x: x + pseudo_number(name)[0])
    number = value.number[0]
    if CTX.im(number):
        raise NotAFormula("rounding of a complex number")
    return rational(int(CTX.floor(number) if name == "floor" else CTX.ceil(number)))


def _ordered(found: Sequence[Value]) -> list[Value]:
    if any(value.variables or CTX.im(value.number[0]) for value in found):
        raise NotAFormula("an order")
    return sorted(found, key=lambda value: CTX.re(value.number[0]))


# Functions of several values.
SEVERAL: dict[str, Callable[[Sequence[Value]], Value]] = {
    "gcd": lambda found: rational(math.gcd(*_whole(found))),
    "lcm": lambda found: rational(math.lcm(*_whole(found))),
    "max": lambda found: _ordered(found)[-1],
    "min": lambda found: _ordered(found)[0],
}
