"""What lm_eval has to know about this package: the names of its models, and where its tasks are."""

import os

DATA_VARIABLE = "LM_EVAL_TTS_DATA"  # the environment variable that names a folder of benchmarks
MODELS = {
    "tts-hf": "lm_eval_tts.models.hf:TTSHF",
    "tts-openai": "lm_eval_tts.models.openai:TTSOpenAI",
    "tts-replay": "lm_eval_tts.models.replay:TTSReplay",
    "tts-vllm": "lm_eval_tts.models.vllm:TTSVLLM",
}


def task_configs() -> str:
    """Return the folder of task YAML files, in an installed package or in a checkout."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    packaged = os.path.join(package, "task_configs")
    checkout = os.path.join(os.path.dirname(package), "task_configs")
    return packaged if os.path.isdir(packaged) else checkout


def own_tasks() -> frozenset[str]:
    """Return the names of the tasks and groups that this package brings."""
    files = (name for _, _, names in os.walk(task_configs()) for name in names)
    return frozenset(name[:-5] for name in files if name.endswith(".yaml"))
