"""What forked.py has in memory for the tests of vLLM: what its processes import."""

import gc
from importlib import import_module

import spawned

gc.disable()  # there is no garbage among what stays
for name in (
    "entrypoints.cli.main",
    "entrypoints.cli.serve",
    "entrypoints.openai.api_server",
    "lora.worker_manager",
    "model_executor.models.llama",
    "v1.engine.core",
    "v1.executor.multiproc_executor",
    "v1.worker.cpu_model_runner",
    "v1.worker.cpu_worker",
):
    import_module(f"vllm.{name}")
gc.freeze()
gc.enable()
spawned.within_the_server()
