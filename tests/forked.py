"""Python programs in processes that are forked from one that has torch, lm_eval and trl in memory.

To import them takes ten seconds of CPU time, most of what a small run takes. A program finds its
own arguments, environment, working folder and streams, as in a new process.
"""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_context = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
_context.set_forkserver_preload(["imported"])  # startup/imported.py


def start(
    program: str | Path, *arguments: object, folder: Path, cwd: Path | None = None, **env: str
) -> multiprocessing.process.BaseProcess:
    """Start a module (`lm_eval`) or a script (a path); folder takes stdout and stderr."""
    words = [str(program), *map(str, arguments)]
    environment = {**os.environ, **env}
    process = _context.Process(target=_be, args=(words, folder, cwd or Path.cwd(), environment))
    process.start()
    return process


def run(
    program: str | Path,
    *arguments: object,
    cwd: Path | None = None,
    seconds: float = 900,
    **env: str,
) -> subprocess.CompletedProcess:
    """Run to the end, as `subprocess.run` with captured text."""
    with tempfile.TemporaryDirectory() as folder:
        process = start(program, *arguments, folder=Path(folder), cwd=cwd, **env)
        process.join(seconds)
        process.kill()
        process.join()
        out, err = ((Path(folder) / name).read_text("utf-8") for name in ("stdout", "stderr"))
    return subprocess.CompletedProcess([program, *arguments], process.exitcode, out, err)


def command(words: list[str], check: bool) -> None:
    """Run a command that begins with Python, as `subprocess.run`; what it prints is left out."""
    done = run(*(words[2:] if words[1] == "-m" else words[1:]))
    if check:
        done.check_returncode()


def _be(words: list[str], folder: Path, cwd: Path, env: Mapping[str, str]) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = words
    try:
        if words[0].endswith(".py"):
            sys.path.insert(0, str(Path(words[0]).parent))
            runpy.run_path(words[0], run_name="__main__")
        else:
            sys.path.insert(0, str(cwd))
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
