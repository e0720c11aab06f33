"""Functions and powers of exact values: rational where the result is known to be, or opaque atoms.

Whole powers are worked out by squaring, roots by the primes in them.

Knows arithmetic only: no text, no LaTeX.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from lm_eval_tts.grading import values
from lm_eval_tts.grading.values import CTX, Atom, NotAFormula, TooLarge, Value

MAX_FACTORIAL = 400
MAX_POWER = 40  # of a sum of several terms
TRIAL_LIMIT = 10_000  # trial division; a rest below its square is a prime

# Logarithms without a base are natural ones, as in computer algebra; log_b is read apart.
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(CTX, name) for name in ("sin", "cos", "tan", "cot", "sec", "csc")},
    **{name: getattr(CTX, name) for name in ("sinh", "cosh", "tanh", "exp", "log", "arg")},
    **{f"arc{name}": getattr(CTX, f"a{name}") for name in ("sin", "cos", "tan", "cot")},
    **{"cis": CTX.expj, "ln": CTX.log, "Re": CTX.re, "Im": CTX.im},
}
# |x| of a variable is x times a constant of its own, so that |-x| and |x| agree and x differs.
_SIZE = values.pseudo_number("| |")
MAX_ARGUMENT = 10**6  # of functions that grow or oscillate, beyond which digits are lost


def _function(name: str, argument: Value, rule: Callable[[Any], Any]) -> Value:
    """Return a function of a value as an opaque atom."""
    try:
        first, second = argument.number
        number = rule(first), rule(second)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise TooLarge(name) from error
    return values.opaque(name, (argument,), number)


def apply(name: str, argument: Value) -> Value:
    """Return the function of a value."""
    if name != "ln" and name != "log" and any(abs(n) > MAX_ARGUMENT for n in argument.number):
        raise TooLarge(name)
    return _function(name, argument, FUNCTIONS[name])


def logarithm(argument: Value, base: Value) -> Value:
    """Return the logarithm to a base."""
    return values.divide(apply("log", argument), apply("log", base))


def factorial(value: Value) -> Value:
    """Return the factorial of a small natural number, or of a variable."""
    number = value.constant
    if number is None:
        return _function("factorial", value, lambda x: CTX.gamma(x + 1))
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
        return _function("abs", value, abs)
    first, second = (size * CTX.sqrt(n * n) for size, n in zip(_SIZE, value.number, strict=True))
    return values.opaque("abs", (value,), (first, second))


def rounded(name: str, value: Value) -> Value:
    """Return the floor or the ceiling of a value, by what it comes to."""
    if value.variables:
        return _function(name, value, lambda x: x + values.pseudo_number(name)[0])
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


def power(base: Value, exponent: Value) -> Value:
    """Return base to the power of exponent; principal values, but real roots of odd degree."""
    rate = exponent.constant
    if rate is None or abs(rate.numerator) > 10_000 or rate.denominator > 100:
        if rate is not None and base.constant not in (0, 1, -1):
            raise TooLarge("exponent")
        return _opaque_power(base, exponent)
    if rate.denominator == 1:
        return _whole_power(base, rate.numerator)
    return _root_power(base, rate) or _opaque_power(base, exponent)


def _whole_power(base: Value, exponent: int) -> Value:
    if exponent < 0:
        return _whole_power(values.divide(values.rational(1), base), -exponent)
    if base.constant is not None:
        return values.rational(values.rational_power(base.constant, exponent))
    several = max(len(base.top), len(base.bottom)) > 1
    if exponent > (MAX_POWER if several else 1_000):
        raise TooLarge("power")
    result, square = values.rational(1), base
    while exponent:
        if exponent & 1:
            result = values.multiply(result, square)
        exponent >>= 1
        if exponent:
            square = values.multiply(square, square)
    return result


def _root_power(base: Value, rate: Fraction) -> Value | None:
    """A fractional power of a single product, if it is one again without loss of a sign."""
    if not base.top:
        return values.rational(0) if rate > 0 else None
    if len(base.top) != 1 or base.bottom != values.ONE:
        return None
    ((product, factor),) = base.top.items()
    if any(atom.kind in ("unit", "opaque", "binder") for atom, _ in product) or any(
        atom.kind == "free" and r != 1 for atom, r in product
    ):
        return None
    if factor < 0 and (product or rate.denominator % 2 == 0) and rate.denominator != 2:
        return None
    result = Value({tuple((atom, r * rate) for atom, r in product): Fraction(1)}, values.ONE)
    result = values.multiply(result, values.rational(1))  # takes whole powers of primes out
    for number, sign in ((abs(factor.numerator), 1), (factor.denominator, -1)):
        for prime, count in _factor(number).items():
            atom = Atom(str(prime), "prime", (CTX.mpf(prime), CTX.mpf(prime)))
            result = values.multiply(
                result, Value({((atom, count * sign * rate),): Fraction(1)}, values.ONE)
            )
    if factor < 0 and rate.denominator == 2:
        return values.multiply(result, _whole_power(values.IMAGINARY_UNIT, rate.numerator % 4))
    return values.negate(result) if factor < 0 and rate.numerator % 2 else result


def _factor(number: int) -> dict[int, int]:
    factors: dict[int, int] = {}
    divisor = 2
    while divisor * divisor <= number and divisor <= TRIAL_LIMIT:
        while number % divisor == 0:
            factors[divisor] = factors.get(divisor, 0) + 1
            number //= divisor
        divisor += 1
    if number > TRIAL_LIMIT**2:
        raise TooLarge("factors")
    if number > 1:
        factors[number] = factors.get(number, 0) + 1
    return factors


def _opaque_power(base: Value, exponent: Value) -> Value:
    try:
        numbers = [b**e for b, e in zip(base.number, exponent.number, strict=True)]
    except (ArithmeticError, ValueError) as error:
        raise TooLarge("power") from error
    return values.opaque("power", (base, exponent), (numbers[0], numbers[1]))
