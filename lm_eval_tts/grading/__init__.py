"""Text in, verdict out: is a response's final answer right?

    >>> grade("<think>2+2</think><answer>4</answer>", "4").correct
    True

Reading order: `parts` (tags), `extraction`, `splitting` and `sentences` or `choices` (which answer
is committed to), `normalize` and `words` (one spelling), `answers`, `matrices`, `inequalities`,
`expressions` and `values` (what it means), `equivalence` (exact rules), `symbolic` (computer
algebra in a process of its own), `pool` (many at once), `classes` (equal answers, for votes),
`degeneration` (loops). Knows text libraries only: no model, no lm_eval, no files.
"""

from __future__ import annotations

from collections.abc import Mapping

from lm_eval_tts.grading.classes import answer_classes, response_classes
from lm_eval_tts.grading.degeneration import has_loop
from lm_eval_tts.grading.equivalence import settle
from lm_eval_tts.grading.extraction import SOURCES
from lm_eval_tts.grading.parts import DEFAULT_TAGS, Format, State, Tags, format_adherence
from lm_eval_tts.grading.pool import finish, grade_many
from lm_eval_tts.grading.symbolic import verified
from lm_eval_tts.grading.verdicts import Item, Kind, Verdict, assess

# To be raised when verdicts change; task_configs/_base puts it into the results files.
GRADER_VERSION = 1

__all__ = [
    "DEFAULT_TAGS",
    "GRADER_VERSION",
    "SOURCES",
    "Format",
    "Item",
    "Kind",
    "State",
    "Tags",
    "Verdict",
    "answer_classes",
    "equivalent",
    "format_adherence",
    "grade",
    "grade_many",
    "has_loop",
    "response_classes",
]


def grade(
    response: str,
    reference: str,
    kind: Kind = "math",
    options: Mapping[str, str] | None = None,
    tags: Tags = DEFAULT_TAGS,
) -> Verdict:
    """Grade one response.

    kind: "math" compares by value; for a "choice" the reference is a letter, and `options` maps
    letters to their texts, not necessarily all of them; a "math" reference such as \\text{(C)} is
    read like a choice. tags: those asked for, as thinking start
    and end, answer start and end ("" for none); the usual families are recognised without.
    """
    draft = assess(Item(response, reference, kind, options, tags))
    asked = draft.correct is None
    return finish(draft, verified(draft.answer or "", reference) if asked else False)


def equivalent(a: str, b: str) -> bool:
    """Say whether two answers are mathematically equal, without any tolerance.

    Symmetric, and stricter than `grade`: "m + n = 12" and "12" differ, though a response that ends
    with the first answers the second.
    """
    decided = settle(a, b)
    return verified(a, b) if decided is None else decided
