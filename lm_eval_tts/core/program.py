"""What a program is made of: the ops it yields and what comes back.

Everything here is in token ids. This module knows no engine, no tokenizer, no benchmark and no
reference answer, and imports nothing of this package.

A strategy's program is a generator. It yields an op, the scheduler sends back its result:

    completion = yield from generate(prompt, max_tokens=100, stop=("</think>",))
    traces = yield from gather([branch(prompt, i) for i in range(4)])"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from math import nan
from typing import Any, Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")
TokenIds = tuple[int, ...]
FinishReason = Literal["stop", "length", "eos"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; the defaults are greedy decoding. Applied in the order of transformers:
    penalty, temperature, top_k, top_p, min_p."""

    temperature: float = 0.0  # 0 is greedy, otherwise > 0
    top_p: float = 1.0  # in (0, 1]; 1 is off
    top_k: int = 0  # 0 is off
    min_p: float = 0.0  # in [0, 1]; 0 is off
    repetition_penalty: float = 1.0  # > 0; 1 is off (Keskar et al. 2019, CTRL).
    # In [-2, 2]; taken off a token's logit for each time that the op has sampled it; 0 is off.
    frequency_penalty: float = 0.0
    # In [-2, 2]; taken off once if the op has sampled it at all; 0 is off.
    presence_penalty: float = 0.0


GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue a text until a stop string, the end of the turn, or a number of tokens."""

    token_ids: TokenIds  # prompt and response so far
    max_tokens: int  # >= 1
    stop: tuple[str, ...] = ()
    sampling: Sampling = GREEDY
    n: int = 1  # Samples; number k draws from the op's seed plus k, so n samples equal n requests
    # Asks for the sampled token's log-probability and those of this many likeliest tokens (>= 0);
    # None asks for nothing.
    logprobs: int | None = None
    # Among so many tokens sampled first, <= max_tokens, the turn does not end and no stop string
    # begins: the token that would end the one or complete the other is masked.
    min_tokens: int = 0


class TokenLogprob(NamedTuple):
    """How sure the model was of a token: natural logarithms, before temperature and filters."""

    sampled: float  # of the token itself
    top: tuple[float, ...] = ()  # of the likeliest tokens, largest first
    mean: float = nan  # over the whole vocabulary; NaN where an engine does not report it


class SampledCounts(NamedTuple):
    """How many tokens a completion took, as its sampler reports: its ids may be ours alone."""

    thinking: int  # of the total, those that a server says were reasoning, shown or not
    total: int


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine made of a `Generate`."""

    token_ids: TokenIds  # the text before the stop string or the end of the turn, cut exactly there
    # Everything the model sampled, with the tokens of the ending; this is the cost.
    sampled_ids: TokenIds
    finish_reason: FinishReason  # "stop" (a stop string), "eos" (end of turn) or "length"
    stop: str | None = None  # the stop string that ended it
    logprobs: tuple[TokenLogprob, ...] = ()  # one for each of `sampled_ids`, if they were asked for
    counts: SampledCounts | None = None  # where `sampled_ids` do not tell them

    @property
    def num_sampled(self) -> int:
        """Tokens that were sampled."""
        return self.counts.total if self.counts else len(self.sampled_ids)

    @property
    def ending(self) -> TokenIds:
        """The tokens of the stop string; none where the first of them holds text before it too."""
        size = len(self.token_ids)
        whole = self.finish_reason == "stop" and self.sampled_ids[:size] == self.token_ids
        return self.sampled_ids[size:] if whole else ()

    def within(self, max_tokens: int, ending: int) -> "Completion":
        """Return what a limit of `max_tokens` leaves of it, ending not counted.
        ending: tokens that the ending may take after the limit, so that a closing tag which the
        model has begun is seen to its end and not left as half a tag. A limit within a limit is the
        smaller limit alone."""
        fits = len(self.token_ids) <= max_tokens and len(self.sampled_ids) <= max_tokens + ending
        if fits and self.finish_reason != "length":
            return self
        kept = self.sampled_ids[:max_tokens]
        return Completion(kept, kept, "length", logprobs=self.logprobs[:max_tokens])


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start programs that run alongside this one; the result is a `Task` for each, in order."""

    programs: "tuple[Program[Any], ...]"


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """A program that was spawned; `number` counts those of its parent."""

    number: int


@dataclass(frozen=True, slots=True)
class Join:
    """Wait for tasks; the result is the list of their values, in order. Where one fails, all that
    this program has spawned end, and the error is thrown here. Tasks that are not waited for end
    with the program."""

    tasks: tuple[Task[Any], ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Ask the reward model about a response; the result is a `StepScores`."""

    question: str  # what the response answers
    # The response's texts from the first step on, none of them empty, at least one.
    steps: tuple[str, ...]


class StepScores(NamedTuple):
    """What a reward model says about a response."""

    # One a step, each in [0, 1], of a process reward model; one in all, of any size, of an outcome
    # reward model.
    scores: tuple[float, ...]
    # Of question and steps as the model is shown them, whether or not it has read some before.
    num_tokens: int


Op = Generate | Spawn | Join | Score
Program = Generator[Op, Any, T]


def generate(
    token_ids: TokenIds,
    *,
    max_tokens: int,
    stop: tuple[str, ...] = (),
    sampling: Sampling = GREEDY,
    logprobs: int | None = None,
    min_tokens: int = 0,
) -> Program[Completion]:
    """Yield one `Generate` and return its completion."""
    op = Generate(token_ids, max_tokens, stop, sampling, logprobs=logprobs, min_tokens=min_tokens)
    (completion,) = yield op
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
