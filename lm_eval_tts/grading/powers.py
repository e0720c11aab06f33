"""Powers and roots of exact values: whole powers by squaring, roots by the primes in them.

Knows arithmetic only. What is no single product under its root stays an opaque atom.
"""

from __future__ import annotations

from fractions import Fraction

from lm_eval_tts.grading.values import (
    CTX,
    IMAGINARY_UNIT,
    ONE,
    Atom,
    TooLarge,
    Value,
    divide,
    multiply,
    negate,
    opaque,
    rational,
    rational_power,
)

MAX_POWER = 40  # of a sum of several terms
TRIAL_LIMIT = 10_000  # trial division; a rest below its square is a prime


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
        return _whole_power(divide(rational(1), base), -exponent)
    if base.constant is not None:
        return rational(rational_power(base.constant, exponent))
    several = max(len(base.top), len(base.bottom)) > 1
    if exponent > (MAX_POWER if several else 1_000):
        raise TooLarge("power")
    result, square = rational(1), base
    while exponent:
        if exponent & 1:
            result = multiply(result, square)
        exponent >>= 1
        if exponent:
            square = multiply(square, square)
    return result


def _root_power(base: Value, rate: Fraction) -> Value | None:
    """A fractional power of a single product, if it is one again without loss of a sign."""
    if not base.top:
        return rational(0) if rate > 0 else None
    if len(base.top) != 1 or base.bottom != ONE:
        return None
    ((product, factor),) = base.top.items()
    if any(atom.kind in ("unit", "opaque", "binder") for atom, _ in product) or any(
        atom.kind == "free" and r != 1 for atom, r in product
    ):
        return None
    if factor < 0 and (product or rate.denominator % 2 == 0) and rate.denominator != 2:
        return None
    result = Value({tuple((atom, r * rate) for atom, r in product): Fraction(1)}, ONE)
    result = multiply(result, rational(1))  # takes whole powers of primes out
    for number, sign in ((abs(factor.numerator), 1), (factor.denominator, -1)):
        for prime, count in _factor(number).items():
            atom = Atom(str(prime), "prime", (CTX.mpf(prime), CTX.mpf(prime)))
            result = multiply(result, Value({((atom, count * sign * rate),): Fraction(1)}, ONE))
    if factor < 0 and rate.denominator == 2:
        return multiply(result, _whole_power(IMAGINARY_UNIT, rate.numerator % 4))
    return negate(result) if factor < 0 and rate.numerator % 2 else result


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
    return opaque("power", (base, exponent), (numbers[0], numbers[1]))
