"""What forked.py has in memory: what runs and recipes import, and lm_eval's index of tasks."""

import gc
from importlib import import_module

gc.disable()  # there is no garbage among what stays
for name in (
    "datasets",
    "lm_eval._cli.harness",
    "lm_eval.evaluator",
    "lm_eval_tts.models.hf",
    "peft",
    "torch.utils.collect_env",
    "trl.trainer.grpo_trainer",
    "trl.trainer.sft_trainer",
):
    import_module(name)
import_module("lm_eval.tasks").TaskManager()
gc.freeze()
gc.enable()
