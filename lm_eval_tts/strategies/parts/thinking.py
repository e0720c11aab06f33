"""What the thinking strategies share: open, think, answer, and how much room each may take."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from lm_eval_tts.core.program import Completion, Program, generate
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.errors import RequestError
from lm_eval_tts.strategies.parts.completion import as_written, goes_on


class Room(NamedTuple):
    """Token limits of a response: the thinking's, and the answer's without its delimiters."""

    thinking: int
    answer: int


def share_room(request: Request, trace: Trace, max_answer_tokens: int) -> Room:
    """Split the room left after `trace`: the answer first, but never more than half of it.

    Raises RequestError if not even one token of an answer fits.
    """
    marks = request.delimiters
    end, start, closing, cut = (
        len(request.encode(text))
        for text in (marks.thinking_end, marks.answer_start, marks.answer_end, marks.cut_text)
    )
    tags = max(end + start, cut) + closing
    left = request.max_tokens - trace.num_tokens() - tags
    if left < 1:
        raise RequestError(
            f"prompt of {len(request.prompt)} tokens leaves room for {request.max_tokens} tokens: "
            f"too few for the delimiters and an answer"
        )
    # Half: a stock task limits a response to fewer tokens than an answer may have here.
    answer = min(max_answer_tokens, max(1, left // 2))
    return Room(thinking=left - answer, answer=answer)


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

    min_tokens: those in which neither can come.
    """
    stop = (request.delimiters.ending,)
    return (yield from _generate_until(request, trace, max_tokens, stop, min_tokens))


def ending_room(request: Request, end: str) -> int:
    """Return how many tokens a delimiter takes; it is looked for that far past a limit."""
    return len(request.encode(end.strip()))


def _generate_until(
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
    ended = bool(trace.segments) and trace.segments[-1].finish_reason == "stop"
    if marks.cut_text and trace.truncated("thinking"):
        text = _after_breaks(marks.cut_text, request.decode(trace.response_ids))
        trace = trace.force(request.place(text, trace), "tag")
    else:
        trace = _end(request, trace, marks.thinking_end, ended, marks.answer_start)
    answer_end = marks.answer_end.strip()
    stop = (answer_end, *request.until)
    completion = yield from _generate_until(request, trace, max_tokens, stop)
    while goes_on(request, trace, completion) and len(completion.sampled_ids) < max_tokens:
        max_tokens -= len(completion.sampled_ids)
        trace = trace.add(as_written(completion, completion.stop), "answer")
        completion = yield from _generate_until(request, trace, max_tokens, stop)
    trace = trace.add(completion, "answer")
    return _end(request, trace, marks.answer_end, completion.stop == answer_end)


def _after_breaks(text: str, before: str) -> str:
    """Return a text without the line breaks at its beginning that already stand before it."""
    there = len(before) - len(before.rstrip("\n"))
    wanted = len(text) - len(text.lstrip("\n"))
    return text[min(there, wanted) :]


def _end(request: Request, trace: Trace, end: str, ended: bool, following: str = "") -> Trace:
    """Append the delimiter `end` and the text that follows it, as one text.

    ended: the model wrote it after the last segment. Its tokens are kept as far as they say the
    same; one that goes on otherwise, or holds text before it too, is written anew.
    """
    if not ended:
        return trace.force(request.place(end + following, trace), "tag")
    text, written = end.lstrip() + following, trace.segments[-1].ending
    sizes = range(len(written), -1, -1)
    own = next(written[:k] for k in sizes if text.startswith(request.decode(written[:k])))
    trace = trace.close(own, sampled=True)
    rest = request.place(text[len(request.decode(own)) :], trace)
    return trace.close(rest, sampled=not following)
