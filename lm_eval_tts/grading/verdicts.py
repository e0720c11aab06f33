"""One response against one reference: what was answered, and whether that is right.

Puts the other modules together; leaves what only computer algebra can decide as None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from lm_eval_tts.grading.choices import find_choice
from lm_eval_tts.grading.degeneration import has_loop
from lm_eval_tts.grading.equivalence import settle_answer
from lm_eval_tts.grading.extraction import Found, find_answer
from lm_eval_tts.grading.parts import (
    DEFAULT_TAGS,
    Parts,
    State,
    Tags,
    first_turn,
    split_parts,
    without_residue,
)

Kind = Literal["math", "choice"]
MAX_RESPONSE = 500_000  # characters; of a longer response the end is graded

_LETTER = re.compile(r"\\text\{\([A-J]\)\}$")  # of a problem that lists its options
_BLANKS = re.compile(r"\s{40,}")  # so that no pattern meets a long run of white space


class Item(NamedTuple):
    """One response to grade; the fields are the arguments of `grade`."""

    response: str
    reference: str
    kind: Kind = "math"
    options: Mapping[str, str] | None = None
    tags: Tags = DEFAULT_TAGS


@dataclass(frozen=True, slots=True)
class Verdict:
    """correct; answer: as extracted, None if there is none; source: where it was found (see
    `extraction`); state: which thinking tags are there; loop: the text ends in a repetition."""

    correct: bool
    answer: str | None
    source: str | None
    state: State
    loop: bool


class Draft(NamedTuple):
    """A verdict whose `correct` may be None: only computer algebra can tell."""

    correct: bool | None
    answer: str | None
    source: str | None
    state: State
    loop: bool


def assess(item: Item) -> Draft:
    """Grade one response as far as that is possible without computer algebra."""
    if item.kind not in ("math", "choice"):
        raise ValueError(f'kind {item.kind!r} is unknown: it is "math" or "choice"')
    found, parts, loop = _read(item)
    loop = loop or any(map(has_loop, (parts.thinking, *parts.answers)))
    if not found:
        return Draft(False, None, None, parts.state, loop)
    return Draft(_correct(item, found.answer), found.answer, found.source, parts.state, loop)


def extract(response: str, kind: Kind, options: Mapping[str, str] | None, tags: Tags) -> str | None:
    """Return the answer that a response commits to, or None; nothing of a reference is needed."""
    found, _, _ = _read(Item(response, "", kind, options, tags))
    return found.answer if found else None


def _read(item: Item) -> tuple[Found | None, Parts, bool]:
    """Return what was answered, the parts it was read from, and whether the text ends in a loop."""
    response = _BLANKS.sub("\n\n", str(item.response)[-MAX_RESPONSE:])
    loop = has_loop(response)
    turn, rest = first_turn(response)
    parts = _parts(turn, item.tags)
    found = _find(item, parts, loop)
    if rest and not found:
        parts = _parts(response, item.tags)
        found = _find(item, parts, loop)
    return found, parts, loop


def _parts(response: str, tags: Tags) -> Parts:
    parts = split_parts(response, tags)
    return parts._replace(
        thinking=without_residue(parts.thinking),
        open_thinking=without_residue(parts.open_thinking),
        answers=tuple(without_residue(answer) for answer in parts.answers),
        before=without_residue(parts.before),
        after=without_residue(parts.after),
    )


def _find(item: Item, parts: Parts, loop: bool) -> Found | None:
    if item.kind == "choice":
        return find_choice(parts, item.options, loop)
    if _LETTER.match(item.reference) and (letter := find_choice(parts, item.options, loop)):
        return letter
    if parts.open_thinking.strip() and not any(a.strip() for a in parts.answers):
        parts = parts._replace(before="")  # the preamble of a thinking that was cut off
    return find_answer(parts, loop)


def _correct(item: Item, answer: str) -> bool | None:
    if item.kind == "choice":
        return answer == item.reference.strip().strip("()").upper()
    return settle_answer(answer, item.reference)
