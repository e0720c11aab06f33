"""Particle filtering: the reward as a likelihood, and paths as samples of the posterior.

Puri et al. 2025 (arXiv:2502.01618): after each step `n` particles are drawn, with
replacement, from the present ones with weights softmax(logit(score) / weight_temperature).
Complete particles are drawn too. It explores where a beam search trusts the reward's ranks."""

import math
from dataclasses import dataclass

from lm_eval_tts.core.fields import POSITIVE, setting
from lm_eval_tts.core.program import Program
from lm_eval_tts.strategies.parts.candidates import generator_of
from lm_eval_tts.strategies.parts.tree import Growth, Path, SearchStrategy
from lm_eval_tts.strategies.rebase import softmax


@dataclass(frozen=True, kw_only=True)
class Particle(SearchStrategy):
    """Keep `n` particles."""

    weight_temperature: float = setting(1.0, POSITIVE)  # > 0; 1 is the paper's.

    def search(self, growth: Growth) -> Program[list[Path]]:
        """Return the particles that are left."""
        particles = [growth.start()] * self.n
        random = generator_of(growth.request, "resample")
        for iteration in range(self.num_iterations):
            moving = [path for path in particles if not path.done]
            if not moving:
                break
            resting = [path for path in particles if path.done]
            particles = resting + (yield from growth.grow_all(moving, iteration))
            if not all(path.done for path in particles):
                weights = softmax([logit(p.rank) / self.weight_temperature for p in particles])
                particles = random.choices(particles, weights, k=self.n)
        return particles


def logit(score: float) -> float:
    """Return the log-odds of a score in [0, 1], which is kept a millionth off its ends."""
    if score == -math.inf:
        return score
    kept = min(max(score, 1e-6), 1 - 1e-6)
    return math.log(kept / (1 - kept))
