"""Exact values of short expressions: quotients of sums of products of powers.

A product holds atoms (primes under a root, pi, e, i, variables, and anything else as an opaque
atom known by its text and an approximate number) with rational exponents. Square roots of
different primes and free variables are independent, so two values without opaque atoms are equal
exactly if their difference has no terms: no tolerance is involved.

Knows arithmetic only: no text, no LaTeX. Everything is capped, so no operation is slow.
"""

from __future__ import annotations

import cmath
import math
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

MAX_TERMS = 200
MAX_BITS = 4_000


class TooLarge(ArithmeticError):
    """The value is undefined, or too large to be worked out."""


class Atom(NamedTuple):
    """A factor that is not split further. kind: "prime", "unit" (i), "free" or "opaque"."""

    name: str
    kind: str
    number: complex


Product = tuple[tuple[Atom, Fraction], ...]
Sum = dict[Product, Fraction]
ONE: Sum = {(): Fraction(1)}


class Value(NamedTuple):
    """A quotient of two sums; the denominator is 1 unless it has several terms."""

    top: Sum
    bottom: Sum

    @property
    def constant(self) -> Fraction | None:
        """The value itself if it is a rational number."""
        if self.bottom != ONE or set(self.top) - {()}:
            return None
        return self.top.get((), Fraction(0))

    @property
    def is_exact(self) -> bool:
        """Whether no opaque atom occurs."""
        return all(a.kind != "opaque" for s in self for product in s for a, _ in product)

    @property
    def variables(self) -> set[str]:
        """The names of the variables, without pi and e."""
        names = {a.name for s in self for p in s for a, _ in p if a.kind == "free"}
        return names - {"π", "e", "°"}

    @property
    def number(self) -> complex:
        """The approximate number, with arbitrary values for the variables."""
        return _divide(_approximate(self.top), _approximate(self.bottom))

    @property
    def name(self) -> str:
        """A text that is the same for the same value."""
        return f"{_show(self.top)}/{_show(self.bottom)}"


def rational(value: Fraction | int) -> Value:
    """Return a rational number as a value."""
    value = Fraction(value)
    _check_size(value)
    return Value({(): value} if value else {}, ONE)


def free(name: str) -> Value:
    """Return a variable. Its approximate number is a positive one that depends on the name."""
    number = 1 + zlib.crc32(name.encode("utf-8", "replace")) / 2**32
    return _single(Atom(name, "free", number))


def constant(name: str, number: float) -> Value:
    """Return a named number that no rational arithmetic relates to others, such as pi."""
    return _single(Atom(name, "free", number))


def imaginary_unit() -> Value:
    """Return i."""
    return _single(Atom("i", "unit", 1j))


def opaque(name: str, number: complex) -> Value:
    """Return something that is only known by its text and approximately."""
    if not cmath.isfinite(number):
        raise TooLarge(name)
    return _single(Atom(name, "opaque", number))


def function(name: str, argument: Value, rule: Callable[[complex], complex]) -> Value:
    """Return a function of a value as an opaque atom."""
    try:
        return opaque(f"{name}({argument.name})", rule(argument.number))
    except (ArithmeticError, ValueError) as error:
        raise TooLarge(name) from error


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


def same_value(a: Value, b: Value) -> bool | None:
    """Say whether two values are equal; None if that takes identities of opaque atoms."""
    try:
        difference = _add(
            _multiply(a.top, b.bottom), {p: -f for p, f in _multiply(b.top, a.bottom).items()}
        )
        if not difference:
            return True
        if a.is_exact and b.is_exact:
            return False
        scale = sum(abs(_number(p)) * abs(float(f)) for p, f in difference.items())
        return None if abs(_approximate(difference)) <= 1e-9 * max(scale, 1e-300) else False
    except (ArithmeticError, ValueError):
        return None


def _single(atom: Atom) -> Value:
    return Value({((atom, Fraction(1)),): Fraction(1)}, ONE)


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
        total[product] = total.get(product, Fraction(0)) + factor
        _check_size(total[product])
        if not total[product]:
            del total[product]
    return total


def _multiply(a: Sum, b: Sum) -> Sum:
    if a is ONE or b is ONE:
        return b if a is ONE else a
    if len(a) * len(b) > MAX_TERMS * 10:
        raise TooLarge("terms")
    total: Sum = {}
    for product, factor in a.items():
        for other, other_factor in b.items():
            extra, joined = _join(product, other)
            total = _accumulate(total, joined, factor * other_factor * extra)
    if len(total) > MAX_TERMS:
        raise TooLarge("terms")
    return total


def _accumulate(total: Sum, product: Product, factor: Fraction) -> Sum:
    _check_size(factor)
    factor += total.pop(product, Fraction(0))
    if factor:
        total[product] = factor
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


def _number(product: Product) -> complex:
    result = complex(1)
    for atom, rate in product:
        result *= complex(atom.number) ** float(rate)
    return result


def _approximate(total: Sum) -> complex:
    return sum((_number(p) * float(f) for p, f in total.items()), complex(0))


def _divide(a: complex, b: complex) -> complex:
    if not b:
        raise TooLarge("division by zero")
    return a / b


def _show(total: Sum) -> str:
    terms = (f"{f}*{'*'.join(f'{a.name}^{r}' for a, r in p)}" for p, f in total.items())
    return "(" + "+".join(sorted(terms)) + ")"
