"""The policies of the small world on vLLM: float32, the texts of transformers."""

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: make test-vllm")

from vllm_helpers import VLLM_ARGUMENTS
from world_helpers import written

from lm_eval_tts.models.hf import TTSHF
from lm_eval_tts.models.vllm import TTSVLLM

pytestmark = pytest.mark.vllm

LIMIT = 5  # a problem of each level


@pytest.mark.parametrize(
    ("policy", "task"), [("world-small-sft", "dial_progressive"), ("world-large-sft", "dial_cod")]
)
def test_greedy_texts_are_those_of_transformers(policy, task):
    served = TTSVLLM(pretrained=policy, **{**VLLM_ARGUMENTS, "max_model_len": 2048})
    local = TTSHF(policy, device="cpu", batch_size=LIMIT)
    assert written(served, task, LIMIT) == written(local, task, LIMIT)
    served.model.llm_engine.shutdown()
