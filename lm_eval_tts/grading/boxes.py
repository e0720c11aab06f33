r"""What stands in \\boxed{} and its like."""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_ANSWER = 1_000
MAX_BOXES = 20

_BOX = re.compile(r"\\(?:f?box(?:ed)?|beginboxed|framebox)\s*(?=[{\s\w])")
_LAYOUT = r"(?:[\s$]|\\[()\[\]]|\\q?quad(?![A-Za-z]))*"
_AND = r"(?:\\(?:text|mbox)\{\s*)?(?:and|or)\b(?:\s*\})?"
_JOINS = re.compile(rf"\}}{_LAYOUT}(?:[,;]{_LAYOUT}(?:{_AND})?|{_AND}){_LAYOUT}")


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
        content = _box_content(text, match.end()) or ""
        if parts and not _JOINS.fullmatch(text, match.end() + len(content) + 1, parts[0].at):
            break
        if content.strip():
            parts.insert(0, Found(content.strip()[:MAX_ANSWER], "boxed", match.start()))
    return parts[-1]._replace(answer=", ".join(p.answer for p in parts)) if parts else None


def boxes(text: str) -> list[str]:
    """Return what stands in each box."""
    found = list(_BOX.finditer(text))[-MAX_BOXES:]
    return [content.strip() for match in found if (content := _box_content(text, match.end()))]


def _box_content(text: str, start: int) -> str | None:
    if text[start : start + 1] != "{":
        match = re.compile(r"[A-Za-z0-9.]+").match(text, start)
        return match.group() if match else None
    depth = 0
    for at in range(start, min(len(text), start + 2 * MAX_ANSWER)):
        depth += (text[at] == "{" and text[at - 1] != "\\") - (
            text[at] == "}" and text[at - 1] != "\\"
        )
        if depth == 0:
            return text[start + 1 : at]
    cut = re.match(r"[^\n$]{1,100}", text[start + 1 : start + 100])
    return cut.group() if cut and len(text) - start < 100 else None
