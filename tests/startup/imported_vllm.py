"""What forked.py has in memory for the tests of vLLM: what its processes import."""

from importlib import import_module

import spawned

from lm_eval_tts.harness.preflight import without_collections

NAMES = (
    "entrypoints.cli.main",
    "entrypoints.cli.serve",
    "entrypoints.openai.api_server",
    "lora.worker_manager",
    "model_executor.models.llama",
    "v1.engine.core",
    "v1.executor.multiproc_executor",
    "v1.worker.cpu_model_runner",
    "v1.worker.cpu_worker",
)
with without_collections():
    for name in NAMES:
        import_module(f"vllm.{name}")
spawned.within_the_server()
