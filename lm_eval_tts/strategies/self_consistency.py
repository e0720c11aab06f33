"""Self-consistency: sample several responses and give the answer that most of them have.

Wang et al. 2022 (arXiv:2203.11171). Answers are compared by the grader, not as strings."""

from dataclasses import dataclass

from lm_eval_tts.strategies.parts.candidates import SampleStrategy


@dataclass(frozen=True, kw_only=True)
class SelfConsistency(SampleStrategy):
    """Sample `n` responses; the answer is one of the largest class, drawn where classes tie."""

    answers_within_n = True
