"""The process that grading hands its heavy work to: JSON lines in, JSON lines out.

Computer algebra can hang in C code, where no thread and no signal can stop it; a process can be
killed on every platform. Ends by itself when its input closes, so it cannot outlive its parent.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

READY = "ready"


def verify(a: str, b: str) -> bool:
    """Compare by math-verify, in both directions since it is not symmetric.

    Its own time limits are off: they use signals, which only work in a main thread on Unix.
    """
    from math_verify import parse, verify

    left, right = (parse(f"${text}$", parsing_timeout=None) for text in (a, b))
    directions = [(left, right), (right, left)]
    if all(side and getattr(side[0], "is_number", False) for side in (left, right)):
        directions.pop()  # of two numbers it asks the same
    return any(
        verify(x, y, float_rounding=12, numeric_precision=20, timeout_seconds=None)
        for x, y in directions
    )


def assess(items: list[list[Any]]) -> list[tuple[Any, ...]]:
    """Grade responses as far as that is possible without computer algebra."""
    from lm_eval_tts.grading.verdicts import Item
    from lm_eval_tts.grading.verdicts import assess as assess_one

    return [
        tuple(assess_one(Item(response, reference, kind, options, tuple(tags))))
        for response, reference, kind, options, tags in items
    ]


def warm() -> bool:
    """Load the libraries, so that the time limit is for the work alone."""
    return verify("\\frac{x}{2}", "x/2")


OPERATIONS: dict[str, Callable[..., Any]] = {"verify": verify, "assess": assess, "warm": warm}


def serve() -> None:
    """Answer requests until the input closes."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    print(json.dumps(READY), file=replies, flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            reply: Any = OPERATIONS[name](*arguments)
        except Exception:  # any library error on hostile text: not equal
            reply = None
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    sys.setrecursionlimit(2_000)
    serve()
