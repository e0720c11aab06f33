"""llama.cpp serves a policy of the small world: what it writes is what transformers writes."""

import socket

import pytest
from export_gguf import export
from world_helpers import written

from lm_eval_tts.models.hf import TTSHF
from lm_eval_tts.models.openai import TTSOpenAI

xllamacpp = pytest.importorskip("xllamacpp", reason="xllamacpp has no wheel for this platform")

pytestmark = pytest.mark.slow

POLICY = "world-small-sft"
LIMIT = 20


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A server with float32 weights and a float32 cache."""
    path = tmp_path_factory.mktemp("gguf") / "policy.gguf"
    export(POLICY, str(path))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    how = xllamacpp.CommonParams()
    how.model.path, how.hostnames, how.port = str(path), ["127.0.0.1"], port
    how.n_ctx, how.n_parallel, how.special = 4096, 2, True
    how.cache_type_k = how.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    how.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    how.cpuparams.n_threads = how.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(how)
    yield server.listening_address
    del server


def test_greedy_texts_are_those_of_transformers(url):
    served = TTSOpenAI(base_url=url, tokenizer=POLICY, num_concurrent=2)
    local = TTSHF(POLICY, device="cpu", batch_size=LIMIT)
    for task in ("dial_r1", "dial_budget", "dial_progressive"):
        assert written(served, task, LIMIT) == written(local, task, LIMIT)
