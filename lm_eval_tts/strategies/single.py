"""One completion, nothing forced: the baseline every other strategy is compared with."""

from dataclasses import dataclass

from lm_eval_tts.core.fields import at_least, setting
from lm_eval_tts.core.program import Program
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.strategies.base import Strategy
from lm_eval_tts.strategies.parts.writing import write_response


@dataclass(frozen=True, kw_only=True)
class Single(Strategy):
    """Generate until the end of the turn, a stop string, or `max_gen_toks`.

    A prompt style with an answer tag ends at its closing tag, which is kept."""

    # Most tokens of the response, >= 1; the default is lm-eval's.
    max_gen_toks: int = setting(256, at_least(1))

    needs_continuation = False

    def run(self, request: Request) -> Program[Trace]:
        """Return the trace of the one completion."""
        return write_response(request, self.max_gen_toks)
