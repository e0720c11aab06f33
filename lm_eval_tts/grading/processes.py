"""Worker processes with a hard time limit for each call, on any platform and from any thread.

Knows nothing of grading: a call is a name and JSON arguments for `worker`. A process is a fresh
interpreter on every platform, never a fork; it talks over pipes and is ended by `Popen.kill`, so
nothing depends on signals, `fork`, `resource` or `fcntl`. That a program without these grades the
same is tested; macOS and Windows themselves were not at hand.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lm_eval_tts.grading.worker import READY

START_SECONDS = 60.0
_SERVE = (
    "import sys; sys.path[:] = sys.argv[1:]; sys.setrecursionlimit(2000); "
    "from lm_eval_tts.grading.worker import serve; serve()"
)


def _paths() -> list[str]:
    """Where the worker imports from: as here, without the working folder, and this package last."""
    folder = os.getcwd()
    package = str(Path(__file__).resolve().parents[2])
    return [*(p for p in sys.path if p and os.path.abspath(p) != folder), package]


class WorkerLost(RuntimeError):
    """The process was killed, or could not be started, before it replied."""


class Worker:
    """One process, started at the first call and again after it was lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()

    @property
    def pid(self) -> int | None:
        """The id of the process, if one is running."""
        return self._process.pid if self._process else None

    def call(self, name: str, *arguments: Any, seconds: float) -> Any:
        """Return the reply. Raises TimeoutError, with the process killed, or WorkerLost."""
        if not self._process or self._process.poll() is not None:
            self._start()
        self._send([name, *arguments])
        return self._reply(seconds)

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()
        self._process = None

    def _start(self) -> None:
        self.close()
        self._replies = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, *_paths()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="ascii",
            env={**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONHASHSEED": "0"},
        )
        threading.Thread(
            target=_read, args=(self._process.stdout, self._replies), daemon=True
        ).start()
        if self._reply(START_SECONDS) != READY:
            raise WorkerLost("the worker process did not start")

    def _send(self, request: list[Any]) -> None:
        assert self._process
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            self.close()
            raise WorkerLost(str(error)) from error

    def _reply(self, seconds: float) -> Any:
        try:
            line = self._replies.get(timeout=seconds)
        except queue.Empty:
            self.close()
            raise TimeoutError(f"no reply within {seconds} s") from None
        if not line:
            self.close()
            raise WorkerLost("the worker process ended")
        return json.loads(line)


def _read(stream: Any, replies: queue.SimpleQueue[str]) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            replies.put(line)
    replies.put("")


class _Idle:
    """The workers that no thread uses at the moment."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.workers: list[Worker] = []

    def take(self) -> Worker:
        with self.lock:
            return self.workers.pop() if self.workers else Worker()

    def put(self, worker: Worker) -> None:
        with self.lock:
            self.workers.append(worker)

    def close(self) -> None:
        with self.lock:
            workers, self.workers = self.workers, []
        for worker in workers:
            worker.close()

    def forget(self) -> None:
        """In a forked child the processes belong to the parent."""
        self.lock, self.workers = threading.Lock(), []


_idle = _Idle()
atexit.register(_idle.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.forget)


@contextlib.contextmanager
def worker() -> Iterator[Worker]:
    """Borrow a worker; it is kept for the next borrower and ended at exit."""
    borrowed = _idle.take()
    try:
        yield borrowed
    finally:
        _idle.put(borrowed)
