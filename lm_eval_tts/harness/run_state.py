"""How the run of this process goes: what `guard` has to know when lm_eval is done with it.

lm_eval takes a model's answers and returns nothing of the model; so this is the one place that
outlives both. Models write, `guard` reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

MAX_FAILURES = 0.1


class Tally(NamedTuple):
    """Requests asked and not served, on one rank or on all."""

    num_requests: int = 0
    num_failed: int = 0

    def plus(self, *others: Tally) -> Tally:
        """Count all together."""
        return Tally(*map(sum, zip(self, *others, strict=True)))


@dataclass(slots=True)
class Outcome:
    """tally: on this rank, and on rank 0 on all of them once lm_eval has gathered.

    max_failures: share of requests that may fail. journal: the folder, if there is one.
    num_journaled: results in it. active: a model of ours was made.
    """

    tally: Tally = field(default_factory=Tally)
    max_failures: float = MAX_FAILURES
    journal: str | None = None
    num_journaled: int = 0
    active: bool = False

    def complaint(self) -> str | None:
        """Say that too many requests failed, if so."""
        total, failed = self.tally
        if not failed or failed <= self.max_failures * total:
            return None
        again = "the same command tries them again" if self.journal else "see the samples for why"
        return (
            f"{failed} of {total} requests failed, more than max_failures={self.max_failures:g} "
            f"allows; everything was written: {again}"
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


outcome = Outcome()
