"""Numbers in words: "two hundred and five", "three quarters", "minus one half". English only."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from lm_eval_tts.grading.lexicon import NOTATION
from lm_eval_tts.grading.tokens import Token

_SMALL: dict[str, int] = NOTATION["numbers"]
_SCALES: dict[str, int] = NOTATION["scales"]
_PARTS = {
    word + ending: number
    for number, words in NOTATION["parts"].items()
    for word in words.split()
    for ending in ("", "s")
}
NUMBER_WORDS = {*_SMALL, *_SCALES, "hundred", *_PARTS, "dozen"}


def spelled(words: Sequence[str]) -> Fraction | None:
    """Return the number that these words are, all of them; None if they are none."""
    words = [word.lower() for word in words]
    if words[:1] == ["a"] and len(words) > 1:
        words = ["one", *words[1:]]
    if not words or words[-1] not in _PARTS:
        number = _cardinal(words)
        return None if number is None else Fraction(number)
    if words[-3:-1] in (["and", "a"], ["and", "one"]):
        whole = _cardinal(words[:-3])
        return None if whole is None else whole + Fraction(1, _PARTS[words[-1]])
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
    aside = at and found[at - 1].kind == "(" and [t.kind for t in found[at + 1 : at + 2]] == [")"]
    end = at
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
