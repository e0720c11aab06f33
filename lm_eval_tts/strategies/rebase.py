"""REBASE: reward-balanced search, which expands every path in proportion to its reward.

Wu et al. 2024 (arXiv:2408.00724): no path is pruned by rank; of the expansions that
are left (n less the complete paths), path i gets the share softmax(score_i / balance_temperature).
The paper rounds each share; here the largest remainders are rounded up, so the sum is exact."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lm_eval_tts.core.fields import POSITIVE, setting
from lm_eval_tts.core.program import Program
from lm_eval_tts.strategies.parts.tree import Growth, Path, SearchStrategy


@dataclass(frozen=True, kw_only=True)
class Rebase(SearchStrategy):
    """Share `n` expansions among the paths."""

    balance_temperature: float = setting(0.1, POSITIVE)  # > 0, less is greedier.

    def search(self, growth: Growth) -> Program[list[Path]]:
        """Return the complete paths."""
        parents = [growth.start()] * self.n
        finished: list[Path] = []
        for iteration in range(self.num_iterations):
            paths = yield from growth.grow_all(parents, iteration)
            finished += [path for path in paths if path.done]
            live = [path for path in paths if not path.done]
            if not live:
                break
            shares = softmax([path.rank / self.balance_temperature for path in live])
            counts = apportion(shares, self.n - len(finished))
            parents = [p for p, count in zip(live, counts, strict=True) for _ in range(count)]
        return finished


def softmax(values: Sequence[float]) -> list[float]:
    """Return shares that add up to 1; minus infinity has none, unless all have it."""
    most = max(values)
    if most == -math.inf:
        return [1 / len(values)] * len(values)
    powers = [math.exp(value - most) for value in values]
    return [power / math.fsum(powers) for power in powers]


def apportion(shares: Sequence[float], total: int) -> list[int]:
    """Return whole numbers near `shares` times `total`, of sum `total`, by largest remainders."""
    counts = [math.floor(share * total) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: counts[i] - shares[i] * total)
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts
