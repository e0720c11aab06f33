"""Numerals: the number that a token is, and that words are (English only)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction

from lm_eval_tts.grading.lexicon import NOTATION
from lm_eval_tts.grading.tokens import TABLE, Token
from lm_eval_tts.grading.values import TooLarge

MAX_DIGITS = 1_000
_SMALL: dict[str, int] = NOTATION["numbers"]
_SCALES: dict[str, int] = NOTATION["scales"]
_PARTS = {
    word + ending: number
    for number, words in NOTATION["parts"].items()
    for word in words.split()
    for ending in ("", "s")
}
NUMBER_WORDS = {*_SMALL, *_SCALES, "hundred", *_PARTS, "dozen"}
PIECES = re.compile(r"\d+|[¼-¾⅐-⅞]")


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
    if kind == "MIXED":  # 2 1/2, 2½, 2\frac12
        whole, top, *bottom = PIECES.findall(text)
        if top.isascii():
            top, below = (top, bottom[0]) if bottom else (top[0], top[1:])
            return int(whole) + Fraction(int(top), int(below))
        return int(whole) + number_of(token._replace(kind="NUMBER", text=top))
    if not text.isascii():
        return Fraction(unicodedata.numeric(text)).limit_denominator(10)
    if kind in ("EUROPEAN", "GROUPED"):
        point = "," if kind == "EUROPEAN" else "."
        text = "".join(c for c in text if c.isdecimal() or c == point).replace(",", ".")
    if abs(int(text.lower().partition("e")[2] or 0)) > 999:
        raise TooLarge("digits")
    return Fraction(text)


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
    words = [word.lower() for word in words]
    if not words or words[-1] not in _PARTS:
        number = _cardinal(words)
        return None if number is None else Fraction(number)
    split = len(words) - words[::-1].index("and") if "and" in words else 0
    whole = _cardinal(words[: split - 1]) if split else 0  # two and two thirds
    top = _cardinal(words[split:-1] or ["one"])
    return None if whole is None or not top else whole + Fraction(top, _PARTS[words[-1]])


def _cardinal(words: Sequence[str]) -> int | None:
    """A whole number: groups of up to 999, each with its scale."""
    total, group = 0, 0
    for last, word in zip(["", *words], words, strict=False):
        if word == "and" and last in (*_SCALES, "hundred"):
            continue
        if word in _SMALL:
            if last in _SMALL and not (_SMALL[last] >= 20 and 0 < _SMALL[word] < 10):
                return None
            group += _SMALL[word]
        elif word == "a" and not last:
            group = 1
        elif word == "hundred" and group < 100:
            group = 100 * max(group, 1)
        elif word == "dozen" and word is words[-1]:
            group = 12 * max(group, 1)
        elif word in _SCALES:
            total, group = total + max(group, 1) * _SCALES[word], 0
        else:
            return None
    return total + group if words and words[-1] != "and" else None


def fold(found: Sequence[Token]) -> list[Token]:
    """Return tokens with each longest run of number words as one NUMBER."""
    folded: list[Token] = []
    at = 0
    while at < len(found):
        end = _run_end(found, at)
        number = spelled([word for token in found[at:end] for word in token.text.split("-")])
        end = max(end, at + 1)
        first = found[at]._replace(kind="NUMBER", text=str(number), end=found[end - 1].end)
        folded += found[at:end] if number is None else [first]
        at = end
    return folded


def _run_end(found: Sequence[Token], at: int) -> int:
    """Where a run of number words ends; at its start if there is none."""
    following = found[at + 1].text if at + 1 < len(found) else ""
    is_article = found[at].text in ("a", "A") and following in (*_SCALES, "hundred", "dozen")
    end = at + (is_article or _is_number(found[at]))
    while at < end < len(found) and (found[end].text in ("and", "a") or _is_number(found[end])):
        end += 1
    while end > at + 1 and found[end - 1].text in ("and", "a"):
        end -= 1
    return end


def _is_number(token: Token) -> bool:
    return NUMBER_WORDS.issuperset(token.text.lower().split("-"))
