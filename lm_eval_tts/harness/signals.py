"""Signals that batch systems and terminals send end a run as Ctrl-C does: in order, and at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Slurm, Kubernetes and a closed terminal; Python makes a KeyboardInterrupt of SIGINT by itself.
_SENT = ("SIGTERM", "SIGHUP", "SIGUSR1")
STOPPING = [getattr(signal, name) for name in _SENT if hasattr(signal, name)]
GRACE_SECONDS = 2.0  # for all that ends in order; threads and other processes may take longer


class Stopped(KeyboardInterrupt):
    """A signal came that is to end the run."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code that shells give a process which ends by this signal."""
    return 128 + (interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT)


@contextmanager
def stoppable(last_words: Callable[[], None]) -> Iterator[None]:
    """Raise Stopped in this block where a signal comes that nobody else handles or ignores.
    last_words: called where the block has not ended within `GRACE_SECONDS` after that; then the
    process ends. Only the main thread can take signals; in another one nothing is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in STOPPING if signal.getsignal(number) == signal.SIG_DFL]
    owner = os.getpid()
    timers: list[threading.Timer] = []

    def stop(number: int, frame: Any) -> None:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)  # a second one ends the process
        if os.getpid() != owner:  # a forked worker is to end as ever
            os.kill(os.getpid(), number)
            return
        timers.append(timer := threading.Timer(GRACE_SECONDS, _end, (number, last_words)))
        timer.daemon = True
        timer.start()
        raise Stopped(number)

    for each in ours:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)
        for timer in timers:
            timer.cancel()


def _end(number: int, last_words: Callable[[], None]) -> None:
    last_words()
    os._exit(128 + number)
