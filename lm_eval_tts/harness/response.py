"""The text lm-eval sees and logs, with what is known about its making, and as the grader takes it.

A `Response` is a str, so filters, caches and other tools take it as one; it can be pickled and
keeps its counts on the way from `generate_until` to the task's metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from lm_eval_tts.core.metrics import METRICS
from lm_eval_tts.core.texts import answer_in
from lm_eval_tts.grading import DEFAULT_TAGS, Item, Kind, Tolerance

Doc: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts of one response, in tokens unless said otherwise. Those of a phase include forced ones
    and no delimiters; where nothing was forced, the text's own tags decide, and all after the
    thinking is the answer."""

    thinking: int = 0
    answer: int = 0
    forced: int = 0  # put in by the strategy, in any phase or as a delimiter
    total: int = 0  # all of the response
    sampled: int = 0  # by the model for this problem, branches and tokens after a cut included
    engine_calls: int = 0  # requests to the engine
    scorer_calls: int = 0  # responses, whole or begun, that the reward model rated
    scorer_tokens: int = 0  # those of question and steps in them
    scorer_unrated: int = 0  # responses that it could not rate
    waits: int = 0  # times a wait text replaced an ending
    tries: int = 1  # thoughts sampled by rejection sampling
    truncated: bool = False  # the answer was cut by its limit
    thinking_truncated: bool = False  # the thinking was
    out_of_context: bool = False  # the context window did it, not the budget


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
    """What is known about a response besides its text."""

    usage: Usage | None = Usage()  # None where nothing was counted
    # The opening and closing strings that were asked for, stripped: of thinking, then of answer.
    tags: tuple[str, str, str, str] = ("", "", "", "")
    until: tuple[str, ...] = ()  # the task's stop strings
    failure: str | None = None  # why the request could not be served
    points: Mapping[str, Response] = field(default_factory=dict)  # of an anytime run, by label
    padding: bool = False  # a copy that only evens out the work of several ranks
    candidates: tuple[Response, ...] = ()  # what it was chosen from, itself among them
    # They are samples of one program, each as good as another, and not what a search found.
    independent: bool = False
    # How a candidate was rated, by name, more is better; NaN where it was not.
    scores: Mapping[str, float] = field(default_factory=dict)
    last_step: int | None = None  # of a candidate that a search found, its place in the tree
    # Steps that the search tried, each after its parent: place of that (or -1), text and score
    # of the path so far (None where it could not be rated).
    tree: tuple[tuple[int, str, float | None], ...] = ()
    prompt: Prompt | None = None  # of a response that is not a part of another
    # What its text consists of, in order: thinking, answer, tag (the model's own), wait or
    # forced (the strategy's), and how many characters that is.
    pieces: tuple[tuple[str, int], ...] = ()


NOTHING_KNOWN = Details(usage=None, tags=DEFAULT_TAGS)


class Response(str):
    """A response text with its details."""

    details: Details

    def __new__(cls, text: str, details: Details = NOTHING_KNOWN) -> Response:
        """Return the text with details attached."""
        response = super().__new__(cls, text)
        response.details = details
        return response

    @property
    def answer(self) -> str:
        """What a task's grader should see: what follows the thinking, without the answer's tags."""
        details = self.details
        cut = details.usage is not None and details.usage.truncated
        return answer_in(str(self), details.tags, details.until, cut=cut)


def details_of(response: Any) -> Details:
    """Return what is known about a response: only the r1 style's tags if another model wrote it."""
    return response.details if isinstance(response, Response) else NOTHING_KNOWN


def item_of(response: str, doc: Doc) -> Item:
    """Return what the grader takes for a response to a document of our tasks."""
    options = doc.get("options")
    kind: Kind = "choice" if options else "math"
    question, tolerance = str(doc.get("question", "")), Tolerance.of(doc.get("tolerance"))
    tags = details_of(response).tags
    return Item(str(response), doc["answer"], kind, options, tags, question, tolerance)
