"""The options of a question in a sentence: their texts, up to spelling and value, and their labels.

Of a label a sentence says that it is the answer, that it is not, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

from lm_eval_tts.grading.claims import (
    CONTRAST,
    IS_RIGHT,
    Claim,
    committed,
    ends_with,
    has_digit,
    is_hedged,
    is_hypothetical,
    is_mentioned,
    is_name,
)
from lm_eval_tts.grading.cursor import FIRST_IDEOGRAM
from lm_eval_tts.grading.equality import matches
from lm_eval_tts.grading.expressions import runs
from lm_eval_tts.grading.lexicon import has, pattern, phrases
from lm_eval_tts.grading.segments import says_something, unmarked
from lm_eval_tts.grading.tokens import tidy

MAX_OPTION = 5_000  # characters of an option's text
MAX_MENTIONS = 12  # of labels in a sentence that states one
MIN_TAIL = 4  # characters of an option's text that count as one at the end of a sentence
Options = Mapping[str, str]  # the texts of the letters that are known

_TEX = re.compile(
    r"\\(?:text|math)\w*\s*\{([^{}]*)\}|\\f?box(?:ed)?\s*\{([^{}]*)\}"
    r"|\\[()\[\]]|\\q?quad|\\ |[$\"“”]"
)
_PUNCTUATION = str.maketrans("", "", " \n\t.,;:!?*_$\"'`\\{}")
_ORDINALS = ("first", "second", "third", "fourth")
# What follows says more of what was claimed, or compares it.
_AFTER_CLAIM = pattern(
    r",?\s+(?:which|who|whose|followed by|rather than|unlike|partly|in response to|more than"
    r"|less than)\b|,\s+not\b"
)
LABEL = re.compile(
    r"[(\[]\s{0,2}(?P<dressed>[A-Ja-j])\s{0,2}[)\]]"
    r"|(?<![\d}] )(?<![A-Za-z0-9'’.=+^_\\-])(?P<bare>[A-HJ]|I(?!\s[a-z]))(?![A-Za-z0-9'’=+^_-])"
    r"|(?:(?<=[Oo]ption )|(?<=[Cc]hoice ))(?P<named>[a-j])(?![A-Za-z0-9'’=+^_-])"
)
_OPTION_NOUN = r"(?:<option>\s*)?"
_TAIL = rf"[\s:,]*(?:<filler>[\s:]*)*{_OPTION_NOUN}\W*$"  # up to the label
_LINK = "<is>|:|=|→|⇒|->|=>|[–—]"
_ANNOUNCED = pattern(
    rf"(?:<answer|option>|(?:^|\n)\W*<result|right>)[\s*_,]*(?P<LINK>{_LINK})?" + _TAIL
)
_CHOSEN = pattern("<choose>" + _TAIL)
_IS_WRONG = pattern(
    r"[)\]\s]*(?:,\s*which\s)?(?:[^\W\d_]+[\s,]+){0,2}?<wrong>|.*\b(?:but|yet|though)\b"
    r"(?:(?!(?-i:\b[A-J]\b))[^,;])*?<wrong>"
)
_DESCRIBES = pattern(r"\b(?:explains|describes|applies|holds|fits|fit|works|true)$")
_LIKE = pattern(rf"<like>\s+(?:(?:the|a|an|that of|in)\s+)*{_OPTION_NOUN}\W*$")
_JOINTS = pattern("<like|option>")
_CLAUSE = re.compile(r"(?<=[.;!?])\s|(?<=[。；])")


def bare_text(text: str) -> str:
    """Return a sentence without markup, fonts and delimiters of formulas."""
    plain = _TEX.sub(lambda m: f" {m[1] or m[2] or ''} ", text)
    return " ".join(unmarked(tidy(plain)).split())


def squeezed(text: str) -> str:
    """Return a text without spaces and punctuation."""
    return tidy(text).translate(_PUNCTUATION)


def option_of(text: str, options: Options) -> str | None:
    """The option whose text this is, up to spelling; numbers by their value."""
    if not text.strip() or len(text) > MAX_OPTION:
        return None
    own = squeezed(unmarked(text))
    same = [k for k, option in options.items() if squeezed(option).casefold() == own.casefold()]
    exact = [k for k in same if squeezed(options[k]) == own]  # AA and aa may be two options
    return next(iter(exact or same), None) or _by_value(text, options)


def named(text: str, options: Options) -> str | None:
    """The option whose text a sentence ends with, or the longest in it, or that of its value."""
    sentence = _AFTER_CLAIM.split(bare_text(text), maxsplit=1)[0].casefold()
    names = [(own, letter) for own, letter in _names(options) if own in sentence]
    ends = [pair for pair in names if squeezed(sentence).endswith(squeezed(pair[0]))]
    name, letter = max(ends or names, key=lambda pair: len(pair[0]), default=("", None))
    said = sentence.replace(name, " ") if name else sentence
    is_none = name and has("refusal", name)  # none of the above
    if is_hedged(said) or (not is_none and any(has(g, said) for g in ("working", "not", "wrong"))):
        return None
    claim = None if letter else committed(bare_text(text))
    return _by_value(claim.answer, options) if claim and runs(claim.answer) else letter


def _names(options: Options) -> list[tuple[str, str | None]]:
    """The texts that are too long to be met by chance, or "second option", with their letters."""
    texts = [(bare_text(text).casefold(), letter) for letter, text in options.items()]
    if len(options) >= 4:
        texts += [(f"{o} option", k) for o, k in zip(_ORDINALS, sorted(options), strict=False)]
    return [
        (own.removeprefix("a ").removeprefix("the "), letter)
        for own, letter in texts
        if _width(own) >= MIN_TAIL
    ]


def _width(text: str) -> int:
    return len(text) + sum(c >= FIRST_IDEOGRAM for c in text)


def _by_value(text: str, options: Options) -> str | None:
    """The only option of this value."""
    short = [
        (k, option) for k, option in options.items() if len(option) < 100 and has_digit(option)
    ]
    found = [letter for letter, option in short if len(text) < 200 and matches(text, option)]
    return found[0] if len(found) == 1 else None


def label_of(match: re.Match[str]) -> str:
    """Return the letter of a match of LABEL."""
    return str(next(filter(None, match.groups()))).upper()


def beyond(after: str, option: str) -> str | None:
    """Return what follows a label and the text of its option; None if that text does not follow."""
    own = squeezed(option).casefold()
    if not own or not squeezed(after.lstrip(")].:( ")).casefold().startswith(own):
        return None
    return after.casefold().partition(option.casefold())[2] or after


def statements(piece: str, options: Options) -> list[Claim]:
    """Return what a sentence says of the options, from left to right.

    weight: 2 where a label is said to be the answer, 1 where that is so for a last sentence only.
    """
    text = CONTRAST.sub("", bare_text(piece))
    every = LABEL.finditer(text)
    labels = [m for m in every if not (m["bare"] and is_name(text[: m.start()]))]
    if len(labels) > MAX_MENTIONS:
        return []
    found, listed = [], _listed(text, labels)
    for label in labels:
        letter, after = label_of(label), text[label.end() :]
        rest = beyond(after, options.get(letter, ""))
        has_text, rest = rest is not None, _clause(after if rest is None else rest)
        before = _CLAUSE.split(text[: label.start()])[-1]
        if label in listed or is_mentioned(text, label.start()) or denies(before, rest):
            continue
        if has("working", text) and not _CHOSEN.search(before):
            continue
        if weight := _weight(before, _clause(after), has_text):
            found.append(Claim(letter, weight))
    return found


def _listed(text: str, labels: list[re.Match[str]]) -> list[re.Match[str]]:
    """The labels with nothing but words as "and" between them, as in (A) or (B)."""
    pairs = [
        pair
        for pair in pairwise(labels)
        if not says_something(_JOINTS.sub("", text[pair[0].end() : pair[1].start()]))
    ]
    return [label for pair in pairs for label in pair]


def denies(before: str, rest: str) -> bool:
    """Say whether a clause says of the label between its two parts that it is not, or may be."""
    return (
        ends_with("not", before.rpartition(",")[2], 3)
        or is_hedged(before)
        or bool(phrases("hedge").match(rest.lstrip(" ),")))
        or bool(_IS_WRONG.match(rest))
        or is_hypothetical(f"{before} {rest}")
        or rest.lstrip(" )]").startswith("?")
    )


def _clause(after: str) -> str:
    return _CLAUSE.split(after, maxsplit=1)[0]


def _weight(before: str, rest: str, has_text: bool) -> int:
    """How surely a clause says of the label between its two parts that it is the answer."""
    ends = not rest.strip(" ).,*]!")
    if _LIKE.search(before):
        return 0
    announced = _ANNOUNCED.search(before)
    if announced and (ends or announced["LINK"]):
        return 2
    if _CHOSEN.search(before) and not LABEL.search(before.rpartition(",")[2]):  # no subject
        return 2
    if before.rstrip(" ([").endswith("only"):
        return 0 if ends else 2  # only (B) explains it
    if praised := IS_RIGHT.match(rest):
        return 1 if _DESCRIBES.search(praised[0]) else 2
    return int(has_text or ends)
