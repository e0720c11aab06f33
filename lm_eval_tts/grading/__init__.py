"""Text in, verdict out: is a response's final answer right?

    >>> grade("<think>2+2</think><answer>4</answer>", "4").correct
    True

Layers, each knows only those before it (tests/grading/test_layers.py): notation, formulas, answers,
equality, reading, verdicts. Knows text libraries only: no model, no lm_eval, no files but its data.
"""

from lm_eval_tts.grading.equality import Tolerance as Tolerance
from lm_eval_tts.grading.equality import answer_classes as answer_classes
from lm_eval_tts.grading.equality import equivalent as equivalent
from lm_eval_tts.grading.extraction import SOURCES as SOURCES
from lm_eval_tts.grading.parts import DEFAULT_TAGS as DEFAULT_TAGS
from lm_eval_tts.grading.parts import Format as Format
from lm_eval_tts.grading.parts import State as State
from lm_eval_tts.grading.parts import Tags as Tags
from lm_eval_tts.grading.parts import format_adherence as format_adherence
from lm_eval_tts.grading.parts import has_loop as has_loop
from lm_eval_tts.grading.verdicts import Item as Item
from lm_eval_tts.grading.verdicts import Kind as Kind
from lm_eval_tts.grading.verdicts import Verdict as Verdict
from lm_eval_tts.grading.verdicts import grade as grade
from lm_eval_tts.grading.verdicts import grade_item as grade_item
from lm_eval_tts.grading.verdicts import grade_many as grade_many
from lm_eval_tts.grading.verdicts import response_classes as response_classes

# Raise it when verdicts change; `make generated` hands it to task_configs/_base for the results.
GRADER_VERSION = 8
