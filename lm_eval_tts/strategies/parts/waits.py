"""A thought that is told to wait where it ends, and the answers at points on its way.

Muennighoff et al. 2025, "s1: Simple test-time scaling" (arXiv:2501.19393), section 3.1. A point is
answered as soon as the rounds of thinking so far settle it, while the thinking goes on: where the
engine has room, answers on the way take little longer than the last one alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

from lm_eval_tts.core.program import Completion, Program, Task, join, spawn
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.strategies.base import Strategy
from lm_eval_tts.strategies.parts.checks import at_least
from lm_eval_tts.strategies.parts.thinking import Room, answer, ending_room, note_context, think


class Round(NamedTuple):
    """One stretch of thinking: the trace before it, and what was thought."""

    before: Trace
    thought: Completion

    @property
    def trace(self) -> Trace:
        """The trace with this stretch of thinking."""
        return self.before.add(self.thought, "thinking")


@dataclass(frozen=True, kw_only=True)
class WaitingStrategy(Strategy):
    """What the strategies that wait have in common."""

    num_waits: int = 0
    """Wait at least this often, >= 0."""
    wait_text: str = "Wait"
    """Appended instead of the model's ending; where it is empty, the ending is masked once."""
    min_tokens: int = 0
    """With waits, the end of thinking is masked for this many tokens of each round; the name is
    vLLM's, 1 is s1's fork's."""
    max_answer_tokens: int = 512
    """Room for the answer, >= 1."""

    needs_thinking_end = True

    def __post_init__(self) -> None:
        at_least(self, 0, "num_waits", "min_tokens")
        at_least(self, 1, "max_answer_tokens")

    @property
    def masks_thinking_end(self) -> bool:
        """Where it waits and is asked to, or waits without a text."""
        return self.num_waits > 0 and (self.min_tokens > 0 or not self.wait_text)


class Thinking:
    """A thought up to `max_tokens`, wait texts included, that is told to wait where it ends.

    It waits as a strategy's settings say, and until `waits_until` tokens were thought; a wait is
    appended only if at least one token can be thought after it. masking_until: tokens of the
    thinking among which its end is masked.
    """

    def __init__(
        self,
        request: Request,
        start: Trace,
        max_tokens: int,
        settings: WaitingStrategy,
        *,
        waits_until: int = 0,
        masking_until: int = 0,
    ) -> None:
        self._request, self._max_tokens, self._settings = request, max_tokens, settings
        self._waits_until, self._masking_until = waits_until, masking_until
        self._start = self._next = start
        self._ending = ending_room(request, request.delimiters.ending)
        self._rounds: list[Round] = []

    @property
    def trace(self) -> Trace:
        """The trace with all rounds so far."""
        return self._rounds[-1].trace if self._rounds else self._start

    def next_round(self) -> Program[float]:
        """Think until the model ends its thinking, or its turn, or `max_tokens` are reached.

        Returns the number of tokens of thinking that are settled, that is, where another round
        begins; infinity where there is none.
        """
        settings, before = self._settings, self._next.num_tokens("thinking")
        left = self._max_tokens - before
        if left <= 0:
            return inf
        masked = self._masking_until - before
        if settings.num_waits:
            masked = max(masked, settings.min_tokens)
        if self._rounds and not settings.wait_text:
            masked = max(masked, 1)  # or it would end as it did
        thought = yield from think(self._request, self._next, left, masked)
        self._rounds.append(Round(self._next, thought))
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

        Equal to a separate run with that budget when decoding is greedy.
        """
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


class Points:
    """Answers at points of a thought, written while it goes on; equal ones are written once."""

    def __init__(self, request: Request, room: Room) -> None:
        self._request, self._room = request, room
        self._numbers: dict[Trace, int] = {}  # of the answer to each trace
        self._tasks: list[Task[Trace]] = []
        self._points: list[int] = []

    def add(self, points: Iterable[tuple[Trace, int]]) -> Program[None]:
        """Start the answers to traces, each with the budget that its thinking had."""
        new: list[Program[Trace]] = []
        for point in points:
            trace = note_context(self._request, *point, self._room)
            number = self._numbers.setdefault(trace, len(self._numbers))
            if number == len(self._tasks) + len(new):
                new.append(answer(self._request, trace, self._room.answer))
            self._points.append(number)
        self._tasks += yield from spawn(new)

    def answers(self) -> Program[list[Trace]]:
        """Wait for all answers and return one for each point, in the order they were added."""
        answers = yield from join(self._tasks)
        return [answers[number] for number in self._points]


def with_points(answers: list[Trace], labels: tuple[str, ...]) -> Trace:
    """Return the last answer, with all of them as its points if there are labels for them."""
    return replace(answers[-1], points=tuple(zip(labels, answers, strict=bool(labels))))
