"""What a strategy is made of: the ops it yields, what comes back, and the trace it builds.

Everything here is in token ids. This module knows no engine, no tokenizer, no benchmark and no
reference answer, and imports nothing of this package.

A strategy's program is a generator. It yields an op, the scheduler sends back its result:

    completion = yield from generate(prompt, max_tokens=100, stop=("</think>",))
    traces = yield from gather([branch(prompt, i) for i in range(4)])
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")
TokenIds = tuple[int, ...]
FinishReason = Literal["stop", "length", "eos"]
Phase = Literal["thinking", "answer", "tag"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; the defaults are greedy decoding.

    temperature: 0 is greedy, otherwise > 0. top_p, min_p: in [0, 1]; 1 and 0 are off.
    top_k: 0 is off. repetition_penalty: > 0, 1 is off (Keskar et al. 2019, CTRL).
    Applied in the order of transformers: penalty, temperature, top_k, top_p, min_p.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue `token_ids` until a stop string, the end of the turn, or `max_tokens` (>= 1).

    Sample k of `n` draws from the op's seed plus k, so n samples equal n requests one by one.
    logprobs: asks for log-probabilities, with those of so many likeliest tokens (>= 0) beside the
    sampled one's; None asks for nothing.
    """

    token_ids: TokenIds
    max_tokens: int
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    n: int = 1
    logprobs: int | None = None


class TokenLogprob(NamedTuple):
    """How sure the model was of a token: natural logarithms, before temperature and filters.

    sampled: of the token itself. top: of the likeliest tokens, largest first. mean: over the whole
    vocabulary; NaN where an engine does not tell it.
    """

    sampled: float
    top: tuple[float, ...] = ()
    mean: float = nan


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine made of a `Generate`.

    token_ids: the text before the stop string or the end of the turn, cut exactly there.
    sampled_ids: everything the model sampled, with the tokens of the ending; this is the cost.
    finish_reason: "stop" (a stop string, named by `stop`), "eos" (end of turn) or "length".
    logprobs: one for each of `sampled_ids`, if they were asked for.
    """

    token_ids: TokenIds
    sampled_ids: TokenIds
    finish_reason: FinishReason
    stop: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()

    def within(self, max_tokens: int, ending: int) -> Completion:
        """Return what a limit of `max_tokens` leaves of it, ending not counted.

        ending: tokens that the ending may take behind the limit, so that a closing tag which the
        model has begun is seen to its end and not left as half a tag. A limit within a limit is
        the smaller limit alone.
        """
        fits = len(self.token_ids) <= max_tokens and len(self.sampled_ids) <= max_tokens + ending
        if fits and self.finish_reason != "length":
            return self
        kept = self.sampled_ids[:max_tokens]
        return Completion(kept, kept, "length", logprobs=self.logprobs[:max_tokens])


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start programs that run beside this one; the result is a `Task` for each, in order."""

    programs: tuple[Program[Any], ...]


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """A program that was spawned; `number` counts those of its parent."""

    number: int


@dataclass(frozen=True, slots=True)
class Join:
    """Wait for tasks; the result is the list of their values, in order.

    Where one fails, all that this program has spawned end, and the error is thrown here. Tasks
    that are not waited for end with the program.
    """

    tasks: tuple[Task[Any], ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Ask the reward model about a response to `question`; the result is a `StepScores`.

    steps: the response's texts from the first step on, none of them empty, at least one.
    """

    question: str
    steps: tuple[str, ...]


class StepScores(NamedTuple):
    """What a reward model says of a response.

    scores: one a step, each in [0, 1], of a process reward model; one in all, of any size, of an
    outcome reward model. num_tokens: of question and steps as the model is shown them, whether it
    reads them for this or has read some of them before.
    """

    scores: tuple[float, ...]
    num_tokens: int


Op = Generate | Spawn | Join | Score
Program = Generator[Op, Any, T]


def generate(
    token_ids: TokenIds,
    *,
    max_tokens: int,
    stop: tuple[str, ...] = (),
    sampling: Sampling = Sampling(),
    logprobs: int | None = None,
) -> Program[Completion]:
    """Yield one `Generate` and return its completion."""
    (completion,) = yield Generate(token_ids, max_tokens, stop, sampling, logprobs=logprobs)
    return completion  # type: ignore[no-any-return]  # what `yield` gives back is untyped


def spawn(programs: Iterable[Program[T]]) -> Program[list[Task[T]]]:
    """Yield one `Spawn`, if there is anything to start, and return its tasks."""
    started = tuple(programs)
    tasks: list[Task[T]] = (yield Spawn(started)) if started else []
    return tasks


def join(tasks: Iterable[Task[T]]) -> Program[list[T]]:
    """Yield one `Join` and return the values of the tasks, in order."""
    values: list[T] = yield Join(tuple(tasks))
    return values


def gather(programs: Iterable[Program[T]]) -> Program[list[T]]:
    """Run programs side by side and return their values, in order."""
    tasks = yield from spawn(programs)
    return (yield from join(tasks))


def score(question: str, steps: Iterable[str]) -> Program[StepScores]:
    """Yield one `Score` and return what the reward model says."""
    result: StepScores = yield Score(question, tuple(steps))
    return result


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The strings around thinking and answer; an empty string means there is none.

    They may span several tokens. White space around `thinking_end` and `answer_end` is written
    when the string is forced and ignored when the model's text is searched for it.
    """

    thinking_start: str = ""
    thinking_end: str = ""
    answer_start: str = ""
    answer_end: str = ""


def equal_texts(texts: Sequence[str]) -> list[int | None]:
    """Return the class of each text: texts that are equal have the same number."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(text.strip(), len(numbers)) for text in texts]


@dataclass(frozen=True, slots=True)
class Request:
    """What a strategy starts from.

    prompt: token ids. max_tokens: room for the response in tokens, whatever is in it.
    context_limited: the room is what the context window leaves, not what the user asked for.
    encode: text to ids as it stands in the middle of a sequence (no bos). decode: the way back.
    question: the text of what is asked, for a reward model. until: stop strings of the answer.
    thinking_opened: the chat template has already written `thinking_start`. logprobs: as in
    `Generate`, for all that is sampled. seed: for what a strategy draws by itself.
    classify: response texts to classes of equal answers, None where a text has no answer; it
    knows how answers are read and compared, and nothing of the reference. problem: what the
    problem is known by in results files. policy_size: parameters of the model in billions and
    vocabulary_size: ids it chooses among; None where a model does not tell.
    """

    prompt: TokenIds
    max_tokens: int
    encode: Callable[[str], TokenIds]
    decode: Callable[[TokenIds], str]
    question: str = ""
    delimiters: Delimiters = Delimiters()
    sampling: Sampling = Sampling()
    until: tuple[str, ...] = ()
    context_limited: bool = False
    thinking_opened: bool = False
    logprobs: int | None = None
    seed: int = 0
    classify: Callable[[Sequence[str]], Sequence[int | None]] = equal_texts
    problem: str = ""
    policy_size: float | None = None
    vocabulary_size: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a response: sampled (it has a finish reason) or forced (it has none).

    logprobs: of the tokens that were sampled for it, if they were asked for.
    """

    token_ids: TokenIds
    phase: Phase
    finish_reason: FinishReason | None = None
    forced: bool = False
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """A prompt and its response so far, never changed in place.

    out_of_context: the context window ended before the budget that was asked for.
    tries: completions of thinking that were sampled for this trace (rejection sampling).
    points: (label, trace) for each point of an anytime run, smallest budget first.
    candidates: what it was chosen from, itself among them; none where there was no choice.
    """

    prompt: TokenIds
    segments: tuple[Segment, ...] = ()
    out_of_context: bool = False
    tries: int = 1
    points: tuple[tuple[str, Trace], ...] = ()
    candidates: tuple[Candidate, ...] = ()

    def add(self, completion: Completion, phase: Phase) -> Trace:
        """Append what was sampled."""
        ids, reason = completion.token_ids, completion.finish_reason
        return self._append(Segment(ids, phase, reason, logprobs=completion.logprobs))

    def force(self, token_ids: TokenIds, phase: Phase) -> Trace:
        """Append what the strategy puts in."""
        return self._append(Segment(token_ids, phase, forced=True))

    def close(self, token_ids: TokenIds, *, sampled: bool) -> Trace:
        """Append a delimiter: the model's own, cut off as its stop string, or a forced one."""
        return self._append(Segment(token_ids, "tag", forced=not sampled))

    def _append(self, segment: Segment) -> Trace:
        return (
            replace(self, segments=(*self.segments, segment))
            if segment.token_ids or (segment.finish_reason)
            else self
        )

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
            len(segment.token_ids)
            for segment in self.segments
            if (phase is None or segment.phase == phase)
            and (forced is None or segment.forced == forced)
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
    """A response that competed with others.

    scores: (name, value) of each rating, more is better; NaN where it could not be rated.
    step_scores: what the reward model said of each step.
    """

    trace: Trace
    scores: tuple[tuple[str, float], ...] = ()
    step_scores: tuple[float, ...] = ()
