"""One completion, nothing forced: the baseline every other strategy is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lm_eval_tts.core.program import Program, Sampling
from lm_eval_tts.core.trace import Delimiters, Request, Trace
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.strategies.parts.natural import complete


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """Generate until the end of the turn, a stop string, or `max_gen_toks` (>= 1, as in lm-eval).

    A prompt style with an answer tag ends at its closing tag, which is kept.
    """

    max_gen_toks: int = 256

    def __post_init__(self) -> None:
        if self.max_gen_toks < 1:
            raise SettingsError(f"max_gen_toks={self.max_gen_toks}: allowed is a number >= 1")

    @property
    def point_labels(self) -> tuple[str, ...]:
        """No points: there is one answer."""
        return ()

    @property
    def num_samples(self) -> int:
        """No candidates: there is one response."""
        return 0

    @property
    def score_names(self) -> tuple[str, ...]:
        """Nothing is rated."""
        return ()

    def check(self, delimiters: Delimiters, sampling: Sampling) -> None:
        """Any delimiters and any sampling will do."""

    def run(self, request: Request) -> Program[Trace]:
        """Return the trace of the one completion."""
        if request.max_tokens < 1:
            raise RequestError(f"prompt of {len(request.prompt)} tokens leaves no room to answer")
        limit = min(self.max_gen_toks, request.max_tokens)
        trace = yield from complete(request, Trace(request.prompt), limit)
        out = limit < self.max_gen_toks and trace.truncated("answer")
        return replace(trace, out_of_context=out)
