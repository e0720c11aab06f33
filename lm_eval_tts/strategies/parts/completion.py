"""A response that is written as one piece, with nothing forced.

A task's stop strings end an answer. Where the delimiters say how a thought ends, a stop string
within a thought, or before an answer has begun, is text like any other.
"""

from __future__ import annotations

from dataclasses import replace

from lm_eval_tts.core.phases import after_thinking, answer_in, in_thinking, opening_of
from lm_eval_tts.core.program import Completion, Program, generate
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.errors import RequestError


def begin(request: Request) -> Trace:
    """Return the trace with no token yet. Raises RequestError if there is no room for one."""
    if request.max_tokens < 1:
        raise RequestError(f"prompt of {len(request.prompt)} tokens leaves no room to answer")
    return Trace(request.prompt)


def write_response(request: Request, max_tokens: int) -> Program[Trace]:
    """Write a response of up to `max_tokens` (>= 1), or what there is room for."""
    trace = begin(request)
    limit = min(max_tokens, request.max_tokens)
    trace = yield from write_on(request, trace, limit)
    cut = limit < max_tokens and trace.truncated("answer")
    return replace(trace, out_of_context=True) if cut else trace


def write_on(request: Request, trace: Trace, max_tokens: int) -> Program[Trace]:
    """Go on with a response until its turn, its answer or `max_tokens` (>= 1) end it."""
    answer_end = request.delimiters.answer_end.strip()
    while True:
        completion = yield from generate(
            trace.token_ids,
            max_tokens=max_tokens,
            stop=ends_of(request, trace),
            sampling=request.sampling,
            logprobs=request.logprobs,
        )
        if not goes_on(request, trace, completion):
            return trace.add(as_written(completion, answer_end), "answer")
        completion = as_written(completion, completion.stop)
        max_tokens -= len(completion.token_ids)
        if max_tokens < 1:
            return trace.add(replace(completion, finish_reason="length"), "answer")
        trace = trace.add(completion, "answer")


def ends_of(request: Request, trace: Trace) -> tuple[str, ...]:
    """Return the strings to stop at next: the end of a thought that stop strings have to wait for.

    Else the user's stop strings, and the closing tag of an answer.
    """
    if request.until and is_thinking(request, trace):
        return (request.delimiters.thinking_end.strip(),)
    answer_end = request.delimiters.answer_end.strip()
    return (*request.until, *((answer_end,) if answer_end else ()))


def goes_on(request: Request, trace: Trace, completion: Completion) -> bool:
    """Whether a response goes on after the string that has stopped a completion of `trace`."""
    thinking_end = request.delimiters.thinking_end.strip()
    if completion.finish_reason != "stop" or not thinking_end:
        return False
    if completion.stop == thinking_end and is_thinking(request, trace):
        return True
    if completion.stop not in request.until:
        return False
    written = trace.add(as_written(completion, completion.stop), "answer")
    seen = answer_in(_text(request, written), request.delimiters.tags)
    return is_thinking(request, written) or not seen.strip()


def has_end(request: Request, trace: Trace) -> bool:
    """Whether a string that ends a response is in what is written so far."""
    text = _text(request, trace)
    start, end, _, answer_end = request.delimiters.tags
    if request.until:
        text = after_thinking(text, opening_of(start, end), end)
    return any(stop in text for stop in (*request.until, answer_end) if stop)


def is_thinking(request: Request, trace: Trace) -> bool:
    """Whether a response is within a thought, as far as its text says."""
    start, end, *_ = request.delimiters.tags
    return in_thinking(_text(request, trace), opening_of(start, end), end)


def as_written(completion: Completion, ending: str | None) -> Completion:
    """Keep the stop string, if it is this one, as the model wrote it: not encoded anew."""
    if not ending or completion.stop != ending:
        return completion
    ids, reason, stop = completion.sampled_ids, completion.finish_reason, completion.stop
    return Completion(ids, ids, reason, stop, completion.logprobs, completion.counts)


def _text(request: Request, trace: Trace) -> str:
    start, end, *_ = request.delimiters.tags
    opened = opening_of(start, end) if request.thinking_opened else ""
    return opened + request.decode(trace.response_ids)
