"""What forked.py has in memory: all that a run of lm_eval imports, and its index of tasks."""

import datasets  # noqa: F401
import lm_eval._cli.harness  # noqa: F401
import lm_eval.evaluator  # noqa: F401
import trl  # noqa: F401
from lm_eval.tasks import TaskManager

import lm_eval_tts.models.hf  # noqa: F401

TaskManager()
