"""What forked.py has in memory: what runs and recipes import, and lm_eval's index of tasks."""

import datasets
import lm_eval._cli.harness
import lm_eval.evaluator
import peft
from lm_eval.tasks import TaskManager
from trl import GRPOTrainer, SFTTrainer

import lm_eval_tts.models.hf

USED = (datasets, peft, lm_eval_tts.models.hf, GRPOTrainer, SFTTrainer)
TaskManager()
lm_eval.evaluator.add_env_info = lambda results: None  # seconds of pip list
