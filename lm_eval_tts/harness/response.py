"""The text lm-eval sees and logs, with what is known of its making.

A `Response` is a str, so filters, caches and other tools take it as one; it can be pickled and
keeps its counts on the way from `generate_until` to the task's metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lm_eval_tts.core.metrics import METRICS
from lm_eval_tts.core.phases import answer_in


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts of one response, in tokens unless said otherwise.
    thinking, answer: in each phase, forced ones included, delimiters not; where nothing was forced,
    the text's own tags tell, and all behind the thinking is the answer.
    forced: put in by the strategy, in any phase or as a delimiter. total: all of the response.
    sampled: by the model for this problem, with branches and tokens behind a cut; the cost.
    engine_calls: requests to the engine. waits: times a wait text replaced an ending.
    scorer_calls: responses, whole or begun, that the reward model rated; scorer_tokens: those of
    question and steps in them; scorer_unrated: responses that it could not rate.
    tries: thoughts sampled by rejection sampling. truncated, thinking_truncated: the answer, the
    thinking was cut by its limit. out_of_context: the context window did it, not the budget."""

    thinking: int = 0
    answer: int = 0
    forced: int = 0
    total: int = 0
    sampled: int = 0
    engine_calls: int = 0
    scorer_calls: int = 0
    scorer_tokens: int = 0
    scorer_unrated: int = 0
    waits: int = 0
    tries: int = 1
    truncated: bool = False
    thinking_truncated: bool = False
    out_of_context: bool = False


# Field of Usage to the name of its metric; `tries` is part of engine_calls. Those of the scorer are
# reported where candidates were rated by a reward model.
USAGE_METRICS = {metric.usage: metric.name for metric in METRICS if metric.usage}


class Prompt(NamedTuple):
    """What was sent to the model: the text, how many tokens that is, and a hash of their ids."""

    text: str
    num_tokens: int
    ids_hash: str


@dataclass(frozen=True, slots=True)
class Details:
    """What is known of a response beside its text.
    usage: None where nothing was counted. tags: the opening and closing strings that were asked
    for, stripped, in the order thinking, answer. until: the task's stop strings. failure: why the
    request could not be served. points: the responses of an anytime run by label. padding: a copy
    that only evens out the work of several ranks. candidates: what the response was chosen from,
    itself among them. independent: they are samples of one program, each as good as another, and
    not what a search found. scores: how a candidate was rated, by name, more is better; NaN where
    it was not. prompt: of a response that is not a part of another."""

    usage: Usage | None = Usage()
    tags: tuple[str, str, str, str] = ("", "", "", "")
    until: tuple[str, ...] = ()
    failure: str | None = None
    points: Mapping[str, Response] = field(default_factory=dict)
    padding: bool = False
    candidates: tuple[Response, ...] = ()
    independent: bool = False
    scores: Mapping[str, float] = field(default_factory=dict)
    prompt: Prompt | None = None


class Response(str):
    """A response text with its details."""

    details: Details

    def __new__(cls, text: str, details: Details) -> Response:
        """Return the text with details attached."""
        response = super().__new__(cls, text)
        response.details = details
        return response

    @property
    def answer(self) -> str:
        """What a task's grader is to see: what follows the thinking, without the answer's tags."""
        details = self.details
        cut = details.usage is not None and details.usage.truncated
        return answer_in(str(self), details.tags, details.until, cut=cut)

    def __getnewargs__(self) -> tuple[str, Details]:  # type: ignore[override]
        """Say how to rebuild this when it is unpickled or copied."""
        return str(self), self.details
