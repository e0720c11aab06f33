"""One of several ranks is stopped: all end in order, with the exit code of the signal."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from lm_eval_tts.harness import guard
from lm_eval_tts.harness.signals import GRACE_SECONDS, stoppable, tell_ranks, told_by_ranks

NUM_RANKS = 2


def stuck(args) -> None:
    time.sleep(60)


def at_a_barrier(args) -> None:
    """As gloo does, it notices that the other rank has gone before anybody has said so."""
    while not list(Path(args.output_path).glob("journals/*.stopped")):
        time.sleep(0.01)
    raise RuntimeError("Connection closed by peer")


def deaf(args) -> None:
    """Code that takes no exceptions, such as a kernel that does not return."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            time.sleep(1)
        except KeyboardInterrupt:
            continue


def rank(number: int, work, folder: Path, ready) -> None:
    os.environ |= {"WORLD_SIZE": str(NUM_RANKS), "RANK": str(number)}
    sys.stderr = (folder / f"err{number}").open("w")
    args = SimpleNamespace(
        model="tts-replay", tasks="t", gen_kwargs={}, model_args={}, output_path=str(folder)
    )

    def execute(args) -> None:
        ready.release()
        work(args)

    guard.guarded(execute, args)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the ranks are forked processes")
@pytest.mark.parametrize(
    ("name", "stopped", "other"),
    [
        ("SIGTERM", 0, stuck),
        ("SIGUSR1", 1, at_a_barrier),
        ("SIGTERM", 1, deaf),
        ("SIGINT", 0, deaf),
    ],
)
def test_all_ranks_end_with_the_signal_that_one_of_them_got(tmp_path, name, stopped, other):
    number = getattr(signal, name)
    context = multiprocessing.get_context("fork")
    ready = context.Semaphore(0)
    works = [stuck if r == stopped else other for r in range(NUM_RANKS)]
    ranks = [
        context.Process(target=rank, args=(r, work, tmp_path, ready))
        for r, work in enumerate(works)
    ]
    for process in ranks:
        process.start()
    for _ in ranks:
        ready.acquire()
    os.kill(ranks[stopped].pid, number)
    for process in ranks:
        process.join(20 * GRACE_SECONDS)
    assert [process.exitcode for process in ranks] == [128 + number] * NUM_RANKS
    for r in range(NUM_RANKS):
        said = (tmp_path / f"err{r}").read_text()
        assert said.count("interrupted") == 1
        assert "Traceback" not in said


def nobody_listens(number: int) -> None:
    time.sleep(60)


def they_fail(number: int) -> None:
    raise ValueError("I/O operation on closed file")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="what is stopped is a forked process")
@pytest.mark.parametrize("last_words", [nobody_listens, they_fail])
def test_a_process_ends_whatever_becomes_of_its_last_words(last_words):
    def run(ready) -> None:
        with stoppable(last_words):
            with suppress(KeyboardInterrupt):  # the signal may come before it sleeps
                ready.release()
                time.sleep(60)
            deaf(None)

    context = multiprocessing.get_context("fork")
    ready = context.Semaphore(0)
    process = context.Process(target=run, args=(ready,))
    process.start()
    ready.acquire()
    os.kill(process.pid, signal.SIGTERM)
    process.join(10 * GRACE_SECONDS)
    assert process.exitcode == 128 + signal.SIGTERM


def test_what_an_earlier_run_has_said_stops_no_later_one(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    args = SimpleNamespace(model="tts-replay", tasks="t", output_path=str(tmp_path), model_args={})
    told = Path(f"{guard._journals(args)}.stopped")
    tell_ranks(told, 15)
    assert told_by_ranks(told) == 15
    guard.guarded(lambda args: None, args)
    assert told_by_ranks(told) is None


POOLS = """
import multiprocessing
from lm_eval_tts.harness.signals import stoppable

with stoppable(lambda number: None):
    for _ in range(60):
        with multiprocessing.get_context("fork").Pool(4):
            pass
"""


def test_a_pool_that_ends_while_its_workers_are_forked_waits_for_none_of_them():
    # as that of lm_eval's bootstrap: a signal that came within the fork was lost
    subprocess.run([sys.executable, "-c", POOLS], check=True, timeout=60)
