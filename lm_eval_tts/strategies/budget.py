"""Budget forcing: a maximum and a minimum of thinking, and answers at points on the way.

Muennighoff et al. 2025, "s1: Simple test-time scaling" (arXiv:2501.19393), section 3.1. Maximum:
the thinking is cut at a number of tokens and the answer is forced. Minimum: where the model ends
its thinking, or its turn, too early, that ending is dropped, a text like "Wait" is appended and it
thinks on. Unlike s1's vLLM fork, one total budget covers all rounds of thinking and the wait texts.
"""

from __future__ import annotations

from dataclasses import dataclass

from lm_eval_tts.core.program import Program
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.strategies.parts.checks import at_least, one_of
from lm_eval_tts.strategies.parts.thinking import open_thinking, share_room
from lm_eval_tts.strategies.parts.waits import Points, Thinking, WaitingStrategy, with_points


@dataclass(frozen=True, kw_only=True)
class Budget(WaitingStrategy):
    """Think within a budget, then answer."""

    max_thinking_tokens: tuple[int, ...] = (2048,)
    """>= 0; several budgets give the answer at each of them, from one run."""
    min_thinking_tokens: int = 0
    """The thinking does not end before this many tokens were thought."""
    min_thinking_by: str = "waits"
    """What enforces the minimum: "waits", or "masking" the end until then, as in s1's fork."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "max_thinking_tokens")
        one_of(self, "min_thinking_by", ("waits", "masking"))
        if not 0 <= self.min_thinking_tokens <= min(self.max_thinking_tokens):
            raise SettingsError(
                f"min_thinking_tokens={self.min_thinking_tokens}: allowed is 0 to "
                f"max_thinking_tokens={min(self.max_thinking_tokens)}"
            )

    @property
    def masks_thinking_end(self) -> bool:
        """Where its minimum does, too."""
        by_minimum = self.min_thinking_by == "masking" or not self.wait_text
        return super().masks_thinking_end or (self.min_thinking_tokens > 0 and by_minimum)

    @property
    def point_labels(self) -> tuple[str, ...]:
        """The budgets, if there are several."""
        budgets = sorted(set(self.max_thinking_tokens))
        return tuple(map(str, budgets)) if len(budgets) > 1 else ()

    def run(self, request: Request) -> Program[Trace]:
        """Return the trace of the largest budget; several budgets are its `points`."""
        start = open_thinking(request)
        room = share_room(request, start, self.max_answer_tokens)
        left = sorted(set(self.max_thinking_tokens))
        least = {f"{self.min_thinking_by}_until": self.min_thinking_tokens}
        thought = Thinking(request, start, min(left[-1], room.thinking), self, **least)
        points = Points(request, room)
        while left:
            settled = yield from thought.next_round()
            reached = [budget for budget in left if budget <= settled]
            left = left[len(reached) :]
            yield from points.add((thought.trace_at(budget), budget) for budget in reached)
        answers = yield from points.answers()
        return with_points(answers, self.point_labels)
