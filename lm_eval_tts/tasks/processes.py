"""A worker process with a hard time limit for each call, on any platform.

A call is the name of a function and JSON arguments. The process is a fresh interpreter on every
platform, never a fork; it talks over pipes and is ended by `Popen.kill`, so nothing depends on
signals, `fork`, `resource` or `fcntl`. It ends when its input closes, so it cannot outlive its
parent, however that ended. (pebble 5, tried: its processes import the caller's main module, look in
the working folder first, and go on when their parent is killed.)
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pkgutil
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
READY = "ready"
_SERVE = (
    "import sys; sys.path[:] = sys.argv[1:]; sys.setrecursionlimit(2000); "
    f"from {__name__} import serve; serve()"
)


def serve() -> None:
    """Answer requests until the input closes."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    print(json.dumps(READY), file=replies, flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            reply: Any = pkgutil.resolve_name(name)(*arguments)
        except Exception:  # any library error on hostile text: not known
            reply = None
        print(json.dumps(reply), file=replies, flush=True)


class WorkerLost(RuntimeError):
    """The process was killed, or could not be started, before it replied."""


class Worker:
    """One process, started at the first call and again after it was lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()

    def call(self, name: str, *arguments: Any, seconds: float) -> Any:
        """Return what the function `module:name` returns, None if it raises.

        Raises TimeoutError, with the process killed, or WorkerLost.
        """
        if not self._process or self._process.poll() is not None:
            self._start()
        self._send([name, *arguments])
        return self._reply(seconds)

    def forget(self) -> None:
        """Leave the process to the parent that this one was forked from."""
        self._process = None

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            self._process.wait()
            for pipe in filter(None, (self._process.stdin, self._process.stdout)):
                with contextlib.suppress(OSError):
                    pipe.close()
        self.forget()

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
        arguments = (self._process.stdout, self._replies)
        threading.Thread(target=_read, args=arguments, daemon=True).start()
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


def _paths() -> list[str]:
    """Where the worker imports from: as here, without the working folder, and this package."""
    package = str(Path(__file__).resolve().parents[2])
    here = os.getcwd() if os.getcwd() != package else None
    return [*(p for p in sys.path if p and os.path.abspath(p) != here), package]


def _read(stream: Any, replies: queue.SimpleQueue[str]) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            replies.put(line)
    replies.put("")


WORKER = Worker()
atexit.register(WORKER.close)
if hasattr(os, "register_at_fork"):  # in a forked child the process belongs to the parent
    os.register_at_fork(after_in_child=WORKER.forget)
