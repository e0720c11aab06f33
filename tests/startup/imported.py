"""What forked.py has in memory: what runs and recipes import, and lm_eval's index of tasks."""

from importlib import import_module

from lm_eval_tts.harness.preflight import without_collections

NAMES = (
    "datasets",
    "lm_eval._cli.harness",
    "lm_eval.evaluator",
    "lm_eval_tts.models.hf",
    "peft",
    "torch.utils.collect_env",
    "trl.trainer.grpo_trainer",
    "trl.trainer.sft_trainer",
)
with without_collections():
    for name in NAMES:
        import_module(name)
    import_module("lm_eval.tasks").TaskManager()
