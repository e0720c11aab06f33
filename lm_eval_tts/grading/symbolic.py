"""Equality by computer algebra (math-verify), in a process with a hard time limit.

Only asked where exact rules cannot tell, and only for formulas: math-verify finds some number in
any prose and would compare that.
"""

from __future__ import annotations

import re
from functools import lru_cache

from lm_eval_tts.grading.normalize import clean
from lm_eval_tts.grading.processes import WorkerLost, worker

SECONDS = 1.5  # for one pair, once the process runs
MAX_LENGTH = 300

_KNOWN = (
    "frac sqrt cdot times pm mp pi infty sin cos tan cot sec csc arcsin arccos arctan sinh "
    "cosh tanh ln log exp int sum prod lim to le ge ne lt gt in cup cap emptyset mathbb binom "
    "max min gcd lcm mod pmod begin end lfloor rfloor lceil rceil overline vec hat prime circ "
    "degree div ast lvert rvert langle rangle alpha beta gamma delta epsilon "
    "varepsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi varphi chi psi omega "
    "Gamma Delta Theta Lambda Sigma Phi Psi Omega setminus mid partial"
)
_COMMANDS = set(_KNOWN.split())


def is_comparable(text: str) -> bool:
    """Say whether a text is a formula that is worth the question."""
    commands = re.findall(r"\\([A-Za-z]+)", text)
    words = re.findall(r"(?<![\\A-Za-z{])[A-Za-z]{4,}", text)
    return (
        len(text) <= MAX_LENGTH
        and all(command in _COMMANDS for command in commands)
        and not any(word not in _COMMANDS for word in words)
        and text.count("{") == text.count("}")
        and text.count("(") + text.count("[") == text.count(")") + text.count("]")
    )


_NAMES = re.compile(r"(?<![\\A-Za-z])(?=(?:sin|cos|tan|cot|sec|csc|ln|log|pi)(?![A-Za-z]))")


def verified(a: str, b: str) -> bool:
    """Say whether computer algebra finds two answers equal. False where it does not finish."""
    left, right = (_NAMES.sub(r"\\", clean(text).text) for text in (a, b))
    if not (is_comparable(left) and is_comparable(right)):
        return False
    return _verified(*sorted((left, right)))


@lru_cache(maxsize=50_000)
def _verified(a: str, b: str) -> bool:
    for _ in range(2):  # once more if the process was killed from outside
        try:
            with worker() as process:
                process.call("warm", seconds=60)
                return bool(process.call("verify", a, b, seconds=SECONDS))
        except TimeoutError:
            return False
        except WorkerLost:
            continue
    return False
