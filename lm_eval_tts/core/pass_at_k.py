"""pass@k of one problem, and the k that are reported."""

import math


def pass_at(num_samples: int, num_correct: float, k: int) -> float:
    """Return the chance that a draw of k samples without replacement holds a right one. 1 - C(n-c,
    k) / C(n, k), without bias: Chen et al. (2021), arXiv:2107.03374, equation 1. NaN for k beyond
    num_samples and for an unknown num_correct."""
    if not 1 <= k <= num_samples or math.isnan(num_correct):
        return math.nan
    wrong = num_samples - round(num_correct)
    return 1 - math.comb(wrong, k) / math.comb(num_samples, k)


def sample_sizes(n: int) -> list[int]:
    """Return 1, 2, 4 ... and n itself."""
    return sorted({2**power for power in range(n.bit_length())} | {n})
