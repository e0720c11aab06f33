"""How a response is written: as one piece with nothing forced, or as a thought and its answer.

A task's stop strings end an answer. Where the delimiters say how a thought ends, a stop string
within a thought, or before an answer has begun, is text like any other."""

from dataclasses import replace
from typing import NamedTuple

from lm_eval_tts.core.program import Completion, Program, generate
from lm_eval_tts.core.texts import after_thinking, answer_in, in_thinking, opening_of
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.errors import RequestError


def begin(request: Request) -> Trace:
    """Return the trace with no token yet. Raises RequestError if there is no room for one."""
    if request.max_tokens < 1:
        raise RequestError(f"prompt of {len(request.prompt)} tokens leaves no room to answer")
    return Trace(request.prompt)


def write_response(request: Request, max_tokens: int) -> Program[Trace]:
    """Write a response of up to `max_tokens` (>= 1), or what there is room for."""
    limit = min(max_tokens, request.max_tokens)
    trace = yield from write_on(request, begin(request), limit)
    cut = limit < max_tokens and trace.truncated("answer")
    return replace(trace, out_of_context=True) if cut else trace


def write_on(request: Request, trace: Trace, max_tokens: int) -> Program[Trace]:
    """Go on with a response until its turn, its answer or `max_tokens` (>= 1) end it."""
    while True:
        completion = yield from generate(
            trace.token_ids,
            max_tokens=max_tokens,
            stop=ends_of(request, trace),
            sampling=request.sampling,
            logprobs=request.logprobs,
        )
        if not goes_on(request, trace, completion):
            return trace.add(as_written(completion, request.delimiters.tags[3]), "answer")
        completion = as_written(completion, completion.stop)
        max_tokens -= len(completion.token_ids)
        if max_tokens < 1:
            return trace.add(replace(completion, finish_reason="length"), "answer")
        trace = trace.add(completion, "answer")


def ends_of(request: Request, trace: Trace) -> tuple[str, ...]:
    """Return the strings to stop at next: the end of a thought that stop strings have to wait for,
    else the user's stop strings and the closing tag of an answer."""
    _, thinking_end, _, answer_end = request.delimiters.tags
    if request.until and _is_thinking(request, trace):
        return (thinking_end,)
    return (*request.until, *((answer_end,) if answer_end else ()))


def goes_on(request: Request, trace: Trace, completion: Completion) -> bool:
    """Whether a response goes on after the string that has stopped a completion of `trace`."""
    _, thinking_end, *_ = request.delimiters.tags
    if completion.finish_reason != "stop" or not thinking_end:
        return False
    if completion.stop == thinking_end and _is_thinking(request, trace):
        return True
    if completion.stop not in request.until:
        return False
    written = trace.add(as_written(completion, completion.stop), "answer")
    seen = answer_in(_text(request, written), request.delimiters.tags)
    return _is_thinking(request, written) or not seen.strip()


def has_end(request: Request, trace: Trace) -> bool:
    """Whether a string that ends a response is in what is written so far."""
    text = _text(request, trace)
    start, end, _, answer_end = request.delimiters.tags
    if request.until:
        text = after_thinking(text, opening_of(start, end), end)
    return any(stop in text for stop in (*request.until, answer_end) if stop)


def as_written(completion: Completion, ending: str | None) -> Completion:
    """Keep the stop string, if it is this one, as the model wrote it: not encoded anew."""
    if not ending or completion.stop != ending:
        return completion
    return replace(completion, token_ids=completion.sampled_ids)


def _is_thinking(request: Request, trace: Trace) -> bool:
    """Whether a response is within a thought, as far as its text says."""
    start, end, *_ = request.delimiters.tags
    return in_thinking(_text(request, trace), opening_of(start, end), end)


def _text(request: Request, trace: Trace) -> str:
    start, end, *_ = request.delimiters.tags
    opened = opening_of(start, end) if request.thinking_opened else ""
    return opened + request.decode(trace.response_ids)


class Room(NamedTuple):
    """Token limits of a response: the thinking's, and the answer's without its delimiters."""

    thinking: int
    answer: int


def share_room(request: Request, trace: Trace, max_answer_tokens: int) -> Room:
    """Split the room left after `trace`: the answer first, but never more than half of it.
    Raises RequestError if not even one token of an answer fits."""
    marks = request.delimiters
    texts = marks.thinking_end, marks.answer_start, marks.answer_end, marks.cut_text
    end, start, closing, cut = (len(request.encode(text)) for text in texts)
    left = request.max_tokens - trace.num_tokens() - max(end + start, cut) - closing
    if left < 1:
        raise RequestError(
            f"prompt of {len(request.prompt)} tokens leaves room for {request.max_tokens} tokens: "
            f"too few for the delimiters and an answer"
        )
    # Half: a stock task limits a response to fewer tokens than an answer may have here.
    room = min(max_answer_tokens, max(1, left // 2))
    return Room(thinking=left - room, answer=room)


def open_thinking(request: Request) -> Trace:
    """Begin a response with `thinking_start`, unless the chat template has written it."""
    trace = Trace(request.prompt)
    if request.thinking_opened:
        return trace
    return trace.force(request.place(request.delimiters.thinking_start, trace), "tag")


def note_context(request: Request, trace: Trace, budget: int, room: Room) -> Trace:
    """Mark a trace whose thinking the context cut short of its budget, or any limit to nothing."""
    ended = bool(trace.num_tokens("thinking")) and not trace.truncated("thinking")
    short = request.context_limited or not room.thinking
    cut = short and budget > room.thinking and not ended
    return replace(trace, out_of_context=True) if cut else trace


def think(
    request: Request, trace: Trace, max_tokens: int, min_tokens: int = 0
) -> Program[Completion]:
    """Think on, up to `max_tokens` (>= 1), until the model ends its thinking or its turn.
    min_tokens: those in which neither can come."""
    return _write_until(request, trace, max_tokens, (request.delimiters.ending,), min_tokens)


def ending_room(request: Request, end: str) -> int:
    """Return how many tokens a delimiter takes; it is looked for that far past a limit."""
    return len(request.encode(end.strip()))


def _write_until(
    request: Request, trace: Trace, max_tokens: int, stop: tuple[str, ...], min_tokens: int = 0
) -> Program[Completion]:
    """Generate up to `max_tokens`; the first stop string, if it is one, may end after them."""
    ending = ending_room(request, stop[0])
    completion = yield from generate(
        trace.token_ids,
        max_tokens=max_tokens + ending,
        stop=tuple(filter(None, stop)),
        sampling=request.sampling,
        logprobs=request.logprobs,
        min_tokens=min(min_tokens, max_tokens + ending),
    )
    return completion.within(max_tokens, ending)


def answer(request: Request, trace: Trace, max_tokens: int) -> Program[Trace]:
    """End the thinking and answer; what the strategy opens it also closes."""
    marks = request.delimiters
    if marks.cut_text and trace.truncated("thinking"):
        text = _after_breaks(marks.cut_text, request.decode(trace.response_ids))
        trace = trace.force(request.place(text, trace), "tag")
    else:
        ended = bool(trace.segments) and trace.segments[-1].finish_reason == "stop"
        trace = _end(request, trace, marks.thinking_end, ended, marks.answer_start)
    stop = (marks.tags[3], *request.until)
    completion = yield from _write_until(request, trace, max_tokens, stop)
    while goes_on(request, trace, completion) and len(completion.sampled_ids) < max_tokens:
        max_tokens -= len(completion.sampled_ids)
        trace = trace.add(as_written(completion, completion.stop), "answer")
        completion = yield from _write_until(request, trace, max_tokens, stop)
    trace = trace.add(completion, "answer")
    return _end(request, trace, marks.answer_end, completion.stop == stop[0])


def _after_breaks(text: str, before: str) -> str:
    """Return a text without the line breaks at its beginning that already stand before it."""
    there = len(before) - len(before.rstrip("\n"))
    wanted = len(text) - len(text.lstrip("\n"))
    return text[min(there, wanted) :]


def _end(request: Request, trace: Trace, end: str, ended: bool, following: str = "") -> Trace:
    """Append the delimiter `end` and the text that follows it, as one text.
    ended: the model wrote it after the last segment. Its tokens are kept as far as they say the
    same; one that goes on otherwise, or holds text before it too, is written anew."""
    if not ended:
        return trace.force(request.place(end + following, trace), "tag")
    text, written = end.lstrip() + following, trace.segments[-1].ending
    sizes = range(len(written), -1, -1)
    own = next(written[:k] for k in sizes if text.startswith(request.decode(written[:k])))
    trace = trace.close(own, sampled=True)
    rest = request.place(text[len(request.decode(own)) :], trace)
    return trace.close(rest, sampled=not following)
