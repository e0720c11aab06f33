"""Units of measure: what a word stands for, in which dimension, and how large it is."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from lm_eval_tts.grading.lexicon import NOTATION, words_of

Mark = tuple[tuple[str, int], ...]  # units with their powers, sorted

_TABLE: dict[str, tuple[str, str, str]] = NOTATION["units"]
_PREFIXES: dict[str, str] = NOTATION["prefixes"]
_SHORT: dict[str, str] = NOTATION["short_prefixes"]
_COMPOSED: dict[str, dict[str, int]] = NOTATION["composed"]
_SPELLINGS = {word: name for name, (_, _, words) in _TABLE.items() for word in words.split()}
_PREFIXED = {
    prefix + word: f"{_SHORT.get(prefix, prefix)}-{name}"
    for word, name in _SPELLINGS.items()
    for prefix in _PREFIXES
    if name in words_of("prefixed") and (len(prefix) > 2) == (len(word) > 3)  # km, kilometer
}
_NAMES = _PREFIXED | _SPELLINGS
UNIT_LETTERS = frozenset(w for w in _SPELLINGS if w == "Omega" or (len(w) == 1 and w.isalpha()))


def unit_of(word: str) -> str | None:
    """Return the name of the unit that a word stands for, with its prefix; None if it is none."""
    return _NAMES.get(word) or (_NAMES.get(word.lower()) if len(word) > 2 else None)


def make_mark(powers: Iterable[tuple[str, int]]) -> Mark:
    """Return units with their powers in their one order."""
    total: dict[str, int] = {}
    for whole, power in powers:
        for name, rate in _COMPOSED.get(whole, {whole: 1}).items():
            total[name] = total.get(name, 0) + power * rate
    return tuple(sorted((name, rate) for name, rate in total.items() if rate))


def size(mark: Mark) -> tuple[Fraction, Mark]:
    """Return how large a unit is in base units, and its dimensions."""
    factor, dimensions = Fraction(1), []
    for name, rate in mark:
        prefix, _, base = name.rpartition("-")
        base_size, dimension, _ = _TABLE[base]
        factor *= (Fraction(base_size) * Fraction(_PREFIXES[prefix] if prefix else 1)) ** rate
        dimensions.append((dimension, rate))
    return factor, make_mark(dimensions)
