"""Whether a text ends in a repetition loop: its end compresses far better than text does.

OpenCompass looks at this as well (opencompass/utils/repeat_analysis.py). A loop may also count ("If
n = 48: ... Not equal. If n = 49: ..."): numbers are masked, and as lists of cases are good
practice, far more of it is required.
"""

from __future__ import annotations

import re
import zlib

ENDING = 8_000  # characters looked at
# Characters at the end and what they are compressed to, chosen on recorded runs: endings that
# enumerate cases without a loop measured 0.14 and more.
LIMITS = ((300, 0.17), (2_000, 0.14))
LIMIT_COUNTED = ((1_000, 0.07),)  # numbers masked
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def has_loop(text: str) -> bool:
    """Say whether a text ends in a repetition, closing tags aside.

    >>> has_loop("So x = 1. " * 40)
    True
    """
    ending = " ".join(text[-ENDING:].split())
    while ending.endswith(">") and "<" in ending[-32:]:  # closed by the model or for it
        ending = ending[: ending.rindex("<")].rstrip()
    return _compresses(ending, LIMITS) or _compresses(_NUMBER.sub("0", ending), LIMIT_COUNTED)


def _compresses(text: str, limits: tuple[tuple[int, float], ...]) -> bool:
    data = text.encode("utf-8", "replace")
    return any(
        len(data) >= size and len(zlib.compress(data[-size:])) < ratio * size
        for size, ratio in limits
    )
