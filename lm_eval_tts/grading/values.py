"""Exact values of short expressions: quotients of sums of products of powers.

A product holds atoms (primes under a root, pi, e, i, variables, and anything else as an opaque
atom) with rational exponents. `key` gives one hashable form for every way to write a value: a
rational number is itself; anything else is what it comes to, in 50 digits of which 29 count, at two
fixed points of its variables (identity testing after Schwartz, 1980, and Zippel, 1979). Two values
that are not identical would have to agree in all of these, so no tolerance is involved.

Knows arithmetic only: no text, no LaTeX. Everything is capped, so no operation is slow.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import mpmath
from mpmath import libmp

CTX = mpmath.mp.clone()
CTX.dps = 50
KEPT_BITS = 96
NOISE = CTX.mpf(2) ** -130  # of the size of the terms; a sum below it is zero
MAX_DENOMINATOR = 10**6  # up to which a number is recognised as a rational one
MAX_TERMS = 200
MAX_BITS = 4_000

Number = tuple[Any, Any]  # at the two points
MadeOf = tuple[str, "tuple[Value | None, ...]"]  # a function and its arguments


class Unreadable(ValueError):
    """A text has no exact value here."""


class NotAFormula(Unreadable):
    """It is not a formula of the kinds that are known."""


class TooLarge(Unreadable):
    """The value is undefined, or too large to be worked out."""


class Atom:
    """A factor that is not split further; the same for the same name.

    kind: "prime", "unit" (i), "free", "constant" (pi, e), "opaque" or "binder" (with a sum, a limit
    or an integral in it that only computer algebra can work out).
    """

    __slots__ = ("kind", "made_of", "name", "number")

    def __init__(self, name: str, kind: str, number: Number, made_of: MadeOf = ("", ())) -> None:
        self.name, self.kind, self.number, self.made_of = name, kind, number, made_of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


Product = tuple[tuple[Atom, Fraction], ...]
Sum = dict[Product, Fraction]
ONE: Sum = {(): Fraction(1)}


class Value(NamedTuple):
    """A quotient of two sums; the denominator is 1 unless it has several terms."""

    top: Sum
    bottom: Sum

    @property
    def constant(self) -> Fraction | None:
        """The value itself if it is a rational number as it stands."""
        if self.bottom != ONE or set(self.top) - {()}:
            return None
        return self.top.get((), Fraction(0))

    @property
    def atoms(self) -> set[Atom]:
        """All factors that occur."""
        return {atom for part in self for product in part for atom, _ in product}

    @property
    def variables(self) -> set[str]:
        """The names of the variables."""
        return {atom.name for atom in self.atoms if atom.kind == "free"}

    @property
    def is_open(self) -> bool:
        """Whether a part is left that only computer algebra can work out."""
        return any(atom.kind == "binder" for atom in self.atoms)

    @property
    def number(self) -> Number:
        """What the value comes to at the two points. Raises TooLarge."""
        first, second = (_approximate(self.bottom, point) for point in (0, 1))
        if not first or not second:
            raise TooLarge("division by zero")
        return _approximate(self.top, 0) / first, _approximate(self.top, 1) / second

    @property
    def key(self) -> Hashable:
        """The one form of the value: a Fraction, or a tuple of rounded numbers."""
        if (constant := self.constant) is not None:
            return constant
        first, second = self.number
        if first == second or abs(first - second) <= abs(first) * NOISE:
            rational_part = recognised(first)
            return rational_part if rational_part is not None else significant(first)
        return significant(first), significant(second)


def rational(value: Fraction | int) -> Value:
    """Return a rational number as a value."""
    value = Fraction(value)
    _check_size(value)
    return Value({(): value} if value else {}, ONE)


def _single(atom: Atom) -> Value:
    return Value({((atom, Fraction(1)),): Fraction(1)}, ONE)


@lru_cache(maxsize=4096)
def free(name: str) -> Value:
    """Return a variable, which stands for two positive numbers that depend on its name."""
    return _single(Atom(name, "free", pseudo_number(name)))


def pseudo_number(name: str) -> Number:
    """Return two numbers between 1/2 and 3/2 that only the name determines."""
    digest = hashlib.sha512(name.encode("utf-8", "replace")).digest()
    halves = int.from_bytes(digest[:32], "big"), int.from_bytes(digest[32:], "big")
    return CTX.mpf(halves[0]) / 2**256 + 0.5, CTX.mpf(halves[1]) / 2**256 + 0.5


# Named numbers that no rational arithmetic relates to others.
PI = _single(Atom("π", "constant", (+CTX.pi, +CTX.pi)))
E = _single(Atom("e", "constant", (+CTX.e, +CTX.e)))
DEGREE = _single(Atom("°", "constant", (CTX.pi / 180, CTX.pi / 180)))
INFINITY = _single(Atom("∞", "constant", pseudo_number("∞")))
IMAGINARY_UNIT = _single(Atom("i", "unit", (CTX.mpc(0, 1), CTX.mpc(0, 1))))


def opaque(name: str, arguments: tuple[Value, ...], number: Number) -> Value:
    """Return a function of values that is only known by its numbers."""
    if not all(CTX.isfinite(n) for n in number):
        raise TooLarge(name)
    text = f"{name}({', '.join(repr(argument.key) for argument in arguments)})"
    kind = "binder" if any(argument.is_open for argument in arguments) else "opaque"
    return _single(Atom(text, kind, number, (name, arguments)))


def binder(name: str, variable: str, *parts: Value | None) -> Value:
    """Return a sum, product, limit or integral over a variable; parts: its limits and its body."""
    label = f"{name}({variable},{','.join(str(part and part.key) for part in parts)})"
    return _single(Atom(label, "binder", pseudo_number(label), (f"{name} {variable}", parts)))


def add(a: Value, b: Value) -> Value:
    """Return a + b."""
    if a.bottom == b.bottom:
        return _quotient(_add(a.top, b.top), a.bottom)
    top = _add(_multiply(a.top, b.bottom), _multiply(b.top, a.bottom))
    return _quotient(top, _multiply(a.bottom, b.bottom))


def negate(a: Value) -> Value:
    """Return -a."""
    return Value({product: -factor for product, factor in a.top.items()}, a.bottom)


def multiply(a: Value, b: Value) -> Value:
    """Return a b."""
    return _quotient(_multiply(a.top, b.top), _multiply(a.bottom, b.bottom))


def divide(a: Value, b: Value) -> Value:
    """Return a / b."""
    if not b.top:
        raise TooLarge("division by zero")
    return _quotient(_multiply(a.top, b.bottom), _multiply(a.bottom, b.top))


def _check_size(value: Fraction) -> None:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise TooLarge("number")


def _quotient(top: Sum, bottom: Sum) -> Value:
    if bottom is ONE:
        return Value(top, ONE)
    if len(bottom) == 1:
        ((product, factor),) = bottom.items()
        inverse = tuple((atom, -rate) for atom, rate in product)
        return Value(_multiply(top, {inverse: 1 / factor}), ONE)
    if not bottom:
        raise TooLarge("division by zero")
    return Value(top, bottom)


def _add(a: Sum, b: Sum) -> Sum:
    total = dict(a)
    for product, factor in b.items():
        _accumulate(total, product, factor)
    return total


def _accumulate(total: Sum, product: Product, factor: Fraction) -> None:
    factor += total.pop(product, Fraction(0))
    _check_size(factor)
    if factor:
        total[product] = factor


def _multiply(a: Sum, b: Sum) -> Sum:
    if a is ONE or b is ONE:
        return b if a is ONE else a
    if len(a) * len(b) > MAX_TERMS * 10:
        raise TooLarge("terms")
    total: Sum = {}
    for product, factor in a.items():
        for other, other_factor in b.items():
            extra, joined = _join(product, other)
            _accumulate(total, joined, factor * other_factor * extra)
    if len(total) > MAX_TERMS:
        raise TooLarge("terms")
    return total


def _join(a: Product, b: Product) -> tuple[Fraction, Product]:
    """Multiply two products; what becomes rational on the way comes out as a factor."""
    rates: dict[Atom, Fraction] = dict(a)
    for atom, rate in b:
        rates[atom] = rates.get(atom, Fraction(0)) + rate
    extra = Fraction(1)
    for atom, rate in list(rates.items()):
        if atom.kind == "prime":
            whole = math.floor(rate)
            extra *= rational_power(Fraction(int(atom.name)), whole)
            rates[atom] = rate - whole
        elif atom.kind == "unit":
            extra *= -1 if rate % 4 in (2, 3) else 1
            rates[atom] = rate % 2
    kept = [(atom, rate) for atom, rate in rates.items() if rate]
    return extra, tuple(sorted(kept, key=lambda item: item[0].name))


def rational_power(base: Fraction, exponent: int) -> Fraction:
    """Return a whole power of a rational number."""
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if size * abs(exponent) > MAX_BITS and abs(base) != 1:
        raise TooLarge("power")
    if not base and exponent < 0:
        raise TooLarge("division by zero")
    return base**exponent


def _approximate(total: Sum, point: int) -> Any:
    """What a sum comes to; zero where its terms cancel up to rounding."""
    terms = [_term(product, factor, point) for product, factor in total.items()]
    result = sum(terms, CTX.mpf(0))
    return result if abs(result) > NOISE * sum(map(abs, terms)) else CTX.mpf(0)


def _term(product: Product, factor: Fraction, point: int) -> Any:
    result = CTX.mpf(factor.numerator) / factor.denominator
    for atom, rate in product:
        is_whole = rate.denominator == 1
        exponent = int(rate) if is_whole else CTX.mpf(rate.numerator) / rate.denominator
        result *= atom.number[point] ** exponent
    return result


def recognised(number: Any) -> Fraction | None:
    """Return the rational number of small denominator that a number is, if it is one."""
    if abs(CTX.im(number)) > abs(number) * NOISE:
        return None
    top, bottom = libmp.to_rational(CTX.re(number)._mpf_)
    exact = Fraction(int(top), int(bottom))
    found = exact.limit_denominator(MAX_DENOMINATOR)
    return found if abs(exact - found) <= max(Fraction(1), abs(exact)) / 2**120 else None


def significant(number: Any) -> Hashable:
    """Return the leading bits of both parts of a number; what is mere noise is zero."""
    least = abs(number) * NOISE
    parts = (CTX.re(number), CTX.im(number))
    return tuple(libmp.mpf_pos(p._mpf_, KEPT_BITS, "n") if abs(p) > least else 0 for p in parts)
