"""Budget forcing: a most and a least amount of thinking, and the answer at points on the way.

Muennighoff et al. 2025, "s1: Simple test-time scaling" (arXiv:2501.19393), section 3.1. Maximum:
the thinking is cut at a number of tokens and the answer is forced. Minimum: where the model ends
its thinking, or its turn, too early, that ending is dropped, a text like "Wait" is appended and it
thinks on. Unlike s1's vLLM fork, one total budget covers all rounds of thinking and the wait texts.
"""

from __future__ import annotations

from dataclasses import dataclass

from lm_eval_tts.core.program import Program, Sampling
from lm_eval_tts.core.trace import Delimiters, Request, Trace
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.strategies.parts.thinking import open_thinking, share_room
from lm_eval_tts.strategies.parts.waits import Points, Thinking, with_points


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Think within a budget, then answer.

    max_thinking_tokens: >= 0; several budgets give the answer at each of them, from one run.
    min_thinking_tokens: wait until so many tokens were thought. num_waits: wait at least so often.
    wait_text: appended instead of the model's ending; may be empty. max_answer_tokens: >= 1.
    """

    max_thinking_tokens: tuple[int, ...] = (2048,)
    min_thinking_tokens: int = 0
    num_waits: int = 0
    wait_text: str = "Wait"
    max_answer_tokens: int = 512

    def __post_init__(self) -> None:
        check_budget(self.max_thinking_tokens, self.num_waits, self.max_answer_tokens)
        if not 0 <= self.min_thinking_tokens <= min(self.max_thinking_tokens):
            raise SettingsError(
                f"min_thinking_tokens={self.min_thinking_tokens}: allowed is 0 to "
                f"max_thinking_tokens={min(self.max_thinking_tokens)}"
            )

    @property
    def point_labels(self) -> tuple[str, ...]:
        """The budgets, if there are several."""
        budgets = sorted(set(self.max_thinking_tokens))
        return tuple(map(str, budgets)) if len(budgets) > 1 else ()

    @property
    def num_samples(self) -> int:
        """No candidates: there is one response."""
        return 0

    @property
    def score_names(self) -> tuple[str, ...]:
        """Nothing is rated."""
        return ()

    def check(self, delimiters: Delimiters, sampling: Sampling) -> None:
        """Raise SettingsError if the delimiters cannot end a thought."""
        check_thinking_end(delimiters, "budget")

    def run(self, request: Request) -> Program[Trace]:
        """Return the trace of the largest budget; several budgets are its `points`."""
        start = open_thinking(request)
        room = share_room(request, start, self.max_answer_tokens)
        left = sorted(set(self.max_thinking_tokens))
        thought = Thinking(
            request,
            start,
            max_tokens=min(left[-1], room.thinking),
            min_tokens=self.min_thinking_tokens,
            num_waits=self.num_waits,
            wait_text=self.wait_text,
        )
        points = Points(request, room)
        while left:
            settled = yield from thought.next_round()
            reached = [budget for budget in left if budget <= settled]
            left = left[len(reached) :]
            yield from points.add((thought.trace_at(budget), budget) for budget in reached)
        answers = yield from points.answers()
        return with_points(answers, self.point_labels)


def check_budget(budgets: tuple[int, ...], num_waits: int, max_answer_tokens: int) -> None:
    """Raise SettingsError for numbers out of range."""
    if not budgets or min(budgets) < 0:
        given = list(budgets)
        raise SettingsError(f"max_thinking_tokens={given}: allowed are numbers >= 0, at least one")
    if num_waits < 0:
        raise SettingsError(f"num_waits={num_waits}: allowed is a number >= 0")
    if max_answer_tokens < 1:
        raise SettingsError(f"max_answer_tokens={max_answer_tokens}: allowed is a number >= 1")


def check_thinking_end(delimiters: Delimiters, strategy: str) -> None:
    """Raise SettingsError if nothing tells where thinking ends."""
    if not delimiters.thinking_end.strip():
        raise SettingsError(
            f"strategy {strategy!r} needs a thinking_end, but the delimiters have none: "
            "set delimiters= to a preset such as 'think', or thinking_end= to a text"
        )
