"""What lm_eval has to know about this package: the names of its models, and where its tasks are."""

from pathlib import Path

DATA_VARIABLE = "LM_EVAL_TTS_DATA"  # the environment variable that names a folder of benchmarks
MODELS = {
    "tts-hf": "lm_eval_tts.models.hf:TTSHF",
    "tts-openai": "lm_eval_tts.models.openai:TTSOpenAI",
    "tts-replay": "lm_eval_tts.models.replay:TTSReplay",
    "tts-vllm": "lm_eval_tts.models.vllm:TTSVLLM",
}


def task_configs() -> str:
    """Return the folder of task YAML files, in an installed package or in a checkout."""
    packaged, checkout = (part / "task_configs" for part in Path(__file__).absolute().parents[1:3])
    return str(packaged if packaged.is_dir() else checkout)


def own_tasks() -> frozenset[str]:
    """Return the names of the tasks and groups that this package brings."""
    return frozenset(path.stem for path in Path(task_configs()).rglob("*.yaml"))
