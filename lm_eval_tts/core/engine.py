"""The protocol between the scheduler and whatever continues token sequences.

An engine gets token ids and gives token ids. It finds shared prefixes by itself: *continue* is the
same ids and some more, *retract* fewer of the same ids, *fork* the same ids twice."""

from typing import NamedTuple, Protocol

from lm_eval_tts.core.program import Completion, Generate
from lm_eval_tts.errors import RequestError


class Output(NamedTuple):
    """A finished request: its completions (`n` of them), or why it could not be served."""

    request_id: int
    result: tuple[Completion, ...] | RequestError


class Engine(Protocol):
    """What answers `Generate` ops; requests come and go at any step."""

    @property
    def max_length(self) -> int:
        """Context window in tokens."""

    @property
    def max_num_seqs(self) -> int:
        """Sequences worth having under way at once."""

    @property
    def num_unfinished(self) -> int:
        """Sequences added and not yet returned or aborted."""

    def add_request(self, request_id: int, op: Generate, seed: int) -> None:
        """Queue an op. Raises RequestError if its prompt leaves no room for a token."""

    def step(self) -> list[Output]:
        """Advance the requests under way and return those that finished."""

    def abort(self, request_id: int) -> None:
        """Drop a request; unknown ids are ignored."""


def check_fits(op: Generate, max_length: int) -> None:
    """Raise RequestError unless the op has a prompt that leaves room for at least one token."""
    if not op.token_ids:
        raise RequestError("the prompt has no tokens: a model needs at least one to continue")
    if len(op.token_ids) >= max_length:
        raise RequestError(
            f"prompt of {len(op.token_ids)} tokens leaves no room in a context of {max_length}"
        )
