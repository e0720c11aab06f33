"""Text in, verdict out: is a response's final answer right?

    >>> grade("<think>2+2</think><answer>4</answer>", "4").correct
    True

Six layers, each knows only those before it; tests/grading/test_layers.py has them:

    notation     lexicon, tokens, numerals, units; values, functions
    formulas     cursor, formulas: from tokens to exact values
    answers      trees, notations, grammar: lists, intervals, equations, words
    equality     canonical, readings, equality, tolerance
    reading      expressions, segments, claims, options, extraction, choices: what a text commits to
    verdicts     verdicts, dispute: one response, many, votes; beside another grader

Knows text libraries only: no model, no lm_eval, no files but its own data.
"""

from __future__ import annotations

from collections.abc import Mapping

from lm_eval_tts.grading.canonical import answer_classes, equal
from lm_eval_tts.grading.degeneration import has_loop
from lm_eval_tts.grading.equality import Tolerance
from lm_eval_tts.grading.extraction import SOURCES
from lm_eval_tts.grading.parts import DEFAULT_TAGS, Format, State, Tags, format_adherence
from lm_eval_tts.grading.verdicts import (
    Item,
    Kind,
    Verdict,
    grade_item,
    grade_many,
    response_classes,
)

# Raise it when verdicts change; `make generated` hands it to task_configs/_base for the results.
GRADER_VERSION = 7

__all__ = [
    "DEFAULT_TAGS",
    "GRADER_VERSION",
    "SOURCES",
    "Format",
    "Item",
    "Kind",
    "State",
    "Tags",
    "Tolerance",
    "Verdict",
    "answer_classes",
    "equivalent",
    "format_adherence",
    "grade",
    "grade_item",
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
    question: str = "",
    tolerance: Tolerance | None = None,
) -> Verdict:
    """Grade one response.

    kind: "math" compares by value; for a "choice" the reference is a letter, and `options` maps
    letters to their texts, not necessarily all of them; a "math" reference such as \\text{(C)} is
    read like a choice. tags: those asked for, as thinking start and end, answer start and end (""
    for none); the usual families are recognised without. question: what was asked, so that an
    answer which only repeats it is none. tolerance: of the task; exact without.
    """
    return grade_item(Item(response, reference, kind, options, tags, question, tolerance))


def equivalent(a: str, b: str) -> bool:
    """Say whether two answers are the same, without any tolerance or leniency.

    An equivalence: reflexive, symmetric and transitive. Stricter than `grade`: "5 cm" and "5"
    differ, though a response that ends with the first answers the second.
    """
    return equal(a, b)
