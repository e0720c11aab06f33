"""Numbers in words: "two hundred and five", "three quarters", "minus one half". English only."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from lm_eval_tts.grading.tokens import Token, words_of

_SMALL = words_of(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TENS = words_of("twenty thirty forty fifty sixty seventy eighty ninety")
_UNITS = {word: n for n, word in enumerate(_SMALL)} | {w: 10 * n for n, w in enumerate(_TENS, 2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    word + ending: n
    for n, words in {
        2: "half", 3: "third", 4: "quarter fourth", 5: "fifth", 6: "sixth", 7: "seventh",
        8: "eighth",
        9: "ninth", 10: "tenth", 12: "twelfth", 16: "sixteenth", 20: "twentieth", 100: "hundredth",
    }.items()
    for word in words.split()
    for ending in ("", "s")
} | {"halves": 2}  # fmt: skip
NUMBER_WORDS = {*_UNITS, *_SCALES, "hundred", *_PARTS, "dozen"}


def spelled(words: Sequence[str]) -> Fraction | None:
    """Return the number that these words are, all of them; None if they are none."""
    words = [word.lower() for word in words]
    if words[:1] == ["a"] and len(words) > 1:
        words = ["one", *words[1:]]
    if words[-3:-1] in (["and", "a"], ["and", "one"]) and words[-1] in _PARTS:
        whole = _cardinal(words[:-3])
        return None if whole is None else whole + Fraction(1, _PARTS[words[-1]])
    if words and words[-1] in _PARTS:
        top = _cardinal(words[:-1]) if len(words) > 1 else 1
        return Fraction(top, _PARTS[words[-1]]) if top else None
    number = _cardinal(words)
    return None if number is None else Fraction(number)


def _cardinal(words: Sequence[str]) -> int | None:
    """A whole number: groups of up to 999, each with its scale, from large to small."""
    total, group, least = 0, 0, 10**15
    for at, word in enumerate(words):
        last = words[at - 1] if at else ""
        if word == "and" and last in (*_SCALES, "hundred"):
            continue
        if word in _UNITS:
            number = _UNITS[word]
            if last in _UNITS and not (_UNITS[last] >= 20 and 0 < number < 10):
                return None
            group += number
        elif word == "hundred" and 0 < group < 100 and last in _UNITS:
            group *= 100
        elif word == "dozen" and at == len(words) - 1:
            group = 12 * max(group, 1)
        elif word in _SCALES and group > 0 and _SCALES[word] < least:
            least = _SCALES[word]
            total, group = total + group * least, 0
        else:
            return None
    return total + group if words and words[-1] != "and" else None


def fold(found: Sequence[Token]) -> list[Token]:
    """Return tokens with each longest run of number words as one NUMBER."""
    if not any(t.kind == "WORD" and t.text.split("-")[0].lower() in NUMBER_WORDS for t in found):
        return list(found)
    folded: list[Token] = []
    at = 0
    while at < len(found):
        end = at
        if (
            at
            and found[at - 1].kind == "("
            and found[at + 1 : at + 2]
            and found[at + 1].kind == ")"
        ):
            folded.append(found[at])  # 12 (twelve)
            at += 1
            continue
        while end < len(found) and _belongs(found[end], end > at):
            end += 1
        number = None
        while end > at:
            run = [w for t in found[at:end] for w in t.text.split("-")]
            if (number := spelled(run)) is not None:
                break
            if found[end - 1].text.lower() not in ("and", "a"):
                break  # never a part of a number in words
            end -= 1
        if number is None or end == at:
            end = max(end, at + 1)
            folded += found[at:end]
        else:
            first, last = found[at], found[end - 1]
            folded.append(first._replace(kind="NUMBER", text=str(number), end=last.end))
        at = end
    return folded


def _belongs(token: Token, inside: bool) -> bool:
    words = token.text.lower().split("-")
    if token.kind != "WORD":
        return False
    return all(w in NUMBER_WORDS for w in words) or (inside and words[0] in ("and", "a"))
