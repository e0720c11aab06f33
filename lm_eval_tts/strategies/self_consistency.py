"""Self-consistency: sample several responses and give the answer that most of them have.

Wang et al. 2022 (arXiv:2203.11171). Answers are equal as the grader has it, not as strings.
"""

from __future__ import annotations

from dataclasses import dataclass

from lm_eval_tts.core.program import Program, gather
from lm_eval_tts.core.trace import Candidate, Request, Trace
from lm_eval_tts.core.voting import pick_voted
from lm_eval_tts.strategies.parts.candidates import Sampled, chosen, classes_of, generator_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfConsistency(Sampled):
    """Sample `n` responses; the answer is one of the largest class, drawn where classes tie."""

    @property
    def score_names(self) -> tuple[str, ...]:
        """None: every vote counts the same."""
        return ()

    @property
    def num_samples(self) -> int:
        """All candidates are independent samples."""
        return self.n

    def run(self, request: Request) -> Program[Trace]:
        """Return the trace of one response of the majority, with all as its candidates."""
        traces = yield from gather(self.write(request) for _ in range(self.n))
        candidates = [Candidate(trace) for trace in traces]
        equal = [1.0] * self.n
        random = generator_of(request, "vote")
        return chosen(candidates, pick_voted(classes_of(request, candidates), equal, equal, random))
