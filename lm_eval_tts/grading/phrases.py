"""The words of the reader of claims, from `phrases.yaml`, as one pattern for each group."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

_DATA: dict[str, dict[str, list[Any]]] = yaml.safe_load(
    Path(__file__).with_name("phrases.yaml").read_text(encoding="utf-8")
)
SYNONYMS = {other: word for word, others in _DATA["synonyms"].items() for other in others}


def alternatives(*groups: str) -> str:
    """Return a pattern of all phrases of some groups, the longest first.

    Words of alphabets end where letters end; Chinese and Japanese have no spaces between words.
    """
    every = {str(p) for group in groups for some in _DATA[group].values() for p in some}
    phrases = sorted(every, key=lambda phrase: (-len(phrase), phrase))
    free = [p for p in phrases if ord(p[0]) > 0x2E00 or not p[0].isalnum()]
    words = [p for p in phrases if p not in free]
    bounded = rf"(?<!\w){_branches(words)}(?!\w)" if words else ""
    return "|".join(filter(None, [bounded, _branches(free)]))


def _branches(phrases: list[str]) -> str:
    """The phrases as a tree of their letters: no search tries a letter twice."""
    by_first: dict[str, list[str]] = {}
    for phrase in phrases:
        by_first.setdefault(phrase[:1], []).append(phrase[1:])
    ends = by_first.pop("", None)
    branches = [_letter(first) + _branches(rest) for first, rest in by_first.items()]
    if not branches:
        return ""
    if len(branches) == 1 and not ends:
        return branches[0]
    return f"(?:{'|'.join(branches)}){'?' if ends else ''}"


def _letter(letter: str) -> str:
    return {" ": r"\s+", "'": "['’]"}.get(letter, re.escape(letter))


@lru_cache
def phrases(*groups: str) -> re.Pattern[str]:
    """Return the compiled pattern of some groups."""
    return re.compile(rf"(?:{alternatives(*groups)})", re.I)


def has(group: str, text: str) -> bool:
    """Say whether a phrase of a group occurs in a text."""
    return bool(phrases(group).search(text))
