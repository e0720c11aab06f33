"""What only computer algebra can work out: sums, limits and integrals, in a process of its own.

Each formula is worked out by itself to one that the grammar reads, within a budget of calls, so
equality stays one of canonical forms and a verdict does not depend on the clock. A time limit is
the last line of defence, for what hangs in C code.
"""

from __future__ import annotations

import re
from functools import lru_cache

from lm_eval_tts.grading.canonical import key
from lm_eval_tts.grading.equality import matches, needs_algebra
from lm_eval_tts.grading.processes import WorkerLost, worker
from lm_eval_tts.grading.tokens import words_of

SECONDS = 8.0  # for one formula, once the process runs; the budget of calls ends far before
MAX_COMMANDS_LENGTH = 300
_SOLVED = frozenset(
    words_of(
        "frac dfrac tfrac sqrt cdot times pm pi infty sin cos tan cot sec csc arcsin arccos "
        "arctan sinh cosh tanh ln log exp int sum prod lim to binom max min gcd lcm mod "
        "lfloor rfloor lceil rceil left right alpha beta gamma delta epsilon theta lambda mu "
        "nu xi rho sigma tau phi psi omega le ge limits displaystyle"
    )
)


def worked_out(text: str) -> str | None:
    """Return what a formula comes to, as one that the grammar reads; None if that is not known."""
    text = text.strip().strip("$").strip()
    commands = set(re.findall(r"\\([A-Za-z]+)", text))
    words = re.findall(r"(?<![\\A-Za-z])[A-Za-z]{4,}", text)
    is_balanced = text.count("{") == text.count("}") and text.count("(") == text.count(")")
    if len(text) > MAX_COMMANDS_LENGTH or not commands <= _SOLVED or words or not is_balanced:
        return None
    return _asked(text)


@lru_cache(maxsize=50_000)
def _asked(text: str) -> str | None:
    for _ in range(2):  # once more if the process was killed from outside
        try:
            with worker() as process:
                process.call("warm", seconds=60)
                reply = process.call("work_out", text, seconds=SECONDS)
                return str(reply) if reply is not None else None
        except TimeoutError:
            return None
        except WorkerLost:
            continue
    return None


def decided(answer: str, reference: str) -> bool | None:
    """Say whether an answer is that of a reference; None if it cannot be decided."""
    sides = [_side(answer), _side(reference)]
    if None in sides:
        return None
    left, right = sides
    found = matches(str(left), str(right))
    return False if found is None and key(str(left)) != key(str(right)) else found


def _side(text: str) -> str | None:
    return worked_out(text) if needs_algebra(text) else text
