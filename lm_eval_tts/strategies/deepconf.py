"""DeepConf: a vote in which confident responses count more, weak ones less or not at all.

Fu et al. 2025, "Deep Think with Confidence" (arXiv:2508.15260). A response is as confident as its
weakest, or its last, stretch of tokens. Offline, all are written and the most confident share
votes. Online (`warmup` > 0), the first ones set a threshold, below which the others are given up
while they are written. The paper's early end by consensus is left out: our candidates are written
side by side, so there is nothing left to save when they agree. Confidences count to `PRECISION`:
those that are equal at that precision are all in or all out, and ties are drawn by the seed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from lm_eval_tts.core.fields import Accepted, at_least, setting
from lm_eval_tts.core.program import Program, TokenLogprob, gather
from lm_eval_tts.core.reward_model import PRECISION
from lm_eval_tts.core.trace import Candidate, Request, Trace
from lm_eval_tts.core.voting import aggregate, pick_voted
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.strategies.base import LogprobKind
from lm_eval_tts.strategies.best_of_n import require_reported
from lm_eval_tts.strategies.parts.candidates import SampleStrategy, chosen, classes_of, generator_of
from lm_eval_tts.strategies.parts.writing import has_end, write_on

PIECE = 64  # tokens that are written between two looks at the confidence


def token_confidences(logprobs: Sequence[TokenLogprob]) -> list[float]:
    """Return minus the mean log-probability of each place's likeliest tokens; more is surer."""
    return [-aggregate(logprob.top, "mean") for logprob in logprobs]


def group_confidences(confidences: Sequence[float], window: int) -> list[float]:
    """Return the mean confidence of every `window` tokens in a row; of all if there are fewer.
    window: >= 1; 2048 in the paper."""
    if len(confidences) <= window:
        return [aggregate(confidences, "mean")] if confidences else []
    total = math.fsum(confidences[:window])
    groups = [total / window]
    for new, old in zip(confidences[window:], confidences, strict=False):
        total += new - old
        groups.append(total / window)
    return groups


def bottom_confidence(groups: Sequence[float]) -> float:
    """Return the mean of the least confident groups, a tenth of them."""
    return aggregate(sorted(groups)[: max(1, len(groups) // 10)], "mean")


# How confident a response is, by its tokens' confidences and the length of a group; NaN of nothing.
CONFIDENCES: dict[str, Callable[[Sequence[float], int], float]] = {
    "mean": lambda confidences, window: aggregate(confidences, "mean"),
    "bottom": lambda confidences, window: bottom_confidence(group_confidences(confidences, window)),
    "lowest": lambda confidences, window: min(group_confidences(confidences, window), default=-1.0),
    "tail": lambda confidences, window: aggregate(confidences[-window:], "mean"),
}


def confidence_threshold(lowest: Sequence[float], keep: float) -> float:
    """Return what the most confident `keep` share of the warm-up responses reaches: the (1 - keep)
    quantile of their lowest group confidences."""
    ranked = sorted(lowest, reverse=True)
    return ranked[max(1, math.ceil(keep * len(ranked))) - 1]


def percentile_threshold(lowest: Sequence[float], keep: float) -> float:
    """Return the 100 * (1 - keep)th percentile, between two values where it falls there. Rounded,
    as 1 - 0.7 is a little more than 0.3, and what a value just reaches must not be beyond it."""
    return round(float(np.quantile(lowest, 1 - keep)), 9)


THRESHOLDS = {"rank": confidence_threshold, "percentile": percentile_threshold}


class Watched(NamedTuple):
    """A response, how confident it was at each token, and whether it was given up."""

    trace: Trace
    confidences: list[float]
    given_up: bool = False


@dataclass(frozen=True, kw_only=True)
class DeepConf(SampleStrategy):
    """Sample `n` responses; those in the most confident `keep` share vote by their confidence."""

    n: int = setting(16, at_least(1))  # Responses of a problem, >= 1.
    # "bottom" (the mean of the weakest tenth of groups), "lowest" (the weakest), "tail" (the last)
    # or "mean".
    confidence: str = setting("bottom", CONFIDENCES)
    window: int = setting(2048, at_least(1))  # Tokens of a group, >= 1.
    # Likeliest tokens over which a token's confidence is averaged, >= 1.
    top_logprobs: int = setting(20, at_least(1))
    # In (0, 1]; 0.1 and 0.9 in the paper.
    keep: float = setting(0.9, Accepted(lambda share: 0 < share <= 1, "is a number in (0, 1]"))
    # "rank", so that at least the `keep` share votes, or "percentile", numpy's, between two ranks,
    # as in the paper's code: one vote fewer at keep=0.9 and n=4, 8, 16 or 64.
    threshold: str = setting("rank", THRESHOLDS)
    # Responses that are written whole and set the threshold for the others; 0 writes all whole.
    warmup: int = 0

    score_names = ("confidence",)
    needs_logprobs = LogprobKind.TOP

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.warmup < self.n:
            raise SettingsError(f"warmup={self.warmup}: allowed is 0 to n - 1 = {self.n - 1}")
        if self.warmup and self.max_thinking_tokens is not None:
            raise SettingsError(
                "warmup and max_thinking_tokens cannot be set together: responses are given up "
                "while they are written as one piece"
            )

    @property
    def needs_continuation(self) -> bool:
        """To write in pieces, or to cut a thought."""
        return bool(self.warmup) or super().needs_continuation

    @property
    def num_samples(self) -> int:
        """None with `warmup`: candidates that may be given up are not equally good samples."""
        return 0 if self.warmup else self.n

    def run(self, request: Request) -> Program[Trace]:
        """Return one response of the answer with most confidence, with all as its candidates."""
        request = replace(request, logprobs=self.top_logprobs)
        watched = yield from gather(self._whole(request) for _ in range(self.warmup or self.n))
        known = [value for value in self._judged(watched) if not math.isnan(value)]
        least = THRESHOLDS[self.threshold](known, self.keep) if known else math.inf
        if self.warmup:
            rest = range(self.n - self.warmup)
            watched += yield from gather(self._watched(request, least) for _ in rest)
        return self._vote(request, watched, least)

    def _vote(self, request: Request, watched: Sequence[Watched], least: float) -> Trace:
        """Return the choice of those that are confident enough; of all that are whole, if none."""
        scores = [self._measure(w.confidences, self.confidence) for w in watched]
        rated = zip(watched, scores, strict=True)
        candidates = [Candidate(w.trace, (("confidence", score),)) for w, score in rated]
        judged = zip(scores, self._judged(watched), strict=True)
        weights = [max(score, 0.0) if value >= least else 0.0 for score, value in judged]
        if not any(weights):
            weights = [float(not w.given_up) for w in watched]
        classes = zip(classes_of(request, candidates), weights, strict=True)
        voting = [number if weight else None for number, weight in classes]
        random = generator_of(request, "vote")
        return chosen(candidates, pick_voted(voting, weights, scores, random))

    def _whole(self, request: Request) -> Program[Watched]:
        trace = yield from self.write(request)
        confidences = token_confidences(trace.logprobs)
        require_reported(sum(confidences), trace.logprobs, "deepconf")
        return Watched(trace.without_logprobs(), confidences)

    def _watched(self, request: Request, least: float) -> Program[Watched]:
        """Write a response in pieces until it ends or a group of tokens is below the threshold."""
        trace, confidences = Trace(request.prompt), list[float]()
        limit = min(self.max_gen_toks, request.max_tokens)
        while True:
            size = min(PIECE, limit - trace.num_tokens())
            longer = yield from write_on(request, trace, size)
            confidences += token_confidences(longer.logprobs)
            trace = longer.without_logprobs()
            over = not trace.truncated("answer") or trace.num_tokens() >= limit
            if over or has_end(request, trace):  # across two pieces, where no engine could see it
                return Watched(trace, confidences)
            full = len(confidences) >= self.window
            if full and self._measure(confidences) < least:
                return Watched(trace, confidences, given_up=True)

    def _judged(self, watched: Sequence[Watched]) -> list[float]:
        """What the threshold is of; with `warmup`, what responses are given up by."""
        how = "lowest" if self.warmup else self.confidence
        return [self._measure(w.confidences, how) for w in watched]

    def _measure(self, confidences: Sequence[float], how: str = "lowest") -> float:
        return round(CONFIDENCES[how](confidences, self.window), PRECISION)
