"""What the text of a response shows: where its thinking ends, which part is the answer, what it
shares with another, whether it keeps to its tags, and loops.

start, end: the strings around the thinking, "" for none. A response that the chat template has
opened begins with `start`. Imports nothing of this package."""

import re
import zlib
from collections.abc import Sequence
from os.path import commonprefix
from typing import NamedTuple

# Blank lines before an answer, or the spaces before it on the same line: what indents its first
# line after a line break stays, since code depends on it.
_LEADING = re.compile(r"\s*\n|[^\S\n]+")
MAX_LOOP = 8_000  # characters in which a loop is looked for
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def opening_of(start: str, end: str) -> str:
    """Return what opens a thought: `start`, or else what a closing tag like </think> belongs to."""
    return start.strip() or (end.strip().replace("/", "", 1) if "/" in end else "")


def in_thinking(text: str, start: str, end: str) -> bool:
    """Whether a text ends within a thought; one whose start has no mark begins at once."""
    if not end:
        return False
    _, closed, after = text.rpartition(end)
    return start in after if start else not closed


def after_thinking(text: str, start: str, end: str, *, cut: bool = False) -> str:
    """Return what follows the thinking, without the blank before it. Nothing where a thought does
    not end. cut: the text ends at a limit, which decides where the start of a thought has no mark:
    then a text without `end` is a thought, else an answer."""
    if not end:
        return text
    _, closed, rest = text.rpartition(end)
    if not start:
        return "" if cut and not closed else _without_blank(rest)
    answer, begun, _ = rest.partition(start)  # a thought that goes on after the last that ended
    return "" if begun and not closed else _without_blank(answer)


def answer_in(
    text: str, tags: tuple[str, str, str, str], until: Sequence[str] = (), *, cut: bool = False
) -> str:
    """Return the part of a response that a task's grader should see.
    tags: the strings around thinking and answer, stripped; the answer's own are left out. until:
    the task's stop strings, which end an answer and no thought. cut: see `after_thinking`."""
    start, end, answer_start, answer_end = tags
    rest = after_thinking(text, opening_of(start, end), end, cut=cut)
    if answer_start and answer_start in rest:
        rest = _without_blank(rest.partition(answer_start)[2])
    for stop in filter(None, (answer_end, *(until if end else ()))):
        rest = rest.partition(stop)[0]
    return rest


def _without_blank(text: str) -> str:
    blank = _LEADING.match(text)
    return text[blank.end() :] if blank else text


def shared_length(one: str, other: str) -> int:
    """Return how many characters two texts share from their start."""
    if other.startswith(one):  # mostly one goes on from the other; only else is each character read
        return len(one)
    return len(commonprefix([one, other]))  # noqa: RUF071 the rule is for paths, these are texts


class Format(NamedTuple):
    """How well a response keeps to its tags; NaN where there are no tags to keep to.

    strict: all of them in order, each once, and nothing but white space outside. soft: in order,
    with anything around. tag_count: the share of the tags that occur exactly once.
    """

    strict: float
    soft: float
    tag_count: float


def format_adherence(response: str, tags: Sequence[str]) -> Format:
    """Say how well a response keeps to four tags; empty ones are not asked for."""
    wanted = [tag.strip() for tag in tags if tag.strip()]
    if not wanted:
        return Format(float("nan"), float("nan"), float("nan"))
    counts = [response.count(tag) for tag in wanted]
    rest, soft = response, True
    for tag in wanted:
        _, found, rest = rest.partition(tag)
        soft = soft and bool(found)
    first, second, third, fourth = (re.escape(tag.strip()) for tag in tags)
    whole = f"{first}.*{second} ?{third}.*{fourth}"  # what is empty is anywhere
    strict = set(counts) == {1} and re.fullmatch(whole, " ".join(response.split()))
    return Format(float(bool(strict)), float(soft), counts.count(1) / len(wanted))


def has_loop(text: str) -> bool:
    """Say whether a text ends in a repetition, closing tags aside: it compresses far better.

    A loop may also count ("If n = 48: ... Not equal. If n = 49: ..."): with its numbers masked far
    more of it is required, as lists of cases are good practice.

    >>> has_loop("So x = 1. " * 40)
    True
    """
    ending = " ".join(text[-MAX_LOOP:].split())
    while ending.endswith(">") and "<" in ending[-32:]:  # closed by the model or for it
        ending = ending[: ending.rindex("<")].rstrip()
    plain, masked = (s.encode("utf-8", "replace") for s in (ending, _NUMBER.sub("0", ending)))
    # Chosen on recorded runs: endings that enumerate cases without a loop measured 0.14 and more.
    limits = ((plain, 300, 0.17), (plain, 2_000, 0.14), (masked, 1_000, 0.07))
    return any(
        len(data) >= size and len(zlib.compress(data[-size:])) < ratio * size
        for data, size, ratio in limits
    )
