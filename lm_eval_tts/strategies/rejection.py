"""Rejection sampling on length: think anew until a thought ends within the budget.

Muennighoff et al. 2025 (arXiv:2501.19393), section 3.1; there without a limit on tries, and with
655 tries on average for the smallest budget. Here the last try is cut and answered as it stands."""

from dataclasses import dataclass, replace

from lm_eval_tts.core.fields import at_least, setting
from lm_eval_tts.core.program import Program, Sampling
from lm_eval_tts.core.trace import Delimiters, Request, Trace
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.strategies.base import Strategy
from lm_eval_tts.strategies.parts import writing


@dataclass(frozen=True, kw_only=True)
class Rejection(Strategy):
    """Sample thoughts until one ends within `max_thinking_tokens`."""

    max_thinking_tokens: int = setting(2048, at_least(1))  # The budget, >= 1.
    max_tries: int = setting(8, at_least(1))  # Thoughts at most, >= 1.
    max_answer_tokens: int = setting(512, at_least(1))  # Room for the answer, >= 1.

    needs_thinking_end = True

    def check(self, delimiters: Delimiters, sampling: Sampling) -> None:
        """Raise SettingsError without a thinking_end, or if every try would be the same."""
        super().check(delimiters, sampling)
        if sampling.temperature == 0 and self.max_tries > 1:
            raise SettingsError(
                "strategy 'rejection' needs sampling: set temperature > 0 (and do_sample=True)"
            )

    def run(self, request: Request) -> Program[Trace]:
        """Return the trace of the first thought that ends in time, or of the last one, cut."""
        start = trace = writing.open_thinking(request)
        room = writing.share_room(request, start, self.max_answer_tokens)
        limit = min(self.max_thinking_tokens, room.thinking)
        for attempt in range(self.max_tries if limit else 0):
            thought = yield from writing.think(request, start, limit)
            trace = replace(start.add(thought, "thinking"), tries=attempt + 1)
            if thought.finish_reason != "length":
                break
        trace = writing.note_context(request, trace, self.max_thinking_tokens, room)
        return (yield from writing.answer(request, trace, room.answer))
