"""Best-of-N: sample several responses and give the one that is rated best.

score_by="reward": a reward model rates them (Cobbe et al. 2021, arXiv:2110.14168); its weighted
form adds the scores of equal answers up (Li et al. 2022, arXiv:2206.02336). Without a reward model
the policy's own confidence can: "mean_logprob", or "self_certainty" (Kang et al. 2025,
arXiv:2502.18581), which takes an engine that tells of the whole vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lm_eval_tts.core.program import Program, gather
from lm_eval_tts.core.trace import Candidate, Request, Trace
from lm_eval_tts.core.voting import aggregate, pick_best, pick_voted, vote_weights
from lm_eval_tts.errors import unknown_name
from lm_eval_tts.strategies.parts.candidates import (
    Rated,
    chosen,
    classes_of,
    generator_of,
    rate,
    steps_of,
)
from lm_eval_tts.strategies.parts.confidence import MEASURES, check_told


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOfN(Rated):
    """Sample `n` responses and choose by `score_by`: "reward", "mean_logprob", "self_certainty"."""

    score_by: str = "reward"

    def __post_init__(self) -> None:
        Rated.__post_init__(self)
        if self.score_by not in ("reward", *MEASURES):
            raise unknown_name("score_by", self.score_by, ("reward", *MEASURES))

    @property
    def score_names(self) -> tuple[str, ...]:
        """The one score that is asked for."""
        return (self.score_by,)

    @property
    def num_samples(self) -> int:
        """All candidates are independent samples."""
        return self.n

    def run(self, request: Request) -> Program[Trace]:
        """Return the trace of the chosen response, with all as its candidates."""
        candidates = yield from gather(self.candidate(request) for _ in range(self.n))
        return choose(request, candidates, self.score_by, self.weighted)

    def candidate(self, request: Request) -> Program[Candidate]:
        """Write one response and rate it."""
        if self.score_by == "reward":
            trace = yield from self.write(request)
            steps = steps_of(request.decode(trace.response_ids), self.step_delimiter)
            scores = yield from rate(request, steps)
            return Candidate(trace, (("reward", aggregate(scores, self.aggregation)),), scores)
        trace = yield from self.write(replace(request, logprobs=0))
        value = MEASURES[self.score_by](trace.logprobs, request.vocabulary_size)
        check_told(value, trace.logprobs, self.score_by)
        return Candidate(trace.without_logprobs(), ((self.score_by, value),))


def choose(request: Request, candidates: list[Candidate], score_by: str, weighted: bool) -> Trace:
    """Return the candidate with the best score, or the best of the class with most of it."""
    scores = [dict(candidate.scores)[score_by] for candidate in candidates]
    random = generator_of(request, "choose")
    if not weighted:
        return chosen(candidates, pick_best(scores, random))
    classes = classes_of(request, candidates)
    return chosen(candidates, pick_voted(classes, vote_weights(scores), scores, random))
