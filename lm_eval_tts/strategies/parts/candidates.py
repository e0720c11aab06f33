"""What the strategies that sample share: how a candidate is written, rated and chosen.

A candidate is one completion (`single`), or, with `max_thinking_tokens`, a thought within that
budget and its answer (`budget`). Candidates of a problem are written side by side and share its
prompt; each draws from the seed of its own path, so more of them do not change the first ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from lm_eval_tts.core.fields import Accepted, at_least, setting
from lm_eval_tts.core.program import Program, Sampling, gather, score
from lm_eval_tts.core.trace import Candidate, Delimiters, Request, Trace
from lm_eval_tts.core.voting import AGGREGATIONS, aggregate, pick_best, pick_voted, vote_weights
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.strategies.base import Strategy
from lm_eval_tts.strategies.budget import Budget
from lm_eval_tts.strategies.parts.writing import write_response


@dataclass(frozen=True, kw_only=True)
class SampleStrategy(Strategy):
    """Proposes candidates and selects one of them; here `n` samples and the majority's answer."""

    n: int = setting(8, at_least(1))  # Candidates of a problem, >= 1.
    max_gen_toks: int = setting(2048, at_least(1))  # Maximum tokens of one, >= 1.
    # A thinking budget (>= 0) for each; None leaves the thinking free within max_gen_toks.
    max_thinking_tokens: int | None = setting(None, at_least(0))
    # With a thinking budget, the room for the answer, >= 1.
    max_answer_tokens: int = setting(512, at_least(1))

    @property
    def needs_thinking_end(self) -> bool:
        """Only to cut a thought."""
        return self.max_thinking_tokens is not None

    needs_continuation = needs_thinking_end

    @property
    def num_samples(self) -> int:
        """All candidates."""
        return self.n

    def check(self, delimiters: Delimiters, sampling: Sampling) -> None:
        """Raise SettingsError if all candidates would be the same, or no thought could end."""
        super().check(delimiters, sampling)
        if sampling.temperature == 0 and self.n > 1:
            raise SettingsError(
                f"n={self.n} candidates would all be the same with greedy decoding: "
                "set temperature > 0 (and do_sample=True)"
            )

    def run(self, request: Request) -> Program[Trace]:
        """Return the selected trace, with all candidates attached."""
        return self.select(request, (yield from self.propose(request)))

    def propose(self, request: Request, num_known: int = 0) -> Program[list[Candidate]]:
        """Return the candidates, without the `num_known` samples that exist already."""
        return gather(self._candidate(request) for _ in range(self.n - num_known))

    def _candidate(self, request: Request) -> Program[Candidate]:
        return (yield from self.rate(request, (yield from self.write(request))))

    def write(self, request: Request) -> Program[Trace]:
        """Return the program of one response."""
        if self.max_thinking_tokens is None:
            return write_response(request, self.max_gen_toks)
        budget = (self.max_thinking_tokens,)
        strategy = Budget(max_thinking_tokens=budget, max_answer_tokens=self.max_answer_tokens)
        return strategy.run(request)

    def rate(self, request: Request, trace: Trace) -> Program[Candidate]:
        """Return a response with its scores; here without any."""
        yield from ()
        return Candidate(trace.without_logprobs())

    def select(self, request: Request, candidates: Sequence[Candidate]) -> Trace:
        """Return the trace of one candidate of the majority, with all of them attached."""
        equal = [1.0] * len(candidates)
        return vote(request, candidates, equal, equal)


@dataclass(frozen=True, kw_only=True)
class RatedStrategy(SampleStrategy):
    """Asks a reward model about its candidates and selects by that."""

    # How step scores become one score, a name in AGGREGATIONS.
    aggregation: str = setting("last", AGGREGATIONS)
    # Where a step ends.
    step_delimiter: str = setting("\n\n", Accepted(bool, "is a text, such as '\\n\\n'"))
    # Select the class of equal answers with the largest sum of scores (weighted best-of-N), not the
    # response with the largest score.
    weighted: bool = False
    # A response without an answer is chosen only where none has one, as in compute-optimal-tts.
    drop_unanswered: bool = False

    @property
    def score_names(self) -> tuple[str, ...]:
        """The reward model's."""
        return ("reward",)

    def rate(self, request: Request, trace: Trace) -> Program[Candidate]:
        """Ask the reward model about a response."""
        steps = steps_of(request.decode(trace.response_ids), self.step_delimiter)
        return self.rated(trace, (yield from ask_reward(request, steps)))

    def rated(self, trace: Trace, step_scores: tuple[float, ...]) -> Candidate:
        """Return a response with what the reward model said about its steps."""
        reward = aggregate(step_scores, self.aggregation)
        return Candidate(trace.without_logprobs(), (("reward", reward),), step_scores)

    def select(self, request: Request, candidates: Sequence[Candidate]) -> Trace:
        """Return the candidate with the best score, or the best of the class with most of it."""
        (name,) = self.score_names
        scores = [dict(candidate.scores)[name] for candidate in candidates]
        if self.drop_unanswered:
            classes = classes_of(request, candidates)
            if any(number is not None for number in classes):
                pairs = zip(scores, classes, strict=True)
                scores = [math.nan if number is None else score for score, number in pairs]
        order = untied(scores, candidates)
        if self.weighted:
            return vote(request, candidates, vote_weights(scores), order, "choose")
        return chosen(candidates, pick_best(order, generator_of(request, "choose")))


def steps_of(text: str, delimiter: str) -> list[str]:
    """Return the steps of a text without the white space around them; empty ones are not steps."""
    return [step.strip() for step in text.split(delimiter) if step.strip()]


def ask_reward(request: Request, steps: Sequence[str]) -> Program[tuple[float, ...]]:
    """Return what the reward model says; nothing where there are no steps or it cannot read them.
    One response that it cannot read must not cost the others, so this is data, not a failure."""
    if not steps:
        return ()
    try:
        return (yield from score(request.question, steps)).scores
    except RequestError:
        return ()


def untied(scores: Sequence[float], candidates: Sequence[Candidate]) -> list[float]:
    """Return numbers in the order of the scores, and where these tie, of the last step's."""
    keys = [(s, *c.step_scores[-1:]) for s, c in zip(scores, candidates, strict=True)]
    order = sorted({key for key in keys if not math.isnan(key[0])})
    return [math.nan if math.isnan(key[0]) else float(order.index(key)) for key in keys]


def generator_of(request: Request, purpose: str) -> Random:
    """Return the source of what a strategy draws by itself, the same in every run."""
    return Random(f"{request.seed} {purpose}")


def classes_of(request: Request, candidates: Sequence[Candidate]) -> Sequence[int | None]:
    """Return the class of each candidate's answer."""
    return request.classify([request.decode(c.trace.response_ids) for c in candidates])


def vote(
    request: Request,
    candidates: Sequence[Candidate],
    weights: Sequence[float],
    scores: Sequence[float],
    purpose: str = "vote",
) -> Trace:
    """Return the best-rated candidate of the class with most weight, with all attached."""
    classes = classes_of(request, candidates)
    return chosen(candidates, pick_voted(classes, weights, scores, generator_of(request, purpose)))


def chosen(candidates: Sequence[Candidate], index: int) -> Trace:
    """Return the trace of a candidate, with all of them attached."""
    return replace(candidates[index].trace, candidates=tuple(candidates))
