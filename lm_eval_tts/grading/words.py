"""Numbers and sets of numbers that are written in words. Knows English as tables only."""

from __future__ import annotations

import re

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {word: number for number, word in enumerate(_SMALL.split())} | {
    word: 10 * number for number, word in enumerate(_TENS.split(), 2)
}

# Sets of numbers in words, without "all", "real" and "and".
WORD_SETS = {
    "numbers": "(-\\infty,\\infty)",
    "positive numbers": "(0,\\infty)",
    "negative numbers": "(-\\infty,0)",
    "nonnegative numbers": "[0,\\infty)",
    "nonpositive numbers": "(-\\infty,0]",
    "positive numbers zero": "[0,\\infty)",
    "negative numbers zero": "(-\\infty,0]",
}


def spelled_number(text: str) -> str | None:
    """Return the digits of a number in words, up to ninety-nine or a whole hundred."""
    words = re.split(r"[\s\-]+", text.lower().strip(" ."))
    if not 1 <= len(words) <= 2 or any(w not in NUMBER_WORDS for w in words):
        return None
    first, *rest = (NUMBER_WORDS[w] for w in words)
    if rest and not (first >= 20 and 0 < rest[0] < 10):
        return None
    return str(first + sum(rest))


def spelled_set(text: str) -> str | None:
    """Return the interval of "all positive real numbers" and the like."""
    if "number" not in text or not re.fullmatch(r"[A-Za-z,\- ]{7,60}", text):
        return None
    words = text.lower().replace("non-", "non").replace(",", " ").split()
    fillers = {"all", "real", "the", "set", "of", "and"}
    return WORD_SETS.get(" ".join(w for w in words if w not in fillers))
