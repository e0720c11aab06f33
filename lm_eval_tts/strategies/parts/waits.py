"""A thought that is told to wait where it ends, and the answers at points on its way.

Muennighoff et al. 2025, "s1: Simple test-time scaling" (arXiv:2501.19393), section 3.1. A point is
answered as soon as the rounds of thinking so far settle it, beside the thinking that goes on: where
the engine has room, answers on the way take little longer than the last one alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf
from typing import NamedTuple

from lm_eval_tts.core.program import Completion, Program, Task, join, spawn
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.strategies.parts.thinking import Room, answer, ending_room, note_context, think


class Round(NamedTuple):
    """One stretch of thinking: the trace before it, and what was thought."""

    before: Trace
    thought: Completion

    @property
    def trace(self) -> Trace:
        """The trace with this stretch of thinking."""
        return self.before.add(self.thought, "thinking")


class Thinking:
    """A thought up to `max_tokens`, wait texts included, that is told to wait where it ends.

    It waits `num_waits` times and until `min_tokens` were thought. A wait is appended only if at
    least one token can be thought after it. Where the wait text is empty and the model ends at
    once, waiting again would change nothing, so thinking ends.
    """

    def __init__(
        self,
        request: Request,
        start: Trace,
        *,
        max_tokens: int,
        min_tokens: int = 0,
        num_waits: int,
        wait_text: str,
    ) -> None:
        self._request = request
        self._start = self._next = start
        self._max_tokens, self._min_tokens, self._num_waits = max_tokens, min_tokens, num_waits
        self._wait_text = wait_text
        self._ending = ending_room(request, request.delimiters.thinking_end)
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
        left = self._max_tokens - self._next.num_tokens("thinking")
        if left <= 0:
            return inf
        thought = yield from think(self._request, self._next, left)
        self._rounds.append(Round(self._next, thought))
        trace = self.trace
        num_thought = trace.num_tokens("thinking")
        wait = self._request.place(self._wait_text, trace)
        full = num_thought + len(wait) >= self._max_tokens
        enough = len(self._rounds) > self._num_waits and num_thought >= self._min_tokens
        stuck = not (wait or thought.token_ids)
        if thought.finish_reason == "length" or full or enough or stuck:
            return inf
        self._next = trace.force(wait, "thinking")
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
    """Answers at points of a thought, which are written while it goes on; equal ones are one."""

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
