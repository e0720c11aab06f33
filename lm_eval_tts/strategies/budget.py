"""Budget forcing: a most and a least amount of thinking, and the answer at points on the way.

Muennighoff et al. 2025, "s1: Simple test-time scaling" (arXiv:2501.19393), section 3.1. Maximum:
the thinking is cut at a number of tokens and the answer is forced. Minimum: where the model ends
its thinking, or its turn, too early, that ending is dropped, a text like "Wait" is appended and it
thinks on. Unlike s1's vLLM fork, one total budget covers all rounds of thinking and the wait texts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.program import Completion, Delimiters, Program, Request, Sampling, Trace, gather
from lm_eval_tts.strategies.thinking import (
    Room,
    answer,
    ending_room,
    note_context,
    open_thinking,
    share_room,
    think,
)


class Round(NamedTuple):
    """One stretch of thinking: the trace before it, and what was thought."""

    before: Trace
    thought: Completion

    @property
    def trace(self) -> Trace:
        """The trace with this stretch of thinking."""
        return self.before.add(self.thought, "thinking")


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
        budgets = sorted(set(self.max_thinking_tokens))
        rounds = yield from think_with_waits(
            request,
            start,
            max_tokens=min(budgets[-1], room.thinking),
            min_tokens=self.min_thinking_tokens,
            num_waits=self.num_waits,
            wait_text=self.wait_text,
        )
        ending = ending_room(request, request.delimiters.thinking_end)
        traces = [
            note_context(request, trace_at(rounds, start, budget, ending), budget, room)
            for budget in budgets
        ]
        answers = yield from answer_each(request, traces, room)
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


def think_with_waits(
    request: Request,
    start: Trace,
    *,
    max_tokens: int,
    min_tokens: int,
    num_waits: int,
    wait_text: str,
) -> Program[list[Round]]:
    """Think up to `max_tokens`, wait texts included, and return each round.

    A wait is appended only if at least one token can be thought behind it. Where the wait text is
    empty and the model ends at once, waiting again would change nothing, so thinking ends.
    """
    wait = request.encode(wait_text)
    rounds: list[Round] = []
    trace = start
    while (left := max_tokens - trace.num_tokens("thinking")) > 0:
        thought = yield from think(request, trace, left)
        rounds.append(Round(trace, thought))
        trace = rounds[-1].trace
        num_thought = trace.num_tokens("thinking")
        if thought.finish_reason == "length" or num_thought + len(wait) >= max_tokens:
            break
        if len(rounds) > num_waits and num_thought >= min_tokens:
            break
        if not (wait or thought.token_ids):
            break
        trace = trace.force(wait, "thinking")
    return rounds


def trace_at(rounds: list[Round], start: Trace, budget: int, ending: int) -> Trace:
    """Return the trace that thinking would have ended with under a smaller budget.

    Equal to a separate run with that budget when decoding is greedy. ending: see `within`.
    """
    trace = start
    for before, thought in rounds:
        used = before.num_tokens("thinking")
        if used >= budget:
            break
        within = thought.within(budget - used, ending)
        trace = before.add(within, "thinking")
        if within.finish_reason == "length":
            break
    return trace


def answer_each(request: Request, traces: list[Trace], room: Room) -> Program[list[Trace]]:
    """Branch an answer off each trace, side by side; equal traces share one."""
    distinct = list(dict.fromkeys(traces))
    answers = yield from gather(answer(request, trace, room.answer) for trace in distinct)
    by_trace = dict(zip(distinct, answers, strict=True))
    return [by_trace[trace] for trace in traces]


def with_points(answers: list[Trace], labels: tuple[str, ...]) -> Trace:
    """Return the last answer, with all of them as its points if there are labels for them."""
    return replace(answers[-1], points=tuple(zip(labels, answers, strict=bool(labels))))
