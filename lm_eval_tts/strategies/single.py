"""One completion, nothing forced: the baseline every other strategy is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from lm_eval_tts.core.program import Program
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.strategies.base import Strategy
from lm_eval_tts.strategies.parts.checks import at_least
from lm_eval_tts.strategies.parts.completion import write_response


@dataclass(frozen=True, kw_only=True)
class Single(Strategy):
    """Generate until the end of the turn, a stop string, or `max_gen_toks`.

    A prompt style with an answer tag ends at its closing tag, which is kept.
    """

    max_gen_toks: int = 256
    """Most tokens of the response, >= 1; the default is lm-eval's."""

    needs_continuation = False

    def __post_init__(self) -> None:
        at_least(self, 1, "max_gen_toks")

    def run(self, request: Request) -> Program[Trace]:
        """Return the trace of the one completion."""
        return write_response(request, self.max_gen_toks)
