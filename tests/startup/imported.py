"""What forked.py has in memory: all that a run of lm_eval imports, and its index of tasks."""

import datasets  # noqa: F401
import lm_eval._cli.harness
import lm_eval.evaluator
import trl  # noqa: F401
from lm_eval.tasks import TaskManager

import lm_eval_tts.models.hf  # noqa: F401

TaskManager()
lm_eval.evaluator.add_env_info = lambda results: None  # seconds of pip list
