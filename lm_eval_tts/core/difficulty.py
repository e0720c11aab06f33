"""How hard a problem is for a policy: pure arithmetic. Imports nothing of this package.

Three bins with fixed bounds on pass@1 (Liu et al. 2025, arXiv:2502.06703), not
quantiles, so that a bin means the same for every policy."""

import math
from collections import Counter
from collections.abc import Sequence

BINS = {"easy": 0.5, "medium": 0.1, "hard": 0.0}  # least pass@1 of each, in this order

# What the difficulty of a problem can be estimated by; the oracle is pass@1 itself.
ESTIMATES = ("agreement", "reward", "both", "oracle")


def bin_of(rate: float) -> str:
    """Return the bin of a pass@1, or of an estimate of it in [0, 1]."""
    return next((name for name, least in BINS.items() if rate >= least), "hard")


def agreement(classes: Sequence[int | None]) -> float:
    """Return the share of the other samples that agree with the most frequent answer, in [0, 1]. 1
    if all samples have one answer, 0 if no two have, which a share of all samples could not be.
    Says how sure the policy is, not whether it is right: no reference is needed."""
    if len(classes) < 2:
        raise ValueError("agreement takes at least two samples")
    counts = Counter(number for number in classes if number is not None)
    most = max(counts.values(), default=1)
    return (most - 1) / (len(classes) - 1)


def mean_reward(rewards: Sequence[float | None]) -> float:
    """Return the mean of the rewards that are known, neither None nor NaN; 0 without any."""
    known = [reward for reward in rewards if reward is not None and not math.isnan(reward)]
    return math.fsum(known) / len(known) if known else 0.0
