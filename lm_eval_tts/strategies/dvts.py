"""Diverse verifier tree search: independent beam searches, each greedy in the reward.

Beeching et al. 2024 (huggingface.co/spaces/HuggingFaceH4/blogpost-scaling-test-time-compute):
n // beam_width trees; in each, every step the best of `beam_width` expansions is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from lm_eval_tts.core.program import Program, gather
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.strategies.beam import Beam


@dataclass(frozen=True, slots=True, kw_only=True)
class DVTS(Beam):
    """n // beam_width trees that know nothing of each other; the best path of all is chosen."""

    def run(self, request: Request) -> Program[Trace]:
        """Return the trace of the chosen path, with the complete ones of all trees beside it."""
        trees = range(self.n // self.beam_width)
        found = yield from gather(self.search(request, self.beam_width) for _ in trees)
        return self.choose(request, [path for paths in found for path in paths])
