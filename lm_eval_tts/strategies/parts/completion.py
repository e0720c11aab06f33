"""A response that is written as one piece, with nothing forced."""

from __future__ import annotations

from dataclasses import replace

from lm_eval_tts.core.program import Completion, Program, generate
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.errors import RequestError


def begin(request: Request) -> Trace:
    """Return the trace without a token. Raises RequestError if there is no room for one."""
    if request.max_tokens < 1:
        raise RequestError(f"prompt of {len(request.prompt)} tokens leaves no room to answer")
    return Trace(request.prompt)


def ends_of(request: Request) -> tuple[str, ...]:
    """Return the stop strings of a response: the user's, and the closing tag of an answer."""
    answer_end = request.delimiters.answer_end.strip()
    return (*request.until, *((answer_end,) if answer_end else ()))


def write_response(request: Request, max_tokens: int) -> Program[Trace]:
    """Write a response of up to `max_tokens` (>= 1), or what there is room for."""
    trace = begin(request)
    limit = min(max_tokens, request.max_tokens)
    completion = yield from generate(
        request.prompt,
        max_tokens=limit,
        stop=ends_of(request),
        sampling=request.sampling,
        logprobs=request.logprobs,
    )
    completion = as_written(completion, request.delimiters.answer_end.strip())
    trace = trace.add(completion, "answer")
    return replace(trace, out_of_context=limit < max_tokens and trace.truncated("answer"))


def as_written(completion: Completion, ending: str) -> Completion:
    """Keep the stop string, if it is this one, as the model wrote it: not encoded anew."""
    if not ending or completion.stop != ending:
        return completion
    return replace(completion, token_ids=completion.sampled_ids)
