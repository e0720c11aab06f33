"""Best-of-N: sample several responses and give the one with the best rating.

score_by="reward": a reward model rates them (Cobbe et al. 2021, arXiv:2110.14168); its weighted
form adds the scores of equal answers up (Li et al. 2022, arXiv:2206.02336). Without a reward model
the policy's own confidence can: "mean_logprob", or "self_certainty" (Kang et al. 2025,
arXiv:2502.18581), which needs an engine that reports on the whole vocabulary."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lm_eval_tts.core.fields import at_least, setting
from lm_eval_tts.core.program import Program, TokenLogprob
from lm_eval_tts.core.reward_model import PRECISION
from lm_eval_tts.core.trace import Candidate, Request, Trace
from lm_eval_tts.core.voting import aggregate, borda_weights
from lm_eval_tts.errors import RequestError
from lm_eval_tts.strategies.base import LogprobKind
from lm_eval_tts.strategies.parts.candidates import RatedStrategy, vote

Logprobs = Sequence[TokenLogprob]


def mean_logprob(logprobs: Logprobs, vocabulary_size: int | None = None) -> float:
    """Return the mean log-probability of the sampled tokens, <= 0; NaN of none."""
    return aggregate([logprob.sampled for logprob in logprobs], "mean")


def self_certainty(logprobs: Logprobs, vocabulary_size: int | None = None) -> float:
    """Return the mean divergence from a uniform choice, >= 0: -mean_v log p(v) - log V.
    Kang et al. 2025 (arXiv:2502.18581). Without `vocabulary_size` the constant log V is left out,
    which changes no ranking. NaN of no token."""
    divergences = [-logprob.mean for logprob in logprobs]
    return aggregate(divergences, "mean") - math.log(vocabulary_size or 1)


# How sure the policy was of a response; more is surer.
MEASURES = {"mean_logprob": mean_logprob, "self_certainty": self_certainty}


def require_reported(value: float, logprobs: Logprobs, name: str) -> None:
    """Raise RequestError where the engine did not report what the value of a measure needs.
    An empty response has no confidence (NaN) on any engine."""
    if logprobs and math.isnan(value):
        raise RequestError(f"this engine does not report the log-probabilities that {name!r} needs")


@dataclass(frozen=True, kw_only=True)
class BestOfN(RatedStrategy):
    """Sample `n` responses and choose by a score."""

    # "reward", or one of MEASURES: "mean_logprob", "self_certainty".
    score_by: str = setting("reward", ("reward", *MEASURES))
    # Select by a vote in which rank r of n counts (n - r + 1) ** borda_power, >= 0 (Kang et al.
    # 2025, section 4); None selects by the scores themselves.
    borda_power: float | None = setting(None, at_least(0))

    answers_within_n = True

    @property
    def score_names(self) -> tuple[str, ...]:
        """The one score that is asked for."""
        return (self.score_by,)

    @property
    def needs_logprobs(self) -> LogprobKind:
        """What the measure is of."""
        kinds = {"mean_logprob": LogprobKind.SAMPLED, "self_certainty": LogprobKind.VOCABULARY}
        return kinds.get(self.score_by, LogprobKind.NONE)

    def select(self, request: Request, candidates: Sequence[Candidate]) -> Trace:
        """Return the candidate that wins by its score, or by a vote of all by their ranks."""
        if self.borda_power is None:
            return super().select(request, candidates)
        scores = [dict(candidate.scores)[self.score_by] for candidate in candidates]
        return vote(request, candidates, borda_weights(scores, self.borda_power), scores)

    def write(self, request: Request) -> Program[Trace]:
        """Return the program of one response, with the log-probabilities that a measure takes."""
        return super().write(replace(request, logprobs=0) if self.needs_logprobs else request)

    def rate(self, request: Request, trace: Trace) -> Program[Candidate]:
        """Ask the reward model about a response, or measure how sure the policy was of it."""
        if self.needs_reward_model:
            return (yield from super().rate(request, trace))
        value = MEASURES[self.score_by](trace.logprobs, request.vocabulary_size)
        require_reported(value, trace.logprobs, self.score_by)
        return Candidate(trace.without_logprobs(), ((self.score_by, round(value, PRECISION)),))
