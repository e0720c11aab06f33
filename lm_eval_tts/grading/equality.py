"""Whether an answer is that of a reference: by canonical forms and readings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from lm_eval_tts.grading import readings
from lm_eval_tts.grading.canonical import form_of, key
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.lexicon import words_of
from lm_eval_tts.grading.tokens import tidy
from lm_eval_tts.grading.trees import Node
from lm_eval_tts.grading.values import Unreadable

MAX_ANSWER_LENGTH = 2_000
_COMMA = re.compile(r"\d,\d")
_LABEL = re.compile(
    r"(?:(?:option|choice|answer|equation|graph|statement)\s+(?:\(?([A-J])\)?(?=[\s).:]|$)|)|"
    r"\(([A-J])\)|([A-J])[).:](?=\s|$))[\s~]*",
    re.I,
)
_LONE_LETTER = re.compile(r"\(?([A-J])\)?")
_FONTS = re.compile(r"\\(?:text|math)?(?:bf|rm|it)?\s*\{([^{}]*)\}|[$*]")
_UNFINISHED = tuple(f"\\{name}" for name in words_of("unfinished"))


@lru_cache(maxsize=100_000)
def matches(answer: str, reference: str) -> bool | None:
    """Say whether an answer is that of a reference; None if a sum, limit or integral would
    have to be worked out."""
    answer, reference = answer.strip(), reference.strip()
    if answer == reference or not answer or not reference:
        return answer == reference != ""
    if max(len(answer), len(reference)) > MAX_ANSWER_LENGTH:
        return False
    if (letter := _letters(answer, reference)) is not None:
        return letter
    if key(answer) == key(reference):
        return True
    try:
        given, wanted = trees_of(answer), parse(reference)
        if are_alike(given, wanted):
            return True
        return None if is_open(answer + reference) else False
    except (Unreadable, RecursionError):
        return False


def are_alike(given: Sequence[Node], wanted: Node) -> bool:
    """Say whether one of the trees of an answer is that of a reference, by the readings."""
    of_answer, of_reference = readings.keys(given, "answer"), readings.keys([wanted], "reference")
    plain = {form_of(wanted)} | readings.keys([wanted], "both")
    return bool(of_answer & plain or readings.keys(given, "both") & of_reference)


def trees_of(answer: str) -> list[Node]:
    """Return the trees that the spelling of an answer allows."""
    found = [parse(answer)]
    if _COMMA.search(answer):
        found.append(parse(answer, comma=True))  # 1,5 in Europe
    bare = _bare(answer)
    if (label := _LABEL.match(bare)) and label.end() < len(bare):
        found.append(parse(bare[label.end() :]))  # (C) 24
    return found


def _bare(text: str) -> str:
    return _FONTS.sub(r" \1", text).strip()


def _letters(answer: str, reference: str) -> bool | None:
    """A choice such as (C), if the reference is nothing but that."""
    given, wanted = _bare(answer), _bare(reference)
    single, letter = _LONE_LETTER.fullmatch(given), _LONE_LETTER.fullmatch(wanted)
    if not letter:
        label = _LABEL.match(wanted) if single and "(" in wanted else None
        return single[1] in label.groups() if single and label else None
    found = _LONE_LETTER.fullmatch(given.rstrip(".")) or _LABEL.match(given)
    name = next((group for group in found.groups() if group), None) if found else None
    if name is None or (name.islower() and "(" not in given):
        return None
    return (name if name == given else name.upper()) == letter[1]


def is_open(text: str) -> bool:
    """Say whether a sum, limit or integral is in a text, which is not worked out here."""
    return any(mark in tidy(text) for mark in _UNFINISHED)
