"""The process that grading hands its heavy work to: JSON lines in, JSON lines out.

Computer algebra can hang in C code, where no thread and no signal can stop it; a process can be
killed on every platform. Elsewhere it stops by itself after so many calls of functions, so what is
decided depends on the work and not on the load of the machine. Ends when its input closes, so it
cannot outlive its parent, however that ended.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

READY = "ready"
MAX_CALLS = 400_000  # of Python functions for one formula: 0.2 to 0.4 s on a quiet machine
# One of each kind of work. The first of a kind takes up to twenty times the calls of the next: the
# library imports and builds tables on first use.
FIRST = (
    "\\int_0^{\\infty} e^{-x^2} dx",
    "\\int_0^1 \\frac{dx}{1+x^2}",
    "\\sum_{k=1}^{\\infty} 2^{-k}",
    "\\sum_{k=1}^{n} \\frac{(-1)^k}{k^2}",
    "\\prod_{k=2}^{\\infty} (1-k^{-2})",
    "\\lim_{x \\to \\infty} \\frac{\\ln x}{\\sqrt{x}}",
    "\\log_2 \\gcd(12, 8)",
)


class OutOfBudget(BaseException):
    """The work took too many calls; no Exception, so that no library catches it."""


def within_budget(work: Callable[[], Any], calls: int = MAX_CALLS) -> Any:
    """Return what some work returns. Raises OutOfBudget after so many calls."""
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


def work_out(text: str) -> str | None:
    """Return what a formula with sums, limits or integrals comes to; None if that is not known.

    The budget has to mean the same in a fresh process as in an old one. So the library's caches
    start empty each time, reading is not counted, since its parser learns from each formula, and
    what took too much is tried once more, since only the first try imports and builds tables.
    """
    from sympy.core.cache import clear_cache

    formula = _parsed(text)
    for _ in range(2):
        clear_cache()
        try:
            return str(within_budget(lambda: _evaluated(formula)) or "") or None
        except OutOfBudget:
            continue
    return None


def _parsed(text: str) -> Any:
    from math_verify import parse

    found = parse(f"${text}$", parsing_timeout=None)
    return found[0] if found else None


def _evaluated(formula: Any) -> str | None:
    import sympy

    if not isinstance(formula, sympy.Expr):
        return None
    value = sympy.simplify(formula.doit())
    if value.has(
        sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit, sympy.Derivative, sympy.nan
    ):
        return None
    return str(sympy.latex(value))


def assess_all(items: list[list[Any]]) -> list[tuple[Any, ...]]:
    """Grade responses as far as that is possible without computer algebra."""
    from lm_eval_tts.grading.tolerance import Tolerance
    from lm_eval_tts.grading.verdicts import Item, assess

    return [
        tuple(
            assess(
                Item(
                    response,
                    reference,
                    kind,
                    options,
                    tuple(tags),
                    question,
                    tolerance and Tolerance(*tolerance),
                )
            )
        )
        for response, reference, kind, options, tags, question, tolerance in items
    ]


@cache
def warm() -> bool:
    """Load what each kind of work loads, so that limits are for the work alone."""
    for text in FIRST:
        _evaluated(_parsed(text))
    return True


OPERATIONS: dict[str, Callable[..., Any]] = {
    "work_out": work_out,
    "assess": assess_all,
    "warm": warm,
}


def serve() -> None:
    """Answer requests until the input closes."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    print(json.dumps(READY), file=replies, flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            reply: Any = OPERATIONS[name](*arguments)
        except Exception:  # any library error on hostile text: not known
            reply = None
        print(json.dumps(reply), file=replies, flush=True)
