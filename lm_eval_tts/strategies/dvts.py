"""Diverse verifier tree search: independent beam searches, each greedy in the reward.

Beeching et al. 2024 (huggingface.co/spaces/HuggingFaceH4/blogpost-scaling-test-time-compute):
n // beam_width trees; in each, every step the best of `beam_width` expansions is kept."""

from dataclasses import dataclass

from lm_eval_tts.core.program import Program, gather
from lm_eval_tts.strategies.beam import Beam
from lm_eval_tts.strategies.parts.tree import Growth, Path


@dataclass(frozen=True, kw_only=True)
class DVTS(Beam):
    """n // beam_width independent trees; the best path of all is chosen."""

    def search(self, growth: Growth) -> Program[list[Path]]:
        """Return the complete paths of all trees."""
        trees = [Growth(growth.request, self) for _ in range(self.n // self.beam_width)]
        found = yield from gather(self.grow_tree(tree, self.beam_width) for tree in trees)
        growth.grown.extend(path for tree in trees for path in tree.grown)  # one after the other
        return [path for paths in found for path in paths]
