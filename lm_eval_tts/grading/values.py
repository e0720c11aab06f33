"""Exact values of short expressions: what they come to, and how they are made.

A rational number is itself. Any other value is what it comes to, in 100 digits of which 29 count,
at two fixed points of its variables (identity testing after Schwartz, 1980, and Zippel, 1979), and
`key` is the one hashable form of both. Two values that are not identical would have to agree in
all of these, so no tolerance is involved.

Knows arithmetic only: no text, no LaTeX. Everything is capped, so no operation is slow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath
from mpmath import libmp

CTX = mpmath.mp.clone()
CTX.dps = 100
KEPT_BITS = 96
NOISE = CTX.mpf(2) ** -290  # of the size of the terms; a sum below it is zero
MAX_DENOMINATOR = 10**6  # up to which a number is recognised as a rational one
MAX_SIZE = 2_000
MAX_BITS = 4_000
MAX_EXPONENT = 10**6

Number = tuple[Any, Any]  # at the two points
BINDERS = ("sum", "prod", "int", "lim")  # symbols of what is left open, with their limits
_NAMED = frozenset("πe°∞i")


class Unreadable(ValueError):
    """A text has no exact value here."""


class NotAFormula(Unreadable):
    """It is not a formula of the kinds that are known."""


class TooLarge(Unreadable):
    """The value is undefined, or too large to be worked out."""


@dataclass(frozen=True, slots=True)
class Value:
    """op: "+", "*", "^", a function or its name; "" of a number. parts: what that is applied to.

    constant: the value itself if it is rational as it stands. numbers: what it comes to else.
    names: of the variables and constants in it. size: how many values it is made of.
    """

    op: str
    parts: tuple[Value, ...] = field(default=(), compare=False)
    numbers: Number = (None, None)
    names: frozenset[str] = frozenset()
    constant: Fraction | None = None
    size: int = 1

    @property
    def variables(self) -> frozenset[str]:
        """The names of the variables."""
        return self.names - _NAMED

    @property
    def is_open(self) -> bool:
        """Whether a sum, product, integral or limit is left to be worked out, by its symbol."""
        return any(name.partition("_")[0] in BINDERS for name in self.names)

    @property
    def number(self) -> Number:
        """What the value comes to at the two points."""
        if self.constant is None:
            return self.numbers
        number = CTX.mpf(self.constant.numerator) / self.constant.denominator
        return number, number

    @property
    def key(self) -> Hashable:
        """The one form of the value: a Fraction, or a tuple of rounded numbers."""
        if self.constant is not None:
            return self.constant
        first, second = self.number
        if first == second or abs(first - second) <= abs(first) * NOISE:
            rational_part = recognised(first)
            return rational_part if rational_part is not None else significant(first)
        return significant(first), significant(second)

    @property
    def terms(self) -> list[Value]:
        """The terms of a sum as it stands; the value itself if it is none."""
        return [t for part in self.parts for t in part.terms] if self.op == "+" else [self]

    @property
    def monomial(self) -> tuple[Fraction, dict[str, Fraction]] | None:
        """A rational factor and the powers of names that it multiplies; None of anything else."""
        if self.constant is not None:
            return self.constant, {}
        if self.names == {self.op}:
            return Fraction(1), {self.op: Fraction(1)}
        found = [part.monomial for part in self.parts[: 1 if self.op == "^" else None]]
        if self.op == "*" and (left := found[0]) and (right := found[1]):
            (factor, powers), (other, more) = left, right
            total = {n: powers.get(n, 0) + more.get(n, 0) for n in (*powers, *more)}
            return factor * other, {name: Fraction(rate) for name, rate in total.items() if rate}
        rate = self.parts[1].constant if self.op == "^" else None
        if rate is None or not found[0] or found[0][0] != 1:
            return None
        return Fraction(1), {name: power * rate for name, power in found[0][1].items()}

    def linear(self, name: str) -> tuple[Value, Value] | None:
        """Return a and b of a name + b; None if the value is not linear in it as it stands."""
        if name not in self.names:
            return rational(0), self
        if self.op == name:
            return rational(1), rational(0)
        if self.op not in ("+", "*"):
            return None
        left, right = (part.linear(name) for part in self.parts)
        if not left or not right:
            return None
        (a, b), (c, d) = left, right
        if self.op == "+":
            return a + c, b + d
        return (a * d + b * c, b * d) if a.constant == 0 or c.constant == 0 else None

    def __add__(self, other: Value) -> Value:
        a, b = self.constant, other.constant
        if a is not None and b is not None:
            return rational(a + b)
        if a == 0 or b == 0:
            return other if a == 0 else self
        return made("+", (self, other), *map(_total, self.number, other.number))

    def __neg__(self) -> Value:
        return self * rational(-1)

    def __sub__(self, other: Value) -> Value:
        return self + -other

    def __mul__(self, other: Value) -> Value:
        a, b = self.constant, other.constant
        if a is not None and b is not None:
            return rational(a * b)
        if a == 1 or b == 0:
            return other
        if b == 1 or a == 0:
            return self
        return made(
            "*", (self, other), *(m * n for m, n in zip(self.number, other.number, strict=True))
        )

    def __truediv__(self, other: Value) -> Value:
        return self * power(other, rational(-1))


@lru_cache(maxsize=4096)
def rational(value: Fraction | int) -> Value:
    """Return a rational number as a value."""
    value = Fraction(value)
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise TooLarge("number")
    return Value("", constant=value)


def made(op: str, parts: tuple[Value, ...], *numbers: Any) -> Value:
    """Return a value that is made of others, with its two numbers."""
    is_kept = (not n or abs(CTX.mag(n)) <= MAX_BITS for n in numbers)  # not of inf, nor of nan
    if not all(is_kept):
        raise TooLarge(op)
    size = 1 + sum(part.size for part in parts)
    if size > MAX_SIZE:
        raise TooLarge("parts")
    names: frozenset[str] = frozenset().union(*(part.names for part in parts))
    return Value(op, parts, (numbers[0], numbers[1]), names, size=size)


def _named(name: str, numbers: Number) -> Value:
    return Value(name, (), numbers, frozenset([name]))


@lru_cache(maxsize=4096)
def free(name: str) -> Value:
    """Return a variable, which stands for two positive numbers that depend on its name."""
    return _named(name, pseudo_number(name))


def pseudo_number(name: str) -> Number:
    """Return two numbers between 1/2 and 3/2 that only the name determines."""
    digest = hashlib.sha512(name.encode("utf-8", "replace")).digest()
    halves = int.from_bytes(digest[:32], "big"), int.from_bytes(digest[32:], "big")
    return CTX.mpf(halves[0]) / 2**256 + 0.5, CTX.mpf(halves[1]) / 2**256 + 0.5


# Named numbers that no rational arithmetic relates to others.
PI = _named("π", (+CTX.pi, +CTX.pi))
E = _named("e", (+CTX.e, +CTX.e))
DEGREE = _named("°", (CTX.pi / 180, CTX.pi / 180))
INFINITY = _named("∞", pseudo_number("∞"))
IMAGINARY_UNIT = _named("i", (CTX.mpc(0, 1), CTX.mpc(0, 1)))


def _total(a: Any, b: Any) -> Any:
    """The sum of two numbers; zero where they cancel up to rounding."""
    total = a + b
    return total if abs(total) > NOISE * (abs(a) + abs(b)) else CTX.mpf(0)


def power(base: Value, exponent: Value) -> Value:
    """Return base to the power of exponent; principal values, but real roots of odd degree."""
    number, rate = base.constant, exponent.constant
    if number is not None and rate is not None:
        if (found := _rational_power(number, rate)) is not None:
            return rational(found)
        if number < 0 and rate.denominator % 2:
            root = power(-base, exponent)
            return -root if rate.numerator % 2 else root
    if rate == 1:
        return base
    if any(abs(n) > MAX_EXPONENT for n in exponent.number):
        raise TooLarge("exponent")
    try:
        numbers = [b**e for b, e in zip(base.number, exponent.number, strict=True)]
    except (ArithmeticError, ValueError) as error:
        raise TooLarge("power") from error
    return made("^", (base, exponent), *numbers)


def _rational_power(base: Fraction, rate: Fraction) -> Fraction | None:
    """A power of a rational number if it is rational again. Raises TooLarge."""
    if rate.denominator > 1:
        roots = [_root(n, rate.denominator) for n in (base.numerator, base.denominator)]
        base = Fraction(roots[0] or 0, roots[1] or 1)
        if None in roots:
            return None
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if size * abs(rate.numerator) > MAX_BITS and abs(base) != 1:
        raise TooLarge("power")
    if not base and rate < 0:
        raise TooLarge("division by zero")
    return base**rate.numerator


def _root(number: int, degree: int) -> int | None:
    """The whole root of a whole number, if there is one."""
    if number < 0:
        return None
    root = int(CTX.nint(CTX.root(number, degree)))
    return root if root**degree == number else None


def recognised(number: Any) -> Fraction | None:
    """Return the rational number of small denominator that a number is, if it is one."""
    if abs(CTX.im(number)) > abs(number) * NOISE:
        return None
    top, bottom = libmp.to_rational(CTX.re(number)._mpf_)
    exact = Fraction(int(top), int(bottom))
    found = exact.limit_denominator(MAX_DENOMINATOR)
    return found if abs(exact - found) <= max(Fraction(1), abs(exact)) / 2**280 else None


def significant(number: Any) -> Hashable:
    """Return the leading bits of both parts of a number; what is mere noise is zero."""
    least = abs(number) * NOISE
    parts = (CTX.re(number), CTX.im(number))
    return tuple(libmp.mpf_pos(p._mpf_, KEPT_BITS, "n") if abs(p) > least else 0 for p in parts)
