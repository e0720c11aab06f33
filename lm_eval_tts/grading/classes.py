"""Which answers are equal among each other, where no reference is known: what votes count.

A class is a canonical form, so it does not depend on the order of the answers. A vote is for a
value: the name before it and the noun or letter after it are left out of every answer alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache

from lm_eval_tts.grading.canonical import form_of
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.parts import DEFAULT_TAGS, Tags
from lm_eval_tts.grading.trees import Node
from lm_eval_tts.grading.values import TooLarge
from lm_eval_tts.grading.verdicts import Kind, extract


def answer_classes(answers: Sequence[str | None]) -> list[int | None]:
    """Return a number for each answer, the same for equal ones; None for a missing answer."""
    numbers: dict[Hashable, int] = {}
    return [
        None if answer is None else numbers.setdefault(vote_class(answer), len(numbers))
        for answer in answers
    ]


@lru_cache(maxsize=50_000)
def vote_class(answer: str) -> Hashable:
    """Return what an answer votes for, as a canonical form."""
    try:
        return form_of(_unnamed(parse(answer)))
    except (TooLarge, RecursionError):
        return ("huge", "".join(answer.split()))


def _unnamed(node: Node) -> Node:
    if node.kind == "named":
        return _unnamed(node.parts[1])
    if (
        node.kind == "relation"
        and node.mark == "="
        and node.parts[1].value
        and not node.parts[1].value.variables
    ):
        constant = node.parts[1].value.constant
        return node if constant == 0 else node.parts[1]  # m + n = 12
    return node._replace(parts=tuple(map(_unnamed, node.parts))) if node.kind == "list" else node


def response_classes(
    responses: Sequence[str],
    options: Mapping[str, str] | None = None,
    tags: Tags = DEFAULT_TAGS,
) -> list[int | None]:
    """Return the class of each response's answer; with options the answer is a letter."""
    kind: Kind = "choice" if options else "math"
    return answer_classes([extract(str(text), kind, options, tags) for text in responses])
