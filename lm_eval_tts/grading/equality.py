"""Whether an answer is that of a reference: by canonical forms, readings and computer algebra."""

from __future__ import annotations

import re
from functools import lru_cache

from lm_eval_tts.grading import readings
from lm_eval_tts.grading.canonical import form_of, key
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.trees import Node
from lm_eval_tts.grading.values import TooLarge

MAX_ANSWER_LENGTH = 2_000
_COMMA = re.compile(r"\d,\d")
_LABEL = re.compile(
    r"^(?:(?:option|choice|answer|equation|graph|statement)\s+(?:\(?([A-J])\)?(?=[\s).:]|$)|)|"
    r"\(([A-J])\)|([A-J])[).:](?=\s|$))[\s~]*", re.I
)  # fmt: skip
_BARE_LETTER = re.compile(r"^\(?([A-J])\)?$")
_DRESSED = re.compile(r"\\(?:text|math)?(?:bf|rm|it)?\s*\{([^{}]*)\}|[$*]")


@lru_cache(maxsize=100_000)
def matches(answer: str, reference: str) -> bool | None:
    """Say whether an answer is that of a reference; None if that takes computer algebra."""
    if not answer.strip() or not reference.strip():
        return answer.strip() == reference.strip() != ""
    if max(len(answer), len(reference)) > MAX_ANSWER_LENGTH:
        return answer.strip() == reference.strip()
    if (letter := _letters(answer, reference)) is not None:
        return letter
    if key(answer) == key(reference):
        return True
    try:
        return _read(answer, reference)
    except (TooLarge, RecursionError):
        return False


def _read(answer: str, reference: str) -> bool | None:
    given, wanted = _trees(answer), [parse(reference)]
    strict = {form_of(tree) for tree in given}, readings.keys(wanted, "both")
    if readings.keys(given, "answer") & (strict[1] | {form_of(wanted[0])}):
        return True
    if readings.keys(given, "both") & readings.keys(wanted, "reference"):
        return True
    return None if _is_open(given[0]) or _is_open(wanted[0]) else False


def _trees(answer: str) -> list[Node]:
    """The trees that the spelling of an answer allows."""
    found = [parse(answer)]
    if _COMMA.search(answer):
        found.append(parse(answer, comma=True))  # 1,5 in Europe
    bare = _DRESSED.sub(r" \1", answer).strip()
    if (label := _LABEL.match(bare)) and label.end() < len(bare):
        found.append(parse(bare[label.end() :]))  # (C) 24
    return found


def _letters(answer: str, reference: str) -> bool | None:
    """A choice such as (C), if the reference is nothing but that."""
    plain = _DRESSED.sub(r" \1", reference).strip()
    if not (wanted := _BARE_LETTER.match(plain)):
        given = _BARE_LETTER.match(_DRESSED.sub(r" \1", answer).strip())
        label = _LABEL.match(plain) if given and "(" in plain else None
        return given.group(1) in label.groups() if given and label else None
    bare = _DRESSED.sub(r" \1", answer).strip()
    found = _BARE_LETTER.match(bare.rstrip(".")) or _LABEL.match(bare)
    letter = next((g for g in found.groups() if g), None) if found else None
    if letter is None or (letter.islower() and "(" not in bare):
        return None
    return letter == wanted.group(1) if letter == bare else letter.upper() == wanted.group(1)


def _is_open(node: Node) -> bool:
    if node.kind == "opaque":
        return any(
            mark in node.mark
            for mark in (
                "\\int",
                "\\sum",
                "\\lim",
                "\\prod",
                "\\log",
                "\\max",
                "\\min",
                "\\gcd",
                "\\iint",
            )
        )
    if node.value is not None and any(atom.kind == "binder" for atom in node.value.atoms):
        return True
    return any(map(_is_open, node.parts))


def needs_algebra(text: str) -> bool:
    """Say whether only computer algebra can work out what a formula comes to."""
    try:
        return _is_open(parse(text))
    except (TooLarge, RecursionError):
        return False
