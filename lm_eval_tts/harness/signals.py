"""Signals that batch systems and terminals send end a run as Ctrl-C does: in order, and at once.

Of several ranks, the one that a signal stops says so in a file that all see, and the others stop as
by the same signal. Where there is one rank, or nowhere to write, there is no file (None)."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

# Slurm, Kubernetes, a closed terminal, Ctrl-C.
STOPPING = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGINT")
POLL_SECONDS = 0.5  # between two looks at whether another rank was stopped
_handled: list[int] = []  # signals that `stoppable` handles now
GRACE_SECONDS = 2.0  # for all that ends in order; threads and other processes may take longer


class Stopped(KeyboardInterrupt):
    """A signal came that is to end the run; its number is the argument."""


@contextmanager
def stoppable(last_words: Callable[[int], None]) -> Iterator[None]:
    """Raise Stopped in this block where a signal comes that nobody else handles or ignores.
    last_words: called with the signal's number where the block has not ended within `GRACE_SECONDS`
    after that; then the process ends. Only the main thread can take signals; in another one nothing
    is done."""
    unhandled = (signal.SIG_DFL, signal.default_int_handler)
    known = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    in_main = threading.current_thread() is threading.main_thread()
    ours = [number for number in known if in_main and signal.getsignal(number) in unhandled]
    _handled[:] = ours
    with ExitStack() as afterwards:

        def stop(number: int, frame: Any) -> None:
            for each in ours:
                signal.signal(each, signal.SIG_DFL)  # a second one ends the process
            afterwards.callback(_later(_end, number, last_words).cancel)
            raise Stopped(number)

        for each in ours:
            afterwards.callback(signal.signal, each, signal.signal(each, stop))
        afterwards.callback(_handled.clear)
        yield


def _end_as_ever() -> None:
    for each in _handled:
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _handled)


if hasattr(os, "register_at_fork"):  # a worker's signal is lost if it comes while it is forked
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _handled),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _handled),
        after_in_child=_end_as_ever,
    )


def tell_ranks(path: Path | None, number: int) -> None:
    """Say in the file that a signal has stopped this rank."""
    with suppress(OSError):
        if path is not None and told_by_ranks(path) is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")  # nobody reads it half written
            part.write_text(str(number))
            part.replace(path)


def told_by_ranks(path: Path | None) -> int | None:
    """Return the number of the signal that has stopped a rank, if one has."""
    with suppress(OSError, ValueError):  # not there, or not written yet
        return None if path is None else int(path.read_text())
    return None


@contextmanager
def heeding_ranks(path: Path | None) -> Iterator[None]:
    """Give this process, in this block, the signal that another rank got. What an earlier run has
    said is forgotten."""
    if path is None:
        yield
        return
    with suppress(OSError):
        path.unlink()
    over = threading.Event()

    def watch() -> None:
        while (number := told_by_ranks(path)) is None:
            if over.wait(POLL_SECONDS):
                return
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _end(number: int, last_words: Callable[[int], None]) -> None:
    """End the process, also where its last words fail, or find no reader: a pipe may be full."""
    _later(os._exit, 128 + number)
    try:
        last_words(number)
    finally:
        os._exit(128 + number)


def _later(function: Callable[..., Any], *given: Any) -> threading.Timer:
    timer = threading.Timer(GRACE_SECONDS, function, given)
    timer.daemon = True
    timer.start()
    return timer
