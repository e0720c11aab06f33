"""A response as the model writes it, on which a task's stop strings act after the thinking only."""

from __future__ import annotations

from dataclasses import replace

from lm_eval_tts.core.phases import after_thinking, answer_in, in_thinking, opening_of
from lm_eval_tts.core.program import Completion, Program, generate
from lm_eval_tts.core.trace import Request, Trace


def complete(request: Request, trace: Trace, max_tokens: int) -> Program[Trace]:
    """Write on until the turn ends, the answer ends, or `max_tokens` (>= 1) are written.

    The closing tag of the answer is kept as the model wrote it, a stop string is not. Where the
    delimiters say how a thought ends, a stop string within it, or before an answer has begun, is
    text like any other.
    """
    answer_end = request.delimiters.answer_end.strip()
    while True:
        completion = yield from generate(
            trace.token_ids,
            max_tokens=max_tokens,
            stop=stops_of(request, trace),
            sampling=request.sampling,
            logprobs=request.logprobs,
        )
        if answer_end and completion.stop == answer_end:
            return trace.add(as_written(completion), "answer")
        max_tokens -= len(completion.sampled_ids)
        if not goes_on(request, trace, completion):
            return trace.add(completion, "answer")
        if max_tokens < 1:
            return trace.add(replace(as_written(completion), finish_reason="length"), "answer")
        trace = trace.add(as_written(completion), "answer")


def stops_of(request: Request, trace: Trace) -> tuple[str, ...]:
    """Return what ends a response next: its thinking, where stop strings have to wait for that."""
    marks = request.delimiters
    if request.until and is_thinking(request, trace):
        return (marks.thinking_end.strip(),)
    answer_end = marks.answer_end.strip()
    return (*request.until, *((answer_end,) if answer_end else ()))


def goes_on(request: Request, trace: Trace, completion: Completion) -> bool:
    """Whether what ended a completion of `trace` does not end the response."""
    marks = request.delimiters
    if completion.finish_reason != "stop" or not marks.thinking_end.strip():
        return False
    if completion.stop == marks.thinking_end.strip() and completion.stop not in request.until:
        return True
    if completion.stop not in request.until:
        return False
    written = trace.add(as_written(completion), "answer")
    return (
        is_thinking(request, written) or not answer_in(_text(request, written), marks.tags).strip()
    )


def has_stop(request: Request, trace: Trace) -> bool:
    """Whether what ends a response stands in what is written of it."""
    text = _text(request, trace)
    start, end, _, answer_end = request.delimiters.tags
    if request.until:
        text = after_thinking(text, opening_of(start, end), end)
    return any(stop in text for stop in (*request.until, answer_end) if stop)


def as_written(completion: Completion) -> Completion:
    """Keep the stop string as the model wrote it, not cut off and encoded anew."""
    return replace(completion, token_ids=completion.sampled_ids)


def is_thinking(request: Request, trace: Trace) -> bool:
    """Whether a response is within a thought, as far as its text says."""
    start, end, *_ = request.delimiters.tags
    return in_thinking(_text(request, trace), opening_of(start, end), end)


def _text(request: Request, trace: Trace) -> str:
    start, end, *_ = request.delimiters.tags
    opened = opening_of(start, end) if request.thinking_opened else ""
    return opened + request.decode(trace.response_ids)
