"""The process for heavy work: what ends it, where it imports from; load changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lm_eval_tts.grading import grade
from lm_eval_tts.grading.algebra import OutOfBudget, within_budget
from lm_eval_tts.grading.pool import _asked, resolved
from lm_eval_tts.grading.processes import Worker

ROOT = Path(__file__).resolve().parents[2]
STARTS = """
import sys, time
from lm_eval_tts.grading.processes import worker
with worker() as process:
    process.call("lm_eval_tts.grading.algebra:warm", seconds=60)
    print(process.pid, flush=True)
    time.sleep(60)
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "LM_EVAL_TTS_DISABLE": "1"}


def test_a_worker_ends_with_a_parent_that_was_killed() -> None:
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


def test_a_worker_imports_nothing_from_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "sympy.py").write_text("raise SystemExit('the wrong sympy')")
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    script = (
        "import sys; sys.path.remove('') if '' in sys.path else None; "
        "from lm_eval_tts.grading import equivalent; "
        "assert equivalent('\\\\int_0^1 x dx', '1/2')"
    )
    command = [sys.executable, "-P", "-c", script] if sys.version_info >= (3, 11) else None
    if command:
        subprocess.run(command, cwd=tmp_path, env=_environment(), check=True, timeout=120)


def test_a_budget_counts_work_and_not_time() -> None:
    def work(calls: int) -> int:
        return sum(len(str(n)) for n in range(3)) + sum(_one() for _ in range(calls))

    assert within_budget(lambda: work(50), calls=500) > 0
    for _ in range(3):
        try:
            within_budget(lambda: work(5_000), calls=500)
        except OutOfBudget:
            continue
        raise AssertionError("not stopped")


def _one() -> int:
    return 1


KINDS = {
    "\\int_0^1 x^2 dx": "\\frac{1}{3}",
    "\\int_0^{\\pi} \\sin^2 x dx": "\\frac{\\pi}{2}",
    "\\sum_{k=1}^{\\infty} 2^{-k}": "1",
    "\\sum_{k=1}^{\\infty} \\frac{1}{k(k+2)}": "\\frac{3}{4}",
    "\\lim_{x \\to 0} \\frac{\\sin x}{x}": "1",
    "\\int_0^1 \\sin(x^{x^x}) dx": None,
}


@pytest.mark.parametrize("first", list(KINDS)[::2])
def test_a_fresh_process_decides_what_an_old_one_does(first: str) -> None:
    """Whatever it was asked before: each formula comes first in one process."""
    process = Worker()
    try:
        process.call("lm_eval_tts.grading.algebra:warm", seconds=60)
        order = sorted(KINDS, key=lambda formula: formula != first)
        found = {
            formula: process.call("lm_eval_tts.grading.algebra:work_out", formula, seconds=60)[0]
            for formula in order
        }
    finally:
        process.close()
    assert found == KINDS


BUSY = "while True: pass"
HARD = ["\\int_0^1 x^2 dx", "\\int_0^1 \\sin(x^{x^x}) dx", "\\sum_{k=1}^{\\infty} 2^{-k}"]


def _verdicts() -> list[tuple[bool, bool]]:
    _asked.cache_clear()
    found = [grade(f"\\boxed{{{hard}}}", "1/3") for hard in HARD]
    return [(verdict.correct, verdict.undecided) for verdict in found]


def test_verdicts_are_the_same_beside_busy_processes() -> None:
    quiet = _verdicts()
    load = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(4)]
    try:
        assert _verdicts() == quiet
    finally:
        for process in load:
            process.kill()
            process.wait()


def test_what_is_not_worked_out_in_a_list_leaves_the_list_undecided() -> None:
    assert resolved(r"\sum0:0") is None  # it was an empty list, the same as any other
    assert grade(r"\boxed{\sum0:0}", r"\sum1:0").undecided
