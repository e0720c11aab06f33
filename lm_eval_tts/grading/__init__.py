"""Text in, verdict out: is a response's final answer right?

    >>> grade("<think>2+2</think><answer>4</answer>", "4").correct
    True

Six layers, each knows only those before it (tests/grading/test_layers.py):

    notation     notation, values: words and units, spelling, arithmetic
    formulas     formulas: from tokens to exact values
    answers      trees, grammar: lists, intervals, equations, words
    equality     equality: canonical forms, readings, tolerance
    reading      parts, claims, extraction, choices: what a text commits to
    verdicts     verdicts: one response, many, votes

Knows text libraries only: no model, no lm_eval, no files but its own data.
"""

from lm_eval_tts.core.texts import Format, format_adherence, has_loop
from lm_eval_tts.grading.equality import Tolerance, answer_classes, equivalent
from lm_eval_tts.grading.extraction import SOURCES
from lm_eval_tts.grading.parts import DEFAULT_TAGS, State, Tags
from lm_eval_tts.grading.verdicts import Item, Kind, Verdict, grade, grade_many, response_classes

# Raise it when verdicts change; `make generated` hands it to task_configs/_base for the results.
GRADER_VERSION = 8

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
    "grade_many",
    "has_loop",
    "response_classes",
]
