"""Progressive reasoning expansion: one thought, and an answer branched off before every wait.

The opening tag is forced, so the format always holds. One run yields the answer after 0, 1, 2 ...
waits: the same thinking as budget forcing with that many waits (see `budget`). The idea, with one
pass per level, is from github.com/yash9439/Test-time-compute-SLMs."""

from dataclasses import dataclass
from math import inf

from lm_eval_tts.core.fields import at_least, setting
from lm_eval_tts.core.program import Program
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.strategies.budget import Thinking, WaitingStrategy, with_points


@dataclass(frozen=True, kw_only=True)
class Progressive(WaitingStrategy):
    """Think, and answer after 0, 1 ... `num_waits` waits; points are named wait0, wait1 ...

    A level that the budget does not reach has the answer of the last level before it."""

    num_waits: int = setting(3, at_least(0))  # The last level, >= 0.
    max_thinking_tokens: int = setting(2048, at_least(0))  # One budget for all levels, >= 0.

    @property
    def point_labels(self) -> tuple[str, ...]:
        """One point per level."""
        return tuple(f"wait{level}" for level in range(self.num_waits + 1))

    def run(self, request: Request) -> Program[Trace]:
        """Return the trace of the last level, with all levels as its points."""
        thought, settled = Thinking(request, self, self.max_thinking_tokens), 0.0
        while settled < inf:
            settled = yield from thought.next_round()
            yield from thought.answer_at([(thought.trace, self.max_thinking_tokens)])
        answers = yield from thought.answers()
        levels = answers + answers[-1:] * (self.num_waits + 1 - len(answers))
        return with_points(levels, self.point_labels)
