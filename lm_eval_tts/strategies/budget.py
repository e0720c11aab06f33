"""Budget forcing: a maximum and a minimum of thinking, and answers at points on the way.

Muennighoff et al. 2025, "s1: Simple test-time scaling" (arXiv:2501.19393), section 3.1. Maximum:
the thinking is cut at a number of tokens and the answer is forced. Minimum: where the model ends
its thinking, or its turn, too early, that ending is dropped, a text like "Wait" is appended and it
thinks on. Unlike s1's vLLM fork, one total budget covers all rounds of thinking and the wait texts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf

from lm_eval_tts.core.fields import Accepted, at_least, setting
from lm_eval_tts.core.program import Completion, Program, Task, join, spawn
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.strategies.base import Strategy
from lm_eval_tts.strategies.parts import writing

BUDGETS = Accepted(lambda given: given and min(given) >= 0, "are numbers >= 0, at least one")


@dataclass(frozen=True, kw_only=True)
class WaitingStrategy(Strategy):
    """What the strategies that wait have in common."""

    num_waits: int = setting(0, at_least(0))  # Wait at least this often, >= 0.
    # Appended instead of the model's ending; where it is empty, the ending is masked once.
    wait_text: str = "Wait"
    # With waits, the end of thinking is masked for this many tokens of each round; the name is
    # vLLM's, 1 is s1's fork's.
    min_tokens: int = setting(0, at_least(0))
    max_answer_tokens: int = setting(512, at_least(1))  # Room for the answer, >= 1.

    needs_thinking_end = True

    @property
    def masks_thinking_end(self) -> bool:
        """Where it waits and is asked to, or waits without a text."""
        return self.num_waits > 0 and (self.min_tokens > 0 or not self.wait_text)


@dataclass(frozen=True, kw_only=True)
class Budget(WaitingStrategy):
    """Think within a budget, then answer."""

    # >= 0; several budgets give the answer at each of them, from one run.
    max_thinking_tokens: tuple[int, ...] = setting((2048,), BUDGETS)
    # The thinking does not end before this many tokens were thought.
    min_thinking_tokens: int = 0
    # What enforces the minimum: "waits", or "masking" the end until then, as in s1's fork.
    min_thinking_by: str = setting("waits", ("waits", "masking"))

    def __post_init__(self) -> None:
        super().__post_init__()
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
        left = sorted(set(self.max_thinking_tokens))
        least = {f"{self.min_thinking_by}_until": self.min_thinking_tokens}
        thought = Thinking(request, self, left[-1], **least)
        while left:
            settled = yield from thought.next_round()
            reached = [budget for budget in left if budget <= settled]
            left = left[len(reached) :]
            yield from thought.answer_at((thought.trace_at(budget), budget) for budget in reached)
        return with_points((yield from thought.answers()), self.point_labels)


class Thinking:
    """A thought of up to `budget` tokens, wait texts included, and the answers at points of it.

    It waits as a strategy's settings say, and until `waits_until` tokens were thought; a wait is
    appended only if at least one token can be thought after it. masking_until: tokens of the
    thinking among which its end is masked. A point is answered as soon as the rounds of thinking so
    far settle it, while the thinking goes on: where the engine has room, answers on the way take
    little longer than the last one alone. Raises RequestError if there is no room for an answer."""

    def __init__(
        self,
        request: Request,
        settings: WaitingStrategy,
        budget: int,
        *,
        waits_until: int = 0,
        masking_until: int = 0,
    ) -> None:
        self._request, self._settings = request, settings
        self._waits_until, self._masking_until = waits_until, masking_until
        self._start = writing.open_thinking(request)
        self._next = self.trace = self._start  # trace: of all rounds
        self._room = writing.share_room(request, self._start, settings.max_answer_tokens)
        self._max_tokens = min(budget, self._room.thinking)
        self._ending = writing.ending_room(request, request.delimiters.ending)
        self._rounds: list[tuple[Trace, Completion]] = []  # before each, and what was thought
        self._answers: dict[Trace, Task[Trace]] = {}  # equal ones are written once
        self._points: list[Task[Trace]] = []

    def next_round(self) -> Program[float]:
        """Think until the model ends its thinking, or its turn, or the limit is reached.
        Returns the number of tokens of thinking that are settled, that is, where another round
        begins; infinity where there is none."""
        settings, before = self._settings, self._next.num_tokens("thinking")
        left = self._max_tokens - before
        if left <= 0:
            return inf
        masked = self._masking_until - before
        if settings.num_waits:
            masked = max(masked, settings.min_tokens)
        if self._rounds and not settings.wait_text:
            masked = max(masked, 1)  # or it would end as it did
        thought = yield from writing.think(self._request, self._next, left, masked)
        self._rounds.append((self._next, thought))
        self.trace = self._next.add(thought, "thinking")
        num_thought = self.trace.num_tokens("thinking")
        wait = self._request.place(settings.wait_text, self.trace)
        full = num_thought + len(wait) >= self._max_tokens
        enough = len(self._rounds) > settings.num_waits and num_thought >= self._waits_until
        if thought.finish_reason == "length" or full or enough:
            return inf
        self._next = self.trace.force(wait, "thinking")
        return self._next.num_tokens("thinking")

    def trace_at(self, budget: int) -> Trace:
        """Return the trace that thinking would have ended with under a smaller, settled budget.
        Equal to a separate run with that budget when decoding is greedy."""
        trace = self._start
        for before, thought in self._rounds:
            used = before.num_tokens("thinking")
            if used >= budget:
                break
            within = thought.within(budget - used, self._ending)
            trace = before.add(within, "thinking")
            if within.finish_reason == "length":
                break
        return trace

    def answer_at(self, points: Iterable[tuple[Trace, int]]) -> Program[None]:
        """Start the answers to traces, each with the budget that its thinking had."""
        traces = [writing.note_context(self._request, *point, self._room) for point in points]
        new = [trace for trace in dict.fromkeys(traces) if trace not in self._answers]
        tasks = yield from spawn(writing.answer(self._request, t, self._room.answer) for t in new)
        self._answers.update(zip(new, tasks, strict=True))
        self._points += [self._answers[trace] for trace in traces]

    def answers(self) -> Program[list[Trace]]:
        """Wait for all answers and return one for each point, in the order they were added."""
        return join(self._points)


def with_points(answers: list[Trace], labels: tuple[str, ...]) -> Trace:
    """Return the last answer, with all of them as its points if there are labels for them."""
    return replace(answers[-1], points=tuple(zip(labels, answers, strict=bool(labels))))
