"""How a run goes, for whoever has to say how it ended: `guard` around lm_eval's command.

lm_eval takes a model's answers and returns nothing of the model. So a model notes its state in the
`watched` block that it is made in, if there is one; models outside of such a block, or in another
one, are not seen by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_FAILURES = 0.1  # share of requests that may fail before the exit code says so


class Tally(NamedTuple):
    """Requests asked and not served, on one rank or on all."""

    num_requests: int = 0
    num_failed: int = 0

    def plus(self, *others: Tally) -> Tally:
        """Count all together."""
        return Tally(*map(sum, zip(self, *others, strict=True)))


@dataclass(slots=True)
class RunState:
    """What one model has answered so far."""

    journal: str | None = None
    """The folder, if there is one."""
    max_failures: float = MAX_FAILURES
    """Share of requests that may fail."""
    tally: Tally = field(default_factory=Tally)
    """On this rank, and on rank 0 on all of them once lm_eval has gathered."""
    first_failure: str = ""
    """Why the first of them was not served."""
    num_journaled: int = 0
    """Results in the journal."""

    def __post_init__(self) -> None:
        if (states := _watched.get()) is not None:
            states.append(self)

    def complaint(self) -> str | None:
        """Say that too many requests failed, if so."""
        total, failed = self.tally
        if not failed or failed <= self.max_failures * total:
            return None
        again = "the same command tries them again" if self.journal else "see the samples for why"
        first = f" (the first: {self.first_failure})" if self.first_failure else ""
        return (
            f"{failed} of {total} requests failed, more than max_failures={self.max_failures:g} "
            f"allows{first}; everything was written: {again}"
        )

    def how_to_resume(self) -> str:
        """Say what becomes of the work of a run that was stopped."""
        if self.journal is None:
            return (
                "interrupted; with journal=<folder> in --model_args a run goes on where it stopped"
            )
        return (
            f"interrupted; {self.num_journaled} finished results are in {self.journal}: "
            "the same command continues there"
        )


output_path: ContextVar[str | None] = ContextVar("output_path", default=None)
"""Where the command writes its results."""
_watched: ContextVar[list[RunState] | None] = ContextVar("watched", default=None)


@contextmanager
def watched() -> Iterator[list[RunState]]:
    """Collect the states of the models that are made in this block, in their order."""
    states: list[RunState] = []
    token = _watched.set(states)
    try:
        yield states
    finally:
        _watched.reset(token)
