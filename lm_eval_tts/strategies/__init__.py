"""The test-time strategies: one small file each, pure generators over token ids.

A strategy is a frozen dataclass. Its fields are its settings, with the names that users type; its
`run` makes the program of one request. Strategies import `program` and `errors` only: no engine,
no lm_eval, and nothing from which a reference answer could be reached.
"""

from typing import Protocol

from lm_eval_tts.program import Delimiters, Program, Request, Sampling, Trace
from lm_eval_tts.strategies.budget import Budget
from lm_eval_tts.strategies.progressive import Progressive
from lm_eval_tts.strategies.rejection import Rejection
from lm_eval_tts.strategies.single import Single


class Strategy(Protocol):
    """What all strategies have in common."""

    @property
    def point_labels(self) -> tuple[str, ...]:
        """Names of the points that a run reports on the way; none for a plain strategy."""

    def check(self, delimiters: Delimiters, sampling: Sampling) -> None:
        """Raise SettingsError if the strategy cannot work with these."""

    def run(self, request: Request) -> Program[Trace]:
        """Return the program that answers one request."""


STRATEGIES: dict[str, type[Strategy]] = {
    "single": Single,
    "budget": Budget,
    "progressive": Progressive,
    "rejection": Rejection,
}
