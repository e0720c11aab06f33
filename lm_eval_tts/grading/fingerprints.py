"""Numbers as keys: the rational number that one is, or its leading bits."""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from typing import Any

import mpmath

CTX = mpmath.mp.clone()
CTX.dps = 50
KEPT_BITS = 96
NOISE = CTX.mpf(2) ** -130  # of the size of the terms; a sum below it is zero
MAX_DENOMINATOR = 10**6  # up to which a number is recognised as a rational one


def recognised(number: Any) -> Fraction | None:
    """Return the rational number of small denominator that a number is, if it is one."""
    if abs(CTX.im(number)) > abs(number) * NOISE:
        return None
    real = CTX.re(number)
    sign, digits, exponent, _ = real._mpf_
    exact = (-1) ** sign * Fraction(int(digits)) * Fraction(2) ** int(exponent)
    found = exact.limit_denominator(MAX_DENOMINATOR)
    return found if abs(exact - found) <= max(1, abs(exact)) / Fraction(2) ** 120 else None


def significant(number: Any) -> Hashable:
    """Return the leading bits of both parts of a number; what is mere noise is zero."""
    parts = (CTX.re(number), CTX.im(number))
    least = abs(number) * NOISE
    return tuple(_bits(part) if abs(part) > least else 0 for part in parts)


def _bits(part: Any) -> Hashable:
    sign, digits, exponent, size = part._mpf_
    shift = size - KEPT_BITS
    if shift <= 0:
        return (int(sign), int(digits) << -shift, int(exponent) + shift)
    digits = (int(digits) + (1 << (shift - 1))) >> shift
    return (int(sign), digits, int(exponent) + shift)
