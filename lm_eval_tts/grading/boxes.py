r"""Boxes of LaTeX: the last \boxed{} of a text, several that are one answer, a sentence in one."""

from __future__ import annotations

import re
from typing import NamedTuple

from lm_eval_tts.grading.claims import committed, is_mentioned
from lm_eval_tts.grading.lexicon import has
from lm_eval_tts.grading.segments import spoken

MAX_ANSWER = 1_000
MAX_BOXES = 20

_BOX = re.compile(r"\\(?:f?box(?:ed)?|beginboxed|framebox)\s*(?=[{\s\w])")
_BARE = re.compile(r"[A-Za-z0-9.]+")
_BRACE = re.compile(r"(?<!\\)[{}]")
_LAYOUT = r"(?:[\s$]|\\[()\[\]]|\\q?quad(?![A-Za-z]))*"
_AND = r"(?:\\(?:text|mbox)\{\s*)?(?:and|or)\b(?:\s*\})?"
_JOINS = re.compile(rf"\}}(?:[ $]*|{_LAYOUT}(?:[,;]{_LAYOUT}(?:{_AND})?|{_AND}){_LAYOUT})")


class Found(NamedTuple):
    """An answer as written, where it was found, and the index it starts at."""

    answer: str
    source: str
    at: int


def boxed(text: str) -> Found | None:
    """The last box that closes, or that the end of the text cuts off after a whole number.

    Boxes with nothing but "and" or a comma between them are one answer of several parts.
    """
    parts: list[Found] = []
    for match in reversed(list(_BOX.finditer(text))):
        if is_mentioned(text, match.start()):
            continue
        content = _content(text, match.end())
        if parts and not _JOINS.fullmatch(text, match.end() + len(content) + 1, parts[0].at):
            break
        if content.strip():
            parts.insert(0, Found(content.strip()[:MAX_ANSWER], "boxed", match.start()))
    answer = ", ".join(part.answer for part in parts)
    return parts[-1]._replace(answer=_without_sentence(answer) or answer) if parts else None


def boxes(text: str) -> list[str]:
    """Return what stands in each of the last boxes."""
    found = [_content(text, match.end()).strip() for match in _BOX.finditer(text)]
    return list(filter(None, found[-MAX_BOXES:]))


def _content(text: str, start: int) -> str:
    if text[start : start + 1] != "{":
        match = _BARE.match(text, start)
        return match[0] if match else ""
    depth = 0
    for brace in _BRACE.finditer(text, start, start + 2 * MAX_ANSWER):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[start + 1 : brace.start()]
    is_cut = len(text) - start < 100
    return text[start + 1 :].split("\n")[0].split("$")[0] if is_cut else ""


def _without_sentence(content: str) -> str | None:
    """What a sentence in a box says: \\text{The area is } 18."""
    plain = spoken(content)
    claim = committed(plain) if plain != content and has("is", plain) else None
    return claim.answer if claim else None
