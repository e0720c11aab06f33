"""How sure a model was of what it wrote: measures of a response from its log-probabilities.

All are means of natural logarithms, more is surer, and NaN where no token was sampled."""

import math
from collections.abc import Callable, Sequence

from lm_eval_tts.core.program import TokenLogprob
from lm_eval_tts.errors import RequestError

Logprobs = Sequence[TokenLogprob]


def mean_or_nan(values: Sequence[float]) -> float:
    """Return the mean; NaN of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def mean_logprob(logprobs: Logprobs, vocabulary_size: int | None = None) -> float:
    """Return the mean log-probability of the sampled tokens, <= 0."""
    return mean_or_nan([logprob.sampled for logprob in logprobs])


def self_certainty(logprobs: Logprobs, vocabulary_size: int | None = None) -> float:
    """Return the mean divergence from a uniform choice, >= 0: -mean_v log p(v) - log V.
    Kang et al. 2025 (arXiv:2502.18581). Without `vocabulary_size` the constant log V is left out,
    which changes no ranking."""
    return mean_or_nan([-logprob.mean for logprob in logprobs]) - math.log(vocabulary_size or 1)


MEASURES: dict[str, Callable[[Logprobs, int | None], float]] = {
    "mean_logprob": mean_logprob,
    "self_certainty": self_certainty,
}


def require_reported(value: float, logprobs: Logprobs, name: str) -> float:
    """Return the value of a measure. Raises RequestError unless the engine reported what it needs.
    An empty response has no confidence (NaN) on any engine."""
    if logprobs and math.isnan(value):
        raise RequestError(f"this engine does not report the log-probabilities that {name!r} needs")
    return value


def token_confidences(logprobs: Logprobs) -> list[float]:
    """Return minus the mean log-probability of each place's likeliest tokens.
    Fu et al. 2025, "Deep Think with Confidence" (arXiv:2508.15260)."""
    return [-mean_or_nan(logprob.top) for logprob in logprobs]


def group_confidences(confidences: Sequence[float], window: int) -> list[float]:
    """Return the mean confidence of every `window` tokens in a row; of all if there are fewer.
    Fu et al. 2025. window: >= 1; 2048 in the paper."""
    if len(confidences) <= window:
        return [mean_or_nan(confidences)] if confidences else []
    total = math.fsum(confidences[:window])
    groups = [total / window]
    for new, old in zip(confidences[window:], confidences, strict=False):
        total += new - old
        groups.append(total / window)
    return groups


def bottom_confidence(groups: Sequence[float], share: float = 0.1) -> float:
    """Return the mean of the least confident groups, a tenth of them."""
    return mean_or_nan(sorted(groups)[: max(1, math.floor(len(groups) * share))])


# How confident a response is, by its tokens' confidences and the length of a group.
CONFIDENCES: dict[str, Callable[[Sequence[float], int], float]] = {
    "mean": lambda confidences, window: mean_or_nan(confidences),
    "bottom": lambda confidences, window: bottom_confidence(group_confidences(confidences, window)),
    "lowest": lambda confidences, window: min(group_confidences(confidences, window), default=-1.0),
    "tail": lambda confidences, window: mean_or_nan(confidences[-window:]),
}
