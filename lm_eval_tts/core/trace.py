"""What a strategy starts from and what it builds: a request, and the trace of its response.

Everything here is in token ids. Knows no engine, no tokenizer and no reference answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from lm_eval_tts.core.program import (
    GREEDY,
    Completion,
    FinishReason,
    SampledCounts,
    Sampling,
    TokenIds,
    TokenLogprob,
)

Phase = Literal["thinking", "answer", "tag"]


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The strings around thinking and answer; an empty string means there is none. They may span
    several tokens. White space around `thinking_end` and `answer_end` is written when the string is
    forced and ignored when the model's text is searched for it."""

    thinking_start: str = ""
    thinking_end: str = ""
    answer_start: str = ""
    answer_end: str = ""
    # Written instead of `thinking_end` and `answer_start` where the budget cuts a thought; line
    # breaks that it begins with are left out as far as the thought ends with them.
    cut_text: str = ""
    until_thinking: str = ""  # what ends a forced thought, where less than `thinking_end` does

    @property
    def ending(self) -> str:
        """What a forced thought is searched for to end it."""
        return (self.until_thinking or self.thinking_end).strip()

    @property
    def tags(self) -> tuple[str, str, str, str]:
        """All four without white space around them, in the order of the fields."""
        start, end = self.thinking_start.strip(), self.thinking_end.strip()
        return start, end, self.answer_start.strip(), self.answer_end.strip()


def equal_texts(texts: Sequence[str]) -> list[int | None]:
    """Return the class of each text: texts that are equal have the same number."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(text.strip(), len(numbers)) for text in texts]


@dataclass(frozen=True, slots=True)
class Request:
    """What a strategy starts from."""

    prompt: TokenIds
    max_tokens: int  # room for the response, whatever is in it
    # Text to ids as it stands in the middle of a sequence (no bos).
    encode: Callable[[str], TokenIds]
    decode: Callable[[TokenIds], str]  # the way back
    question: str = ""  # the text of what is asked, for a reward model
    delimiters: Delimiters = Delimiters()
    sampling: Sampling = GREEDY
    until: tuple[str, ...] = ()  # stop strings of the answer
    # The room is what the context window leaves, not what the user asked for.
    context_limited: bool = False
    thinking_opened: bool = False  # the chat template has already written `thinking_start`
    logprobs: int | None = None  # as in `Generate`, for all that is sampled
    seed: int = 0  # for what a strategy draws by itself
    # Response texts to classes of equal answers, None where a text has no answer; it knows how
    # answers are read and compared, and nothing of the reference.
    classify: Callable[[Sequence[str]], Sequence[int | None]] = equal_texts
    problem: str = ""  # what the problem is known by in results files
    # Parameters of the model in billions; None where it is not known.
    policy_size: float | None = None
    # Ids that the model chooses among; None where it is not known.
    vocabulary_size: int | None = None
    # Text to ids as it stands after these ids; None where that makes no difference.
    encode_after: Callable[[TokenIds, str], TokenIds] | None = None

    def place(self, text: str, trace: Trace) -> TokenIds:
        """Return the ids of a text at the end of a trace."""
        if self.encode_after is None:
            return self.encode(text)
        return self.encode_after(trace.token_ids, text)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a response."""

    token_ids: TokenIds
    phase: Phase
    finish_reason: FinishReason | None = None  # of what was sampled; None of what was forced
    forced: bool = False  # the strategy put it in
    # Of the tokens that were sampled for it, if they were asked for.
    logprobs: tuple[TokenLogprob, ...] = ()
    ending: TokenIds = ()  # what was sampled after it of the stop string that ended it
    counts: SampledCounts | None = None  # as in `Completion`


class TreeStep(NamedTuple):
    """A step that a search has tried."""

    parent: int  # its place among the steps of the search, -1 for none
    text: str
    score: float  # of the path that ends with it; NaN where that could not be rated


@dataclass(frozen=True, slots=True)
class Trace:
    """A prompt and its response so far, never changed in place."""

    prompt: TokenIds
    segments: tuple[Segment, ...] = ()
    # The context window ended before the budget that was asked for, or left no room to think.
    out_of_context: bool = False
    tries: int = 1  # completions of thinking that were sampled for this trace (rejection sampling)
    # (label, trace) for each point of an anytime run, smallest budget first.
    points: tuple[tuple[str, Trace], ...] = ()
    # What it was chosen from, itself among them; none where there was no choice.
    candidates: tuple[Candidate, ...] = ()
    tree: tuple[TreeStep, ...] = ()  # of the search that it was found by, each after its parent

    def add(self, completion: Completion, phase: Phase) -> Trace:
        """Append what was sampled."""
        ids, reason, ending = completion.token_ids, completion.finish_reason, completion.ending
        told = completion.logprobs, ending, completion.counts
        return self._append(Segment(ids, phase, reason, False, *told))

    def force(self, token_ids: TokenIds, phase: Phase) -> Trace:
        """Append what the strategy puts in."""
        return self._append(Segment(token_ids, phase, forced=True))

    def close(self, token_ids: TokenIds, *, sampled: bool) -> Trace:
        """Append a delimiter, or a part of one: the model's own or a forced one."""
        return self._append(Segment(token_ids, "tag", forced=not sampled))

    def _append(self, segment: Segment) -> Trace:
        empty = not (segment.token_ids or segment.finish_reason or segment.phase == "thinking")
        if empty:
            return self
        # `replace` takes three times as long, and this is done for each request.
        others = self.out_of_context, self.tries, self.points, self.candidates, self.tree
        return Trace(self.prompt, (*self.segments, segment), *others)

    @property
    def response_ids(self) -> TokenIds:
        """Token ids after the prompt."""
        return tuple(token for segment in self.segments for token in segment.token_ids)

    @property
    def token_ids(self) -> TokenIds:
        """Prompt and response."""
        return self.prompt + self.response_ids

    def num_tokens(self, phase: Phase | None = None, *, forced: bool | None = None) -> int:
        """Count response tokens, of one phase and of forced or sampled ones if given."""
        return sum(
            s.counts.total if s.counts else len(s.token_ids)
            for s in self.segments
            if phase in (None, s.phase) and forced in (None, s.forced)
        )

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...]:
        """Of all sampled tokens, in order."""
        return tuple(logprob for segment in self.segments for logprob in segment.logprobs)

    def without_logprobs(self) -> Trace:
        """Return the same trace, lighter."""
        return replace(self, segments=tuple(replace(s, logprobs=()) for s in self.segments))

    @property
    def num_waits(self) -> int:
        """How often the end of thinking was replaced by the wait text."""
        return sum(s.phase == "thinking" and s.forced for s in self.segments)

    def truncated(self, phase: Phase) -> bool:
        """Whether the last sampled segment of a phase was cut by its token limit."""
        reasons = [s.finish_reason for s in self.segments if s.phase == phase and s.finish_reason]
        return bool(reasons) and reasons[-1] == "length"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A response that competed with others."""

    trace: Trace
    # (name, value) of each rating, more is better; NaN where it could not be rated.
    scores: tuple[tuple[str, float], ...] = ()
    step_scores: tuple[float, ...] = ()  # what the reward model said of each step
    last_step: int | None = None  # its place in the tree of a search
