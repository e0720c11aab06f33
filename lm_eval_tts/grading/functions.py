"""Functions of exact values, by what they come to.

Knows arithmetic only: no text, no LaTeX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lm_eval_tts.grading.values import (
    CTX,
    MAX_ARGUMENT,
    TooLarge,
    Value,
    computed,
    pseudo_number,
)

# Logarithms without a base are natural ones, as in sympy; log_b is read apart.
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(CTX, name) for name in ("sin", "cos", "tan", "cot", "sec", "csc")},
    **{name: getattr(CTX, name) for name in ("sinh", "cosh", "tanh", "exp", "log", "arg")},
    **{f"arc{name}": getattr(CTX, f"a{name}") for name in ("sin", "cos", "tan", "cot")},
    **{"cis": CTX.expj, "ln": CTX.log, "Re": CTX.re, "Im": CTX.im},
}


def apply(name: str, argument: Value) -> Value:
    """Return the function of a value."""
    if name not in ("ln", "log") and any(abs(n) > MAX_ARGUMENT for n in argument.number):
        raise TooLarge(name)
    return computed(name, (argument,), FUNCTIONS[name])


def factorial(value: Value) -> Value:
    """Return the factorial."""
    return computed("factorial", (value,), CTX.factorial)


def binomial(top: Value, bottom: Value) -> Value:
    """Return a binomial coefficient."""
    return computed("binom", (top, bottom), CTX.binomial)


def absolute(value: Value) -> Value:
    """Return the absolute value.

    Of a variable it is x times a constant of its own, so that |-x| and |x| agree and x differs.
    """
    size = pseudo_number("| |")[0]
    return computed(
        "abs", (value,), lambda x: size * CTX.sqrt(x * x) if value.variables else abs(x)
    )


def rounded(name: str, value: Value) -> Value:
    """Return the floor or the ceiling of a value."""
    offset = pseudo_number(name)[0]
    rule = getattr(CTX, name)
    return computed(name, (value,), lambda x: x + offset if value.variables else rule(x))
