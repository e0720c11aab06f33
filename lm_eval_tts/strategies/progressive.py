"""Progressive reasoning expansion: one thought, and an answer branched off before every wait.

The opening tag is forced, so the format always holds. One run yields the answer after 0, 1, 2 ...
waits: the same thinking as budget forcing with that many waits (see `budget`). The idea, with one
pass per level, is from github.com/yash9439/Test-time-compute-SLMs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from lm_eval_tts.core.program import Program
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.strategies.parts.checks import at_least
from lm_eval_tts.strategies.parts.thinking import open_thinking, share_room
from lm_eval_tts.strategies.parts.waits import Points, Thinking, WaitingStrategy, with_points


@dataclass(frozen=True, kw_only=True)
class Progressive(WaitingStrategy):
    """Think, and answer after 0, 1 ... `num_waits` waits; points are named wait0, wait1 ...

    A level that the budget does not reach has the answer of the last level before it.
    """

    num_waits: int = 3
    """The last level, >= 0."""
    max_thinking_tokens: int = 2048
    """One budget for all levels, >= 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "max_thinking_tokens")

    @property
    def point_labels(self) -> tuple[str, ...]:
        """One point per level."""
        return tuple(f"wait{level}" for level in range(self.num_waits + 1))

    def run(self, request: Request) -> Program[Trace]:
        """Return the trace of the last level, with all levels as its points."""
        start = open_thinking(request)
        room = share_room(request, start, self.max_answer_tokens)
        max_tokens = min(self.max_thinking_tokens, room.thinking)
        thought, points = Thinking(request, start, max_tokens, self), Points(request, room)
        settled = 0.0
        while settled < inf:
            settled = yield from thought.next_round()
            yield from points.add([(thought.trace, self.max_thinking_tokens)])
        answers = yield from points.answers()
        levels = answers + answers[-1:] * (self.num_waits + 1 - len(answers))
        return with_points(levels, self.point_labels)
