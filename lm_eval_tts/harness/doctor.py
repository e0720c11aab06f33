"""`lm-eval-tts doctor`: looks at an installation and says what to fix.

Each check returns findings; `ok` or `note` ones cost nothing, a `fix` makes the exit code 1. It
loads no model and asks the Hub one question, with a short time limit."""

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.request import urlopen

import typer

from lm_eval_tts.core.disk import check_writable
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.names import DATA_VARIABLE, MODELS, task_configs

Findings: TypeAlias = Iterator[tuple[str, str]]  # how grave each is, and what was seen
HUB_SECONDS = 5
OPTIONAL = {
    "vllm": "tts-vllm",
    "gguf": "GGUF files",
    "peft": "adapters",
    "trl": "the training recipes",
}
FIND = """
from lm_eval.api.registry import model_registry
import lm_eval.models
from lm_eval.tasks import TaskManager
print(*[name for name in model_registry if name.startswith("tts-")], sep=",")
print(sum(name.startswith("tts_") for name in TaskManager().all_tasks))
"""


def run_doctor(
    output_path: Annotated[
        str, typer.Option("--output_path", help="folder that results go to, to see its disk")
    ] = ".",
) -> int:
    """Check this installation and say what to fix; 1 if there is something to fix."""
    checks: dict[str, Callable[[], Findings]] = {
        "versions": check_versions,
        "discovery": check_discovery,
        "devices": check_devices,
        "data": check_data,
        "Hub": check_hub,
        "disk": lambda: check_disk(output_path),
    }
    to_fix = 0
    for name, check in checks.items():
        for severity, text in _all(check):
            print(f"{severity:<5} {name:<10} {text}", flush=True)
            to_fix += severity == "fix"
    print(f"{to_fix} to fix" if to_fix else "nothing to fix")
    return int(to_fix > 0)


def _all(check: Callable[[], Findings]) -> Findings:
    try:
        yield from check()
    except Exception as error:  # a broken installation may raise anything
        yield "fix", f"{type(error).__name__}: {error}"


def check_versions() -> Findings:
    """Compare what is installed with what the package asks for."""
    from packaging.requirements import Requirement

    yield "ok", f"Python {sys.version.split()[0]}"
    for text in ("lm_eval_tts", *(importlib.metadata.requires("lm_eval_tts") or ())):
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        if (have := _version(wanted.name)) and wanted.specifier.contains(have, prereleases=True):
            yield "ok", f"{wanted.name} {have}"
        else:
            yield "fix", f"{wanted.name} is {have or 'missing'}: pip install '{wanted}'"
    for name, use in OPTIONAL.items():
        have = _version(name)
        yield "ok" if have else "note", f"{name} {have or 'is not installed'} ({use})"


def _version(name: str) -> str | None:
    return next((found.version for found in importlib.metadata.distributions(name=name)), None)


def check_discovery() -> Findings:
    """Ask a new Python, which `lm_eval` is too, whether it knows our models and tasks."""
    if not Path(task_configs()).is_dir():
        yield "fix", f"no task files at {task_configs()}: install the package again"
    if os.environ.get("LM_EVAL_TTS_DISABLE", "0") not in ("", "0"):
        yield "fix", "LM_EVAL_TTS_DISABLE is set: unset it, or use `lm-eval-tts run`"
        return
    with tempfile.TemporaryDirectory() as elsewhere:
        found = subprocess.run(
            [sys.executable, "-c", FIND], capture_output=True, text=True, cwd=elsewhere, check=False
        )
    models, tasks = ["", "", *found.stdout.splitlines()][-2:]
    if found.returncode:
        yield "fix", f"lm_eval cannot be imported: {found.stderr.strip().splitlines()[-1]}"
    elif missing := MODELS.keys() - models.split(","):
        cause = f"lm_eval does not know {', '.join(sorted(missing))}: Python reads no .pth files"
        yield "fix", f"{cause} here, use `lm-eval-tts run` instead of `lm_eval`"
    else:
        yield "ok", f"lm_eval knows {models} and {tasks} groups"


def check_devices() -> Findings:
    """Say what torch can compute on."""
    import torch

    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        memory = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        yield "ok", f"cuda:{index} {torch.cuda.get_device_name(index)}, {memory}"
    if torch.backends.mps.is_available():
        yield "ok", "mps"
    yield "ok", f"cpu, {torch.get_num_threads()} threads"
    if not torch.cuda.is_available() and torch.version.cuda:
        cuda = torch.version.cuda
        yield "fix", f"torch is built for CUDA {cuda} but sees no GPU: driver?"


def check_data() -> Findings:
    """Look into the folder of local benchmark files, if one is named."""
    if not (folder := os.environ.get(DATA_VARIABLE)):
        yield "note", f"{DATA_VARIABLE} is not set: benchmarks come from the Hub"
    elif not (path := Path(folder).expanduser()).is_dir():
        yield "fix", f"{DATA_VARIABLE}={folder} does not exist: create or unset it"
    elif not (names := sorted(file.stem for file in path.glob("*.jsonl"))):
        yield "fix", f"{DATA_VARIABLE}={folder} has no .jsonl files: fill or unset it"
    else:
        yield "ok", f"{folder} has {', '.join(names)}"


def check_hub() -> Findings:
    """Ask the Hub who we are; when offline, say so at once."""
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE or os.environ.get("HF_DATASETS_OFFLINE", "0") not in ("", "0"):
        yield "note", "offline by HF_HUB_OFFLINE: only cached files are available"
        return
    try:
        urlopen(f"{constants.ENDPOINT}/api/models?limit=1", timeout=HUB_SECONDS).close()
    except OSError as error:
        missed = f"{constants.ENDPOINT} is not reached ({type(error).__name__})"
        remedy = f"name local checkpoints and a data folder by {DATA_VARIABLE}"
        yield "note", f"{missed}: {remedy}; HF_HUB_OFFLINE=1 saves the wait"
    else:
        yield "ok", f"{constants.ENDPOINT} answers"
        if get_token() is None:
            yield "note", "not logged in: GPQA and gated models need `hf auth login`"


def check_disk(output_path: str) -> Findings:
    """Try to write where results and downloads go."""
    from huggingface_hub import constants

    for name, folder in (("output_path", output_path), ("HF_HOME", constants.HF_HOME)):
        try:
            check_writable(name, folder)
            yield "ok", f"{name} {Path(folder).resolve()} can be written"
        except SettingsError as error:
            yield "fix", str(error)
