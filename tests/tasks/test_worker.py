"""The process for work that may hang: what ends it, and where it imports from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lm_eval_tts.tasks.reasoning_gym import WORKER

ROOT = Path(__file__).resolve().parents[2]
STARTS = """
import time
from lm_eval_tts.tasks.reasoning_gym import WORKER
WORKER.call("time:time", seconds=60)
print(WORKER._process.pid, flush=True)
time.sleep(60)
"""
DRAWS = """
import sys
sys.path.remove("")  # this one imports nothing from there, so the worker may not either
from lm_eval_tts.tasks.reasoning_gym import WORKER
assert WORKER.call("colorsys:rgb_to_hsv", 0, 0, 0, seconds=60) == [0.0, 0.0, 0]
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "LM_EVAL_TTS_DISABLE": "1"}


def test_it_ends_with_a_parent_that_was_killed() -> None:
    command = [sys.executable, "-c", STARTS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment()) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    raise AssertionError("the worker outlived its parent")


def test_it_imports_nothing_from_the_working_folder(tmp_path: Path) -> None:
    for name in ("colorsys", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    command = [sys.executable, "-c", DRAWS]
    subprocess.run(command, cwd=tmp_path, env=_environment(), check=True, timeout=120)


def test_a_call_that_takes_too_long_is_ended_and_the_next_one_starts_anew() -> None:
    with pytest.raises(TimeoutError):
        WORKER.call("time:sleep", 60, seconds=0.1)
    assert WORKER._process is None
    assert WORKER.call("math:sqrt", 9, seconds=60) == 3


def test_a_process_that_was_killed_is_replaced() -> None:
    assert WORKER.call("math:sqrt", 9, seconds=60) == 3
    assert WORKER._process
    WORKER._process.kill()
    WORKER._process.wait()
    assert WORKER.call("math:sqrt", 16, seconds=60) == 4


def test_what_raises_is_said() -> None:
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        WORKER.call("math:sqrt", -1, seconds=60)
