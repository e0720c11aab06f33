"""Numerals: the number that a token is, and that words are (English only).

`fold` makes one number of "two hundred and five" and of "three quarters".
"""

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
_BEFORE_ONE = frozenset(["this", "that", "which", "each", "every", "the", "another", "any"])
NUMBER_WORDS = {*_SMALL, *_SCALES, "hundred", *_PARTS, "dozen"}


def number_of(token: Token) -> Fraction:
    """Return the number that a token is. Raises TooLarge."""
    kind, text = token.kind, token.text
    if kind == "REPEATING":
        return _repeating(text)
    if kind == "MIXED":  # 2 1/2, 2½, 2\frac12
        whole, *part = re.findall(r"\d+|[¼-¾⅐-⅞]", text)
        top, bottom = part if len(part) == 2 else (part[0][:1], part[0][1:])
        return int(whole) + (Fraction(int(top), int(bottom)) if bottom else _vulgar(top))
    if kind == "SCALED":  # 1.5 million
        digits, scale = text.lower().split()
        return Fraction(digits) * _SCALES[scale]
    if not text.isascii():
        return _vulgar(text)
    if kind == "EUROPEAN":
        text = re.sub(r"\{?,\}?", ".", text.replace(".", ""))
    elif kind == "GROUPED":
        text = "".join(c for c in text if c.isdecimal() or c == ".")
    exponent = text.lower().partition("e")[2]
    if len(text) > MAX_DIGITS or (exponent and abs(int(exponent)) > 999):
        raise TooLarge("digits")
    return Fraction(text)


def _vulgar(text: str) -> Fraction:
    return Fraction(unicodedata.numeric(text)).limit_denominator(10)


def _repeating(text: str) -> Fraction:
    r"""0.1\overline{6}, 0.1(6), 0.1666..."""
    whole, _, rest = text.partition(".")
    match = TABLE.match(text)
    *before, cycle = re.findall(r"\d+", rest)
    if match and match["cycle"]:
        before, cycle = [text[len(whole) + 1 : match.start("cycle")]], match["cycle"]
    fixed = "".join(before)
    tail = Fraction(int(cycle), 10 ** len(cycle) - 1)
    return (int((whole or "0") + fixed) + tail) / Fraction(10 ** len(fixed))


def spelled(words: Sequence[str]) -> Fraction | None:
    """Return the number that these words are, all of them; None if they are none."""
    words = [word.lower() for word in words]
    if words[:1] == ["a"] and len(words) > 1:
        words = ["one", *words[1:]]
    elif words[:1] in (["hundred"], ["thousand"], ["million"]):
        words = ["one", *words]
    if not words or words[-1] not in _PARTS:
        number = _cardinal(words)
        return None if number is None else Fraction(number)
    if "and" in words:  # two and two thirds, one and a half
        split = len(words) - words[::-1].index("and")
        whole, part = _cardinal(words[: split - 1]), spelled(words[split:])
        return None if whole is None or part is None else whole + part
    top = _cardinal(words[:-1]) if len(words) > 1 else 1
    return Fraction(top, _PARTS[words[-1]]) if top else None


def _cardinal(words: Sequence[str]) -> int | None:
    """A whole number: groups of up to 999, each with its scale, from large to small."""
    total, group, least = 0, 0, 10**15
    for last, word in zip(["", *words], words, strict=False):
        if word == "and" and last in (*_SCALES, "hundred"):
            continue
        if word in _SMALL:
            if last in _SMALL and not (_SMALL[last] >= 20 and 0 < _SMALL[word] < 10):
                return None
            group += _SMALL[word]
        elif word == "hundred" and 0 < group < 100 and last in _SMALL:
            group *= 100
        elif word == "dozen" and word is words[-1]:
            group = 12 * max(group, 1)
        elif _SCALES.get(word, least) < least and group > 0:
            least = _SCALES[word]
            total, group = total + group * least, 0
        else:
            return None
    return total + group if words and words[-1] != "and" else None


def fold(found: Sequence[Token]) -> list[Token]:
    """Return tokens with each longest run of number words as one NUMBER."""
    if not any(_belongs(token, inside=False) for token in found):
        return list(found)
    folded: list[Token] = []
    at = 0
    while at < len(found):
        end, number = _run(found, at)
        if number is None:
            folded += found[at:end]
        else:
            folded.append(
                found[at]._replace(kind="NUMBER", text=str(number), end=found[end - 1].end)
            )
        at = end
    return folded


def _run(found: Sequence[Token], at: int) -> tuple[int, Fraction | None]:
    """Where a run of number words ends, and its number; never a part of one."""
    last = found[at - 1] if at else found[at]._replace(text="")
    aside = last.kind == "(" and [t.kind for t in found[at + 1 : at + 2]] == [")"]
    aside = aside or (found[at].text == "one" and last.text.lower() in _BEFORE_ONE)
    following = found[at + 1].text.lower() if at + 1 < len(found) else ""
    is_article = found[at].text in ("a", "A") and following in (*_SCALES, "hundred", "dozen")
    end = at + is_article
    while not aside and end < len(found) and _belongs(found[end], inside=end > at):  # 12 (twelve)
        end += 1
    while end > at:
        number = spelled([word for token in found[at:end] for word in token.text.split("-")])
        if number is not None:
            return end, number
        if found[end - 1].text.lower() not in ("and", "a"):
            break
        end -= 1
    return max(end, at + 1), None


def _belongs(token: Token, inside: bool) -> bool:
    words = token.text.lower().split("-")
    if token.kind != "WORD":
        return False
    return all(w in NUMBER_WORDS for w in words) or (inside and words[0] in ("and", "a"))
