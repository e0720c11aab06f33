"""Where in the text of a response its thinking ends, which part is the answer, and what it shares.

start, end: the strings around the thinking, "" for none. A response that the chat template has
opened begins with `start`. Imports nothing of this package."""

import re
from collections.abc import Sequence
from os.path import commonprefix

# Blank lines before an answer, or the spaces before it on the same line: what indents its first
# line after a line break stays, since code depends on it.
_LEADING = re.compile(r"\s*\n|[^\S\n]+")


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
