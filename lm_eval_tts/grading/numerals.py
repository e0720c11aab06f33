"""Numerals: the number that a token is, and that words are (English only)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from itertools import takewhile

from lm_eval_tts.grading.lexicon import NOTATION
from lm_eval_tts.grading.tokens import TABLE, Token
from lm_eval_tts.grading.values import TooLarge

MAX_DIGITS = 1_000
MAX_WORDS = 16  # of a number
PIECES = re.compile(r"\d+|[¼-¾⅐-⅞]")
_SMALL: dict[str, int] = NOTATION["numbers"]
_SCALES: dict[str, int] = NOTATION["scales"]
_PARTS = {word: number for number, words in NOTATION["parts"].items() for word in words.split()}
_WORDS = {*_SMALL, *_SCALES, *_PARTS, "and"}


def number_of(token: Token) -> Fraction:
    """Return the number that a token is. Raises TooLarge."""
    kind, text = token.kind, token.text
    if len(text) > MAX_DIGITS:
        raise TooLarge("digits")
    if kind == "REPEATING":
        return _repeating(text)
    if kind == "SCALED":  # 1.5 million
        digits, scale = text.lower().split()
        return Fraction(digits) * _SCALES[scale]
    plain = unicodedata.normalize("NFKC", " ".join(PIECES.findall(text)))
    if kind == "MIXED":  # 2 1/2, 2½, 2\frac12
        whole, *rest = PIECES.findall(plain)
        top, bottom = rest if len(rest) > 1 else rest[0]
        return int(whole) + Fraction(int(top), int(bottom))
    if kind in ("EUROPEAN", "GROUPED"):
        point = "," if kind == "EUROPEAN" else "."
        text = "".join(c for c in text if c.isdecimal() or c == point).replace(",", ".")
    if abs(int(text.lower().partition("e")[2] or 0)) > 999:
        raise TooLarge("digits")
    return Fraction(text if text.isascii() else plain.replace("\u2044", "/"))


def _repeating(text: str) -> Fraction:
    r"""0.1\overline{6}, 0.1(6), 0.1666..."""
    match = TABLE.match(text)
    *before, cycle = PIECES.findall(text)
    if match and match["cycle"]:
        before, cycle = [text[: match.start("cycle")].replace(".", "")], match["cycle"]
    size = Fraction(10 ** len("".join(before)) // 10 ** text.index("."))
    return (int("".join(before) or 0) + Fraction(int(cycle), 10 ** len(cycle) - 1)) / size


def spelled(words: Sequence[str]) -> Fraction | None:
    """Return the number that these words are, all of them; None if they are none."""
    if words and words[-1] in _PARTS:  # two and two thirds
        split = len(words) - words[::-1].index("and") if "and" in words else 0
        whole = spelled(words[: split - 1]) if split else 0
        top = spelled(words[split:-1] or ["one"])
        return None if whole is None or not top else whole + top / _PARTS[words[-1]]
    total, group, last = 0, 0, ""
    for word in words:
        if word in _SMALL and (last not in _SMALL or _SMALL[last] >= 20 > 10 > _SMALL[word] > 0):
            group += _SMALL[word]
        elif word in _SCALES:
            group = max(group, 1) * _SCALES[word]
            total, group = (total + group, 0) if _SCALES[word] > 100 else (total, group)
        elif word != "and" or last not in _SCALES:
            return None
        last = word
    return Fraction(total + group) if last not in ("", "and") else None


def fold(found: Sequence[Token]) -> list[Token]:
    """Return tokens with each longest run of words that is a number as one NUMBER."""
    folded: list[Token] = []
    at = 0
    while at < len(found):
        texts = [token.text.lower() for token in found[at : at + MAX_WORDS]]
        words = list(takewhile(lambda text: _WORDS.issuperset(text.split("-")), texts))
        while words and (number := spelled("-".join(words).split("-"))) is None:
            words.pop()
        token, last = found[at], found[at + max(len(words), 1) - 1]
        if words and words != ["a"]:
            token = token._replace(kind="NUMBER", text=str(number), end=last.end)
        folded.append(token)
        at += max(len(words), 1)
    return folded
