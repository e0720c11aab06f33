"""Exact values of short expressions: what they come to, and how they are made.

A rational number is itself. Any other value is what it comes to, in 100 digits of which 29 count,
at two fixed points of its variables (identity testing after Schwartz, 1980, and Zippel, 1979), and
`key` is the one hashable form of both. Two values that are not identical would have to agree in
all of these, so no tolerance is involved.

Knows arithmetic only: no text, no LaTeX. Everything is capped, so no operation is slow.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Hashable, Iterator
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
MAX_BITS = 4_000
MAX_ARGUMENT = 10**6  # of powers and functions, beyond which digits are lost

Number = tuple[Any, Any]  # at the two points
BINDERS = ("sum", "prod", "int", "lim", "d/d")  # symbols of what is left open, with their limits
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

    number: what it comes to. constant: the value itself if it is rational as it stands.
    names: of the variables and constants in it.
    """

    op: str
    number: Number
    parts: tuple[Value, ...] = field(default=(), compare=False)
    names: frozenset[str] = frozenset()
    constant: Fraction | None = None

    @property
    def variables(self) -> frozenset[str]:
        """The names of the variables."""
        return self.names - _NAMED

    @property
    def key(self) -> Hashable:
        """The one form of the value: a Fraction, or a tuple of rounded numbers."""
        if self.constant is not None:
            return self.constant
        first, second = self.number
        if abs(first - second) > abs(first) * NOISE:
            return significant(first), significant(second)
        found = recognised(first)
        return significant(first) if found is None else found

    @property
    def terms(self) -> list[Value]:
        """The terms of a sum as it stands; the value itself if it is none."""
        return [t for part in self.parts for t in part.terms] if self.op == "+" else [self]

    def factors(self, rate: Fraction = Fraction(1)) -> Iterator[tuple[Value, Fraction]]:
        """The factors of a product as it stands, with their exponents."""
        if self.op == "*":
            for part in self.parts:
                yield from part.factors(rate)
        elif self.op == "^" and (own := self.parts[1].constant) is not None:
            yield from self.parts[0].factors(rate * own)
        else:
            yield self, rate

    def linear(self, name: str) -> tuple[Value, Value] | None:
        """Return a and b of a name + b; None if the value is not linear in it as it stands."""
        if name not in self.names:
            return rational(0), self
        if self.op == name:
            return rational(1), rational(0)
        found = [part.linear(name) for part in self.parts] if self.op in ("+", "*") else [None]
        if None in found:
            return None
        (a, b), (c, d) = filter(None, found)
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
        return made("*", (self, other), *map(operator.mul, self.number, other.number))

    def __truediv__(self, other: Value) -> Value:
        return self * power(other, rational(-1))


@lru_cache(maxsize=4096)
def rational(value: Fraction | int) -> Value:
    """Return a rational number as a value."""
    value = Fraction(value)
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise TooLarge("number")
    number = CTX.mpf(value.numerator) / value.denominator
    return Value("", (number, number), constant=value)


def made(op: str, parts: tuple[Value, ...], *numbers: Any) -> Value:
    """Return a value that is made of others, with its two numbers."""
    is_kept = (not n or abs(CTX.mag(n)) <= MAX_BITS for n in numbers)  # not of inf, nor of nan
    if not all(is_kept):
        raise TooLarge(op)
    names: frozenset[str] = frozenset().union(*(part.names for part in parts))
    return Value(op, (numbers[0], numbers[1]), parts, names)


def computed(op: str, parts: tuple[Value, ...], rule: Callable[..., Any]) -> Value:
    """Return a function of values by what it comes to, a rational number if it is one."""
    try:
        value = made(op, parts, *map(rule, *(part.number for part in parts)))
    except (ArithmeticError, ValueError, TypeError) as error:
        raise TooLarge(op) from error
    found = None if value.names else recognised(value.number[0])
    return value if found is None else rational(found)


def named(name: str, *numbers: Any) -> Value:
    """Return a constant of that name, or with two numbers a variable."""
    return Value(name, (numbers[0], numbers[-1]), names=frozenset([name]))


@lru_cache(maxsize=4096)
def free(name: str) -> Value:
    """Return a variable, which stands for two positive numbers that depend on its name."""
    return named(name, *pseudo_number(name))


def pseudo_number(name: str) -> Number:
    """Return two numbers between 1/2 and 3/2 that only the name determines."""
    digest = hashlib.sha512(name.encode("utf-8", "replace")).digest()
    halves = int.from_bytes(digest[:32], "big"), int.from_bytes(digest[32:], "big")
    return CTX.mpf(halves[0]) / 2**256 + 0.5, CTX.mpf(halves[1]) / 2**256 + 0.5


# Named numbers that no rational arithmetic relates to others.
PI = named("π", +CTX.pi)
E = named("e", +CTX.e)
DEGREE = named("°", CTX.pi / 180)
INFINITY = named("∞", *pseudo_number("∞"))
IMAGINARY_UNIT = named("i", CTX.mpc(0, 1))


def _total(a: Any, b: Any) -> Any:
    """The sum of two numbers; zero where they cancel up to rounding."""
    total = a + b
    return total if abs(total) > NOISE * (abs(a) + abs(b)) else CTX.mpf(0)


def power(base: Value, exponent: Value) -> Value:
    """Return base to the power of exponent; principal values, but real roots of odd degree."""
    number, rate = base.constant, exponent.constant
    if rate == 1:
        return base
    if number is not None and rate is not None:
        if rate.denominator == 1:
            return rational(_whole_power(number, int(rate)))
        if number < 0 and rate.denominator % 2:
            root = power(-base, exponent)
            return -root if rate.numerator % 2 else root
    if any(abs(n) > MAX_ARGUMENT for n in exponent.number):
        raise TooLarge("exponent")
    return computed("^", (base, exponent), operator.pow)


def _whole_power(base: Fraction, rate: int) -> Fraction:
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if (size * abs(rate) > MAX_BITS and abs(base) != 1) or (rate < 0 and not base):
        raise TooLarge("power")
    return base**rate


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
