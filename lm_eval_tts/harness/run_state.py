"""How a run goes, for whoever has to say how it ended: `guard` around lm_eval's command.

lm_eval takes a model's answers and returns nothing about the model. So a model notes its state in
the `watched` block that it is made in, if there is one; models outside of such a block, or in
another one, are not seen by it."""

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any

from lm_eval_tts.core.identity import ADDING, digest
from lm_eval_tts.core.journal import Facts, Journal
from lm_eval_tts.errors import SettingsError

logger = logging.getLogger(__name__)

MAX_FAILURES = 0.1  # share of requests that may fail before the exit code says so


@dataclass(slots=True)
class RunState:
    """What one model was told of long runs, and has answered so far."""

    # Folder that keeps finished requests, so that a run resumes where it stopped; None: a folder
    # next to the results, if they are written.
    journal: str | None = None
    # Share of requests that may fail before the command's exit code says so.
    max_failures: float = MAX_FAILURES
    # How the path of a journal begins that the user has not named; None: there is to be none.
    journals: str | None = field(default=None, init=False)
    kept: Journal | None = None  # what is in the folder
    tally: Counter[str] = field(default_factory=Counter)  # requests "asked" and "failed", here
    total: Counter[str] | None = None  # on all ranks: rank 0 knows it once lm_eval has gathered
    first_failure: str = ""  # why the first of them was not served
    lost: str | None = None  # why not all could be had: an engine or a metric that broke
    beside: InitVar[bool] = False  # its journal is next to the results of the run that is watched

    def __post_init__(self, beside: bool) -> None:
        states, journals = _watched.get()
        self.journals = journals if beside else None
        if states is not None:
            states.append(self)

    def open_journal(
        self, facts_of: Callable[[], Facts], defaults: Mapping[str, Any], rank: int
    ) -> Journal | None:
        """Open the journal that was named, or one next to the results, where possible.
        facts_of: what makes the results of two runs differ; asked for where there is a journal.
        defaults: settings of all tasks that do not say otherwise."""
        if self.journals is None:
            self.kept = Journal(self.journal, facts_of(), rank) if self.journal else None
            return self.kept
        facts = facts_of()
        deciding = {name: repr(defaults[name]) for name in defaults.keys() - ADDING}
        folder = f"{self.journals}-{digest(repr(sorted({**facts, **deciding}.items())))}"
        try:
            self.kept = Journal(folder, facts, rank)
            self.journal = folder
        except SettingsError as error:  # nobody asked for it, so it ends no run
            self.kept = None
            logger.warning("this run keeps no journal: %s", error)
        return self.kept

    def count(self, failures: Iterable[str | None]) -> None:
        """Count requests, each by why it failed, if it did."""
        for failure in failures:
            self.tally.update(asked=1, failed=int(failure is not None))
            self.first_failure = self.first_failure or failure or ""

    def forget_journal(self) -> None:
        """Remove the journal of a run that has ended well, unless the user has named it."""
        if self.journals and self.journal and os.environ.get("RANK", "0") == "0":
            shutil.rmtree(self.journal, ignore_errors=True)
            with suppress(OSError):  # others may be in it
                Path(self.journal).parent.rmdir()

    def complaint(self) -> str | None:
        """Say that the engine was lost or too many requests failed, if so."""
        total, failed = ((self.total or self.tally)[name] for name in ("asked", "failed"))
        again = "the same command tries them again" if self.journal else "see the samples for why"
        if self.lost:
            return f"{self.lost}; {failed} of {total} requests failed, all is written: {again}"
        if not failed or failed <= self.max_failures * total:
            return None
        first = f" (the first: {self.first_failure})" if self.first_failure else ""
        return (
            f"{failed} of {total} requests failed, more than max_failures={self.max_failures:g} "
            f"allows{first}; everything was written: {again}"
        )

    def how_to_resume(self) -> str:
        """Say what becomes of the work of a run that was stopped."""
        if self.journals and not self.journal:
            return "interrupted before the first result: give the same command again"
        again = "with journal=<folder> in --model_args a run resumes where it stopped"
        if self.journal is not None:
            kept = f"{len(self.kept or ())} finished results are in {self.journal}"
            again = f"{kept}: the same command continues there"
        return f"interrupted; {again}"


def watched_state() -> RunState | None:
    """Return the state of the last model that was made, if a run is watched: for documents that are
    answered and cannot be graded, and for what is lost after that."""
    states = _watched.get()[0]
    return states[-1] if states else None


output_path: ContextVar[str | None] = ContextVar("output_path", default=None)
"""Where the command writes its results."""
stock_tasks: ContextVar[bool] = ContextVar("stock_tasks", default=True)
"""Whether the command may ask for a task that lm_eval brings."""
_watched: ContextVar[tuple[list[RunState] | None, str | None]]
_watched = ContextVar("watched", default=(None, None))


@contextmanager
def watched(journals: str | None = None) -> Iterator[list[RunState]]:
    """Collect the states of the models that are made in this block, in their order.
    journals: how the path of a journal begins that has no name of its own; None: there is none."""
    states: list[RunState] = []
    token = _watched.set((states, journals))
    try:
        yield states
    finally:
        _watched.reset(token)
