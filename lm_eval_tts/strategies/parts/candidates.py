"""What the strategies that sample share: how a candidate is written, rated and chosen.

A candidate is one completion (`single`), or, with `max_thinking_tokens`, a thought within that
budget and its answer (`budget`). Candidates of a problem go on side by side and share its prompt;
each draws from the seed of its own path, so more of them do not change the first ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from lm_eval_tts.core.program import Program, Sampling, score
from lm_eval_tts.core.trace import Candidate, Delimiters, Request, Trace
from lm_eval_tts.core.voting import AGGREGATIONS
from lm_eval_tts.errors import RequestError, SettingsError, unknown_name
from lm_eval_tts.strategies.budget import Budget, check_thinking_end
from lm_eval_tts.strategies.single import Single


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """The settings of every strategy that samples candidates.

    n: candidates of a problem, >= 1. max_gen_toks: most tokens of one, >= 1. max_thinking_tokens:
    a thinking budget (>= 0) for each, and max_answer_tokens the room for its answer; without one
    a candidate thinks as it likes within max_gen_toks.
    """

    n: int = 8
    max_gen_toks: int = 2048
    max_thinking_tokens: int | None = None
    max_answer_tokens: int = 512

    def __post_init__(self) -> None:
        at_least(self, 1, "n", "max_gen_toks", "max_answer_tokens")
        if self.max_thinking_tokens is not None:
            at_least(self, 0, "max_thinking_tokens")

    @property
    def point_labels(self) -> tuple[str, ...]:
        """No points: the metrics at k = 1, 2, 4 ... come from the candidates."""
        return ()

    def check(self, delimiters: Delimiters, sampling: Sampling) -> None:
        """Raise SettingsError if all candidates would be the same, or no thought could end."""
        if self.max_thinking_tokens is not None:
            check_thinking_end(delimiters, "budget")
        if sampling.temperature == 0 and self.n > 1:
            raise SettingsError(
                f"n={self.n} candidates would all be the same with greedy decoding: "
                "set temperature > 0 (and do_sample=True)"
            )

    def write(self, request: Request) -> Program[Trace]:
        """Return the program of one candidate."""
        if self.max_thinking_tokens is None:
            return Single(max_gen_toks=self.max_gen_toks).run(request)
        budget = (self.max_thinking_tokens,)
        strategy = Budget(max_thinking_tokens=budget, max_answer_tokens=self.max_answer_tokens)
        return strategy.run(request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated(Sampled):
    """The settings of every strategy that asks a reward model.

    aggregation: of step scores to one score, a name of AGGREGATIONS. step_delimiter: where a step
    ends. weighted: choose the class of equal answers with the largest sum of scores (weighted
    best-of-N), not the response with the largest score.
    """

    aggregation: str = "last"
    step_delimiter: str = "\n\n"
    weighted: bool = False

    def __post_init__(self) -> None:
        Sampled.__post_init__(self)
        if self.aggregation not in AGGREGATIONS:
            raise unknown_name("aggregation", self.aggregation, AGGREGATIONS)
        if not self.step_delimiter:
            raise SettingsError("step_delimiter='': allowed is a text, such as '\\n\\n'")


def at_least(settings: object, least: float, *names: str) -> None:
    """Raise SettingsError for a setting below `least`."""
    for name in names:
        if (value := getattr(settings, name)) < least:
            raise SettingsError(f"{name}={value}: allowed is a number >= {least}")


def steps_of(text: str, delimiter: str) -> list[str]:
    """Return the steps of a text without the white space around them; empty ones are no steps."""
    return [step.strip() for step in text.split(delimiter) if step.strip()]


def rate(request: Request, steps: Sequence[str]) -> Program[tuple[float, ...]]:
    """Return what the reward model says; nothing where there are no steps or it cannot read them.

    One response that it cannot read must not cost the others, so this is data and no failure.
    """
    if not steps:
        return ()
    try:
        result = yield from score(request.question, steps)
    except RequestError:
        return ()
    return result.scores


def generator_of(request: Request, purpose: str) -> Random:
    """Return the source of what a strategy draws by itself, the same in every run."""
    return Random(f"{request.seed} {purpose}")


def classes_of(request: Request, candidates: Sequence[Candidate]) -> Sequence[int | None]:
    """Return the class of each candidate's answer."""
    texts = [request.decode(candidate.trace.response_ids) for candidate in candidates]
    return request.classify(texts)


def chosen(candidates: Sequence[Candidate], index: int) -> Trace:
    """Return the trace of a candidate, with all of them attached."""
    return replace(candidates[index].trace, candidates=tuple(candidates))
