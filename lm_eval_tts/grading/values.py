"""Exact values of short expressions: what they come to, and how they are made.

A rational number is itself. Any other value is what it comes to, in 100 digits of which 29 count,
at two fixed points of its variables (identity testing after Schwartz, 1980, and Zippel, 1979): two
that are not identical would have to agree in all of these, so no tolerance is involved.

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
NOISE = CTX.mpf(2) ** -280  # of the size of the terms; a sum below it is zero
MAX_DENOMINATOR = 10**6  # up to which a number is recognised as a rational one
MAX_BITS = 4_000
MAX_ARGUMENT = 10**6  # of powers and functions, beyond which digits are lost
BINDERS = ("sum", "prod", "int", "lim", "d/d")  # symbols of what is left open, with their limits
# Named numbers that no rational arithmetic relates to others.
_NAMED = {"π": +CTX.pi, "e": +CTX.e, "°": CTX.pi / 180, "i": CTX.mpc(0, 1)}
# Logarithms without a base are natural ones, as in sympy; log_b is read apart.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(CTX, name) for name in ("sin", "cos", "tan", "cot", "sec", "csc")},
    **{name: getattr(CTX, name) for name in ("sinh", "cosh", "tanh", "exp", "log", "arg")},
    **{f"arc{name}": getattr(CTX, f"a{name}") for name in ("sin", "cos", "tan", "cot")},
    **{"cis": CTX.expj, "ln": CTX.log, "Re": CTX.re, "Im": CTX.im},
}
_STEPS = {"abs": abs, "floor": CTX.floor, "ceil": CTX.ceil}
_OPERATORS = {"+": operator.add, "*": operator.mul, "^": operator.pow, "!": CTX.factorial}
RULES = {**FUNCTIONS, **_STEPS, **_OPERATORS, "binom": CTX.binomial}
_LIMITED = {*FUNCTIONS, "^", "!"} - {"log", "ln"}


class NotAFormula(ValueError):
    """A text is not a formula of the kinds that are known."""


class TooLarge(ValueError):
    """A value is undefined, or too large to be worked out."""


UNREADABLE = (NotAFormula, TooLarge, RecursionError)


@dataclass(frozen=True, slots=True)
class Value:
    """op: "+", "*", "^", a function or its name; "" of a number. parts: what that is applied to.

    number: what it comes to, at the two points. constant: the value itself if it is rational.
    names: of the variables and constants in it.
    """

    op: str
    number: tuple[Any, Any]
    parts: tuple[Value, ...] = field(default=(), compare=False)
    names: frozenset[str] = frozenset()
    constant: Fraction | None = None

    @property
    def variables(self) -> frozenset[str]:
        """The names of the variables."""
        return self.names - _NAMED.keys() - {"∞"}

    @property
    def key(self) -> Hashable:
        """The one form of the value: a Fraction, or rounded numbers."""
        found = self.constant or recognised(self.number[0])
        return tuple(map(significant, self.number)) if found is None else found

    @property
    def is_plain(self) -> bool:
        """Whether it is made of variables and signs by sums and products."""
        is_made = self.op in ("+", "*") and all(part.is_plain for part in self.parts)
        return is_made or self.constant == -1 or self.variables == {self.op}

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
        if self.constant == 0 or other.constant == 0:
            return other if self.constant == 0 else self
        return apply("+", self, other)

    def __neg__(self) -> Value:
        return self * rational(-1)

    def __sub__(self, other: Value) -> Value:
        return self + -other

    def __mul__(self, other: Value) -> Value:
        if self.constant == 1 or other.constant == 0:
            return other
        if self.constant == 0 or other.constant == 1:
            return self
        return apply("*", self, other)

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


@lru_cache(maxsize=4096)
def free(name: str) -> Value:
    """Return a constant of that name, or a variable, which stands for two positive numbers."""
    numbers = (_NAMED[name],) * 2 if name in _NAMED else (_hashed(name), _hashed(f"{name} again"))
    return Value(name, numbers, names=frozenset([name]))


def _hashed(name: str) -> Any:
    """A number between 1/2 and 3/2 that only the name determines."""
    digest = hashlib.sha256(name.encode("utf-8", "replace")).digest()
    return CTX.mpf(int.from_bytes(digest, "big")) / 2**256 + 0.5


def apply(name: str, *parts: Value) -> Value:
    """Return a function of values; a rational number if it comes to one.

    What has steps is of variables a function without meaning: |-x| and |x| agree, and x differs.
    """
    constants = [part.constant for part in parts]
    if name in ("+", "*") and None not in constants:
        return rational(RULES[name](*constants))
    if name not in RULES:
        raise NotAFormula(name)
    if name in _LIMITED and any(abs(n) > MAX_ARGUMENT for n in parts[-1].number):
        raise TooLarge(name)
    rule = RULES[name]
    if name in _STEPS and parts[0].variables:
        offset = _hashed(name)
        rule = (lambda x: offset * CTX.sqrt(x * x)) if name == "abs" else (lambda x: x + offset)
    try:
        first, second = map(rule, *(part.number for part in parts))
    except (ArithmeticError, ValueError, TypeError) as error:
        raise TooLarge(name) from error
    if any(n and not abs(CTX.mag(n)) <= MAX_BITS for n in (first, second)):  # nor inf, nor nan
        raise TooLarge(name)
    names: frozenset[str] = frozenset().union(*(part.names for part in parts))
    found = None if names else recognised(first)
    return Value(name, (first, second), parts, names) if found is None else rational(found)


def power(base: Value, exponent: Value) -> Value:
    """Return base to the power of exponent; principal values, but real roots of odd degree."""
    number, rate = base.constant, exponent.constant
    if number is None or rate is None:
        return base if rate == 1 else apply("^", base, exponent)
    if rate.denominator == 1:
        size = (max(abs(number.numerator), number.denominator) - 1).bit_length()
        if size * abs(rate) > MAX_BITS or number == 0 > rate:
            raise TooLarge("power")
        return rational(number ** int(rate))
    if number < 0 and rate.denominator % 2:
        root = power(-base, exponent)
        return -root if rate.numerator % 2 else root
    return apply("^", base, exponent)


def recognised(number: Any) -> Fraction | None:
    """Return the rational number of small denominator that a number is, if it is one."""
    exact = Fraction(*map(int, libmp.to_rational(CTX.re(number)._mpf_)))
    found = exact.limit_denominator(MAX_DENOMINATOR)
    return found if abs(number - found) <= NOISE * max(1, abs(number)) else None


def significant(number: Any) -> Hashable:
    """Return the leading bits of both parts of a number; what is mere noise is zero."""
    least = abs(number) * NOISE
    parts = (CTX.re(number), CTX.im(number))
    return tuple(libmp.mpf_pos(p._mpf_, KEPT_BITS, "n") if abs(p) > least else 0 for p in parts)
