"""What only computer algebra can work out: sums, limits and integrals, by sympy.

Each value is worked out by itself to one that the grammar reads, within a budget of calls of Python
functions, so equality stays one of canonical forms, and what is decided depends on the work and not
on the load of the machine. Runs in a separate process (see `pool`), since sympy can hang in C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from lm_eval_tts.grading.cursor import GREEK_NAMES
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.trees import Node
from lm_eval_tts.grading.values import NotAFormula, TooLarge, Value

MAX_CALLS = 250_000  # for one value: 0.2 to 0.4 s on a quiet machine
# One of each kind of work. The first of a kind takes up to twenty times the calls of the next: the
# library imports and builds tables on first use.
FIRST = (
    "\\int_0^{\\infty} e^{-x^2} dx",
    "\\int_0^1 \\frac{1}{1+x^2} dx",
    "\\sum_{k=1}^{\\infty} 2^{-k}",
    "\\sum_{k=1}^{n} \\frac{(-1)^k}{k^2}",
    "\\prod_{k=2}^{\\infty} (1-k^{-2})",
    "\\lim_{x \\to \\infty} \\frac{\\ln x}{\\sqrt{x}}",
)
_SYMPY_NAMES = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot", "ln": "log"}
_SYMPY_NAMES |= {"abs": "Abs", "ceil": "ceiling", "binom": "binomial"}
_SYMPY_NAMES |= {"+": "Add", "*": "Mul", "^": "Pow"}


class OutOfBudget(BaseException):
    """The work took too many calls; not an Exception, so that no library catches it."""


def within_budget(work: Callable[[], Any], calls: int = MAX_CALLS) -> Any:
    """Return what some work returns. Raises OutOfBudget after this many calls."""
    left = calls

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal left
        if event == "call":
            left -= 1
            if left < 0:
                raise OutOfBudget

    sys.setprofile(count)
    try:
        return work()
    finally:
        sys.setprofile(None)


def open_values(node: Node) -> Iterator[Value]:
    """The values in a tree that are to be worked out, in order."""
    if node.value is not None and node.value.is_open:
        yield node.value
    for part in node.parts:
        yield from open_values(part)


def work_out(text: str) -> list[str | None]:
    """Return what each open value of an answer comes to, in LaTeX; None where that is not known."""
    try:
        return [_worked_out(value) for value in open_values(parse(text))]
    except TooLarge:
        return []


@cache
def warm() -> bool:
    """Do one of each kind of work, so that limits are for the work alone."""
    for text in FIRST:
        for value in open_values(parse(text)):
            _evaluated(value)
    return True


def _worked_out(value: Value) -> str | None:
    """The budget has to mean the same in a fresh process as in an old one.

    So the library's caches start empty each time, and what took too much is tried once more if the
    first try had to import something.
    """
    from sympy.core.cache import clear_cache

    for _ in range(2):
        clear_cache()
        loaded = len(sys.modules)
        try:
            return str(within_budget(lambda: _evaluated(value)) or "") or None
        except NotAFormula:
            return None
        except OutOfBudget:
            if len(sys.modules) == loaded:
                return None
    return None


def _evaluated(value: Value) -> str | None:
    import sympy

    found = sympy.simplify(_expression(value).doit())
    left = (sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit, sympy.Derivative, sympy.nan)
    return None if found.has(*left) else str(sympy.latex(found))


def _expression(value: Value) -> Any:
    import sympy

    if value.constant is not None:
        return sympy.Rational(value.constant.numerator, value.constant.denominator)
    name, parts = value.op, [_expression(part) for part in value.parts]
    if not parts:
        if len(name) > 1 and name not in GREEK_NAMES and not name.startswith("bound"):
            raise NotAFormula(name)
        known = {"π": sympy.pi, "e": sympy.E, "i": sympy.I, "°": sympy.pi / 180, "∞": sympy.oo}
        return known.get(name) or sympy.Symbol(name)
    kind, _, symbol = name.partition(" ")
    if not symbol:
        return getattr(sympy, _SYMPY_NAMES.get(name, name))(*parts)
    *limits, body = parts
    variable = sympy.Symbol(symbol)
    if kind.startswith("lim"):
        side = kind[3:] or ("+-" if limits[0].is_finite else "-")
        return sympy.Limit(body, variable, *limits, side)
    binder = {"sum": sympy.Sum, "prod": sympy.Product, "int": sympy.Integral}[kind]
    return binder(body, (variable, *limits))
