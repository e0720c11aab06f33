"""What grading knows about words, signs and units, from `notation.yaml` and `phrases.yaml`."""

import re
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

from lm_eval_tts.core.disk import read_yaml

NOTATION = read_yaml("grading/notation.yaml")
_PHRASES = read_yaml("grading/phrases.yaml")
_AS_PATTERN = {" ": r"\s+", "'": "['’]", "\1": r"(?<!\w)", "\2": r"(?!\w)"}
SYNONYMS = {other: word for word, others in _PHRASES["synonyms"].items() for other in others}


@lru_cache
def words_of(name: str) -> frozenset[str]:
    """Return a list of words of `notation.yaml`."""
    return frozenset(NOTATION[name].split())


def _alternatives(named: re.Match[str]) -> str:
    """A pattern of all phrases of some groups, the longest first. Words of alphabets end where
    letters end; Chinese and Japanese have no spaces between words."""
    groups = named[1].split("|")
    every = {str(p) for group in groups for some in _PHRASES[group].values() for p in some}
    ordered = sorted(every, key=lambda phrase: (-len(phrase), phrase))
    ended = [f"\1{p}\2" if "0" <= p[0] < "\u2200" else p for p in ordered]
    return f"(?:{_branches(ended)})"


def _branches(phrases: list[str]) -> str:
    """The phrases as a tree of their letters: no search tries a letter twice."""
    by_first: dict[str, list[str]] = {}
    for phrase in phrases:
        by_first.setdefault(phrase[:1], []).append(phrase[1:])
    ends = by_first.pop("", None)
    branches = [
        (_AS_PATTERN.get(first) or re.escape(first)) + _branches(rest)
        for first, rest in by_first.items()
    ]
    if len(branches) <= 1 and not ends:
        return "".join(branches)
    return f"(?:{'|'.join(branches)}){'?' if ends else ''}" if branches else ""


@lru_cache
def pattern(template: str, flags: int = re.I) -> re.Pattern[str]:
    """Compile a pattern in which `<group>`, or `<group|group>`, is any phrase of these groups."""
    return re.compile(re.sub(r"<([a-z|]+)>", _alternatives, template), flags)


def phrases(group: str) -> re.Pattern[str]:
    """Return the pattern of a group."""
    return pattern(f"<{group}>")


def has(group: str, text: str) -> bool:
    """Say whether a phrase of a group occurs in a text."""
    return bool(phrases(group).search(text))


def end_of(skipped: re.Pattern[str], text: str, at: int = 0) -> int:
    """Return where a pattern's match at a place ends: the place itself, if nothing matches."""
    match = skipped.match(text, at)
    return match.end() if match else at


_ATOMS = rf"(?:{'|'.join(sorted(words_of('elements')))})(?:[2-9]|[1-9]\d)?"
_SUBSTANCE = re.compile(rf"(?=.*\d)(?:{_ATOMS}|\((?:{_ATOMS})+\)\d?){{2,}}")  # H2O, but not O2


def is_substance(word: str) -> bool:
    """Say whether a word is the formula of a substance, as H2SO4, and no product of letters."""
    return bool(_SUBSTANCE.fullmatch(word))


Mark = tuple[tuple[str, int], ...]  # units with their powers, sorted

_TABLE: dict[str, tuple[str, str, str]] = NOTATION["units"]
_PREFIXES: dict[str, str] = NOTATION["prefixes"]
_SPELLINGS = {word: name for name, (_, _, words) in _TABLE.items() for word in words.split()}
_PREFIXED = {
    prefix + word: f"{NOTATION['short_prefixes'].get(prefix, prefix)}-{name}"
    for word, name in _SPELLINGS.items()
    for prefix in _PREFIXES
    if name in words_of("prefixed") and (len(prefix) > 2) == (len(word) > 3)  # km, kilometer
}
_UNIT_NAMES = _PREFIXED | _SPELLINGS
UNIT_LETTERS = frozenset(w for w in _SPELLINGS if w == "Omega" or (len(w) == 1 and w.isalpha()))


def unit_of(word: str) -> str | None:
    """Return the name of the unit that a word stands for, with its prefix; None if it is none."""
    return _UNIT_NAMES.get(word) or (_UNIT_NAMES.get(word.lower()) if len(word) > 2 else None)


def make_mark(powers: Iterable[tuple[str, int]]) -> Mark:
    """Return units with their powers in their one order."""
    total: dict[str, int] = {}
    for whole, power in powers:
        for name, rate in NOTATION["composed"].get(whole, {whole: 1}).items():
            total[name] = total.get(name, 0) + power * rate
    return tuple(sorted((name, rate) for name, rate in total.items() if rate))


def size(mark: Mark) -> tuple[Fraction, Mark]:
    """Return how large a unit is in base units, and its dimensions."""
    factor, dimensions = Fraction(1), []
    for name, rate in mark:
        prefix, _, base = name.rpartition("-")
        base_size, dimension, _ = _TABLE[base]
        factor *= (Fraction(base_size) * Fraction(_PREFIXES[prefix] if prefix else 1)) ** rate
        if dimension == "volume":  # a litre is 1,000 cm³
            factor, dimension, rate = factor / 1000**rate, "length", 3 * rate
        dimensions.append((dimension, rate))
    return factor, make_mark(dimensions)
