"""DeepConf: a vote in which confident responses count more, weak ones less or not at all.

Fu et al. 2025, "Deep Think with Confidence" (arXiv:2508.15260). A response is
as confident as its weakest, or its last, stretch of tokens. Offline, all are written and the most
confident share votes. Online (`warmup` > 0), the first ones set a threshold, below which the others
are given up while they are written. The paper's early end by consensus is left out: our candidates
go on side by side, so there is nothing left to save when they agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from lm_eval_tts.core.program import Program, gather
from lm_eval_tts.core.trace import Candidate, Request, Trace
from lm_eval_tts.core.voting import pick_voted
from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.strategies.parts.candidates import (
    Sampled,
    at_least,
    chosen,
    classes_of,
    generator_of,
)
from lm_eval_tts.strategies.parts.confidence import (
    bottom_confidence,
    check_told,
    group_confidences,
    mean,
    tail_confidence,
    token_confidences,
)
from lm_eval_tts.strategies.parts.natural import complete, has_stop

PIECE = 64  # tokens that are written between two looks at the confidence

MEASURES: dict[str, Callable[[Sequence[float], int], float]] = {
    "mean": lambda confidences, window: mean(confidences),
    "bottom": lambda confidences, window: bottom_confidence(group_confidences(confidences, window)),
    "lowest": lambda confidences, window: min(group_confidences(confidences, window), default=-1.0),
    "tail": tail_confidence,
}


class Watched(NamedTuple):
    """A response, how confident it was at each token, and whether it was given up."""

    trace: Trace
    confidences: list[float]
    given_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepConf(Sampled):
    """Sample `n` responses; those in the most confident `keep` share vote by their confidence.

    confidence: "bottom" (the mean of the weakest tenth of groups), "lowest" (the weakest), "tail"
    (the last) or "mean". window: tokens of a group. top_logprobs: likeliest tokens that a token's
    confidence is the mean over. keep: in (0, 1]; 0.1 and 0.9 in the paper. warmup: responses that
    are written whole and set the threshold for the others; 0 writes all of them whole.
    """

    n: int = 16
    confidence: str = "bottom"
    window: int = 2048
    top_logprobs: int = 20
    keep: float = 0.9
    warmup: int = 0

    def __post_init__(self) -> None:
        Sampled.__post_init__(self)
        at_least(self, 1, "window", "top_logprobs")
        if self.confidence not in MEASURES:
            raise unknown_name("confidence", self.confidence, MEASURES)
        if not 0 < self.keep <= 1:
            raise SettingsError(f"keep={self.keep}: allowed is a number in (0, 1]")
        if not 0 <= self.warmup < self.n:
            raise SettingsError(f"warmup={self.warmup}: allowed is 0 to n - 1 = {self.n - 1}")
        if self.warmup and self.max_thinking_tokens is not None:
            raise SettingsError(
                "warmup and max_thinking_tokens cannot be set together: responses are given up "
                "while they are written as one piece"
            )

    @property
    def score_names(self) -> tuple[str, ...]:
        """The response's confidence."""
        return ("confidence",)

    @property
    def num_samples(self) -> int:
        """Those that may be given up are no samples as good as another."""
        return 0 if self.warmup else self.n

    def run(self, request: Request) -> Program[Trace]:
        """Return one response of the answer with most confidence, with all as its candidates."""
        request = replace(request, logprobs=self.top_logprobs)
        first = self.warmup or self.n
        watched = yield from gather(self._whole(request) for _ in range(first))
        least = -math.inf
        if self.warmup:
            least = threshold([self._lowest(w) for w in watched], self.keep)
            rest = range(self.n - self.warmup)
            watched += yield from gather(self._watched(request, least) for _ in rest)
        candidates = [self._candidate(w) for w in watched]
        scores = [dict(candidate.scores)["confidence"] for candidate in candidates]
        if self.warmup:
            votes = [not w.given_up and self._lowest(w) >= least for w in watched]
        else:
            votes = most_confident(scores, self.keep)
        weights = [max(s, 0.0) if vote else 0.0 for s, vote in zip(scores, votes, strict=True)]
        if not any(weights):
            weights = [float(not w.given_up) for w in watched]
        classes = classes_of(request, candidates)
        voting = [c if weight else None for c, weight in zip(classes, weights, strict=True)]
        random = generator_of(request, "vote")
        return chosen(candidates, pick_voted(voting, weights, scores, random))

    def _whole(self, request: Request) -> Program[Watched]:
        trace = yield from self.write(request)
        confidences = token_confidences(trace.logprobs)
        check_told(sum(confidences), trace.logprobs, "deepconf")
        return Watched(trace.without_logprobs(), confidences)

    def _watched(self, request: Request, least: float) -> Program[Watched]:
        """Write a response in pieces until it ends or a group of tokens is below the threshold."""
        trace, confidences = Trace(request.prompt), list[float]()
        limit = min(self.max_gen_toks, request.max_tokens)
        while True:
            size = min(PIECE, limit - trace.num_tokens())
            longer = yield from complete(request, trace, size)
            confidences += token_confidences(longer.logprobs)
            trace = longer.without_logprobs()
            if not trace.truncated("answer") or trace.num_tokens() >= limit:
                return Watched(trace, confidences)
            if has_stop(request, trace):  # across two pieces, where no engine could see it
                return Watched(trace, confidences)
            full = len(confidences) >= self.window
            if full and min(group_confidences(confidences, self.window)) < least:
                return Watched(trace, confidences, given_up=True)

    def _lowest(self, watched: Watched) -> float:
        return MEASURES["lowest"](watched.confidences, self.window)

    def _candidate(self, watched: Watched) -> Candidate:
        value = MEASURES[self.confidence](watched.confidences, self.window)
        return Candidate(watched.trace, (("confidence", value),))


def threshold(lowest: Sequence[float], keep: float) -> float:
    """Return what the most confident `keep` share of the warm-up responses reaches.

    The (1 - keep) quantile of their lowest group confidences.
    """
    ranked = sorted(lowest, reverse=True)
    return ranked[max(1, math.ceil(keep * len(ranked))) - 1]


def most_confident(scores: Sequence[float], keep: float) -> list[bool]:
    """Return whether each response is in the most confident `keep` share, at least one of them."""
    known = [score for score in scores if not math.isnan(score)]
    least = threshold(known, keep) if known else math.inf
    return [score >= least for score in scores]
