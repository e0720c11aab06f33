"""vLLM on a CPU: small and exact settings, a server on loopback, a random adapter."""

import multiprocessing
import os
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from urllib.error import URLError

import forked
import psutil
import spawned

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # a core may be busy with other work
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # log-probabilities would wait for a compiler

multiprocessing.set_forkserver_preload(["imported_vllm"])
spawned.by_the_server()

VLLM_ARGUMENTS = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 512,
    "max_num_seqs": 8,
    "max_num_batched_tokens": 1024,
}
SERVER_START = 600  # seconds; about 30 where nothing else runs


def save_adapter(checkpoint: Path, path: Path) -> Path:
    """Save a random LoRA adapter for a checkpoint and its merged model below `path`/merged."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(checkpoint)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    adapted = get_peft_model(base, LoraConfig(r=8, target_modules=targets, init_lora_weights=False))
    adapted.save_pretrained(path)
    adapted.merge_and_unload().save_pretrained(path / "merged")
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(path / "merged")
    return path


@contextmanager
def loaded(checkpoint: Path, **arguments: int) -> Iterator:
    """Load `tts-vllm` for the block, then end its processes."""
    from lm_eval_tts.models.vllm import TTSVLLM

    lm = TTSVLLM(pretrained=str(checkpoint), **VLLM_ARGUMENTS, **arguments)
    try:
        yield lm
    finally:
        lm.model.llm_engine.shutdown()


@contextmanager
def serve(checkpoint: Path, model: str, folder: Path, *options: str) -> Iterator[str]:
    """Run `vllm serve` until the end of the block, then stop it and all it has started; `folder`
    takes what it prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", checkpoint, "--host", "127.0.0.1", "--port", port, "--served-model-name"]
    words += [model, "--block-size", "32", "--enable-prompt-tokens-details", *options]
    for name, value in VLLM_ARGUMENTS.items():
        flag = "--" + name.replace("_", "-")
        words += [flag] if value is True else [flag, value]
    before = descendants()
    process = forked.start("vllm.entrypoints.cli.main", *words, folder=folder)
    url = f"http://127.0.0.1:{port}/v1"
    started: set[psutil.Process] = set()
    try:
        _wait(process, url, folder)
        started = descendants() - before
        yield url
    finally:
        process.terminate()
        stop_all(started or descendants() - before)


def descendants() -> set[psutil.Process]:
    """What this process has started, and what that has; the server that forks is always there."""
    forkserver.ensure_running()
    return set(psutil.Process().children(recursive=True))


def stop_all(processes: set[psutil.Process]) -> None:
    """Wait for processes to stop, and kill others: vLLM's outlive a parent that is killed."""
    _, alive = psutil.wait_procs(processes, timeout=20)
    for one in alive:
        one.kill()


def _wait(process: BaseProcess, url: str, folder: Path) -> None:
    limit = time.monotonic() + SERVER_START
    while time.monotonic() < limit and process.is_alive():
        try:
            urllib.request.urlopen(url + "/models", timeout=2)
            return
        except (URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError(f"vllm serve did not answer: {(folder / 'stderr').read_text()[-2000:]}")
