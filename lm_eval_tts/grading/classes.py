"""Which answers are equal among each other, where no reference is known: what votes count.

Answers are read and compared as for grading. Equality is not always transitive between spellings,
so an answer joins the first class whose first member it equals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lm_eval_tts.grading.equivalence import settle
from lm_eval_tts.grading.parts import DEFAULT_TAGS, Tags
from lm_eval_tts.grading.symbolic import verified
from lm_eval_tts.grading.verdicts import Kind, extract


def answer_classes(answers: Sequence[str | None]) -> list[int | None]:
    """Return a number for each answer, the same for equal ones; None for a missing answer."""
    numbers: dict[str, int] = {}
    firsts: list[str] = []
    for answer in answers:
        if answer is None or answer in numbers:
            continue
        equal = (n for n, first in enumerate(firsts) if _equal(answer, first))
        numbers[answer] = next(equal, len(firsts))
        if numbers[answer] == len(firsts):
            firsts.append(answer)
    return [None if answer is None else numbers[answer] for answer in answers]


def _equal(a: str, b: str) -> bool:
    decided = settle(a, b)
    return verified(a, b) if decided is None else decided


def response_classes(
    responses: Sequence[str],
    options: Mapping[str, str] | None = None,
    tags: Tags = DEFAULT_TAGS,
) -> list[int | None]:
    """Return the class of each response's answer; with options the answer is a letter."""
    kind: Kind = "choice" if options else "math"
    return answer_classes([extract(str(text), kind, options, tags) for text in responses])
