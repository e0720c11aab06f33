"""The policies of the small world on vLLM: float32, the texts of transformers."""

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: make test-vllm")

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from vllm_helpers import VLLM_ARGUMENTS

from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.models.hf import TTSHF
from lm_eval_tts.models.vllm import TTSVLLM

pytestmark = pytest.mark.vllm

LIMIT = 5  # a problem of each level


def texts(model, task: str) -> list[str]:
    tasks = TaskManager(include_path=task_configs(), include_defaults=False)
    results = simple_evaluate(
        model=model, tasks=[task], limit=LIMIT, bootstrap_iters=0, task_manager=tasks
    )
    samples = sorted(results["samples"][task], key=lambda sample: sample["doc_id"])
    return [sample["resps"][0][0] for sample in samples]


@pytest.mark.parametrize("policy", ["world-small-sft", "world-large-sft"])
def test_greedy_texts_are_those_of_transformers(policy):
    served = TTSVLLM(pretrained=policy, **{**VLLM_ARGUMENTS, "max_model_len": 2048})
    local = TTSHF(policy, device="cpu", batch_size=LIMIT)
    for task in ("dial_cod", "dial_progressive"):
        assert texts(served, task) == texts(local, task)
    served.model.llm_engine.engine_core.shutdown()
