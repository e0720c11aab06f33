"""A checkpoint as a reward model: texts to inputs, inputs to scores, and the traps.

Nothing is cut off: what does not fit the model's context is an error that says so. A step without
text is not shown to the model; it says nothing, so it has the score of the step before it (at the
start: of the step behind it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from lm_eval_tts.errors import RequestError
from lm_eval_tts.program import Score, StepScores
from lm_eval_tts.reward_models.families import Family
from lm_eval_tts.reward_models.inputs import Input, Words, special_tokens


class _Asked(NamedTuple):
    """An input, and which of its scores is that of each step of the item."""

    input: Input
    places: tuple[int, ...]

    def answer(self, reading: StepScores | RequestError) -> StepScores | RequestError:
        """Return one score a step."""
        if isinstance(reading, RequestError):
            return reading
        if not all(map(math.isfinite, reading.scores)):
            return RequestError(f"the reward model's scores {reading.scores} are not numbers")
        return StepScores(tuple(reading.scores[p] for p in self.places), reading.num_tokens)


class CheckpointModel:
    """What the reward models of `reward_model=` have in common, whatever runs them.

    max_length: tokens of an input at most.
    """

    def __init__(self, family: Family, words: Words, max_length: int) -> None:
        self._family = family
        self._words = words
        self._special = special_tokens(words.tokenizer)
        self._max_length = max_length

    def score(self, items: Sequence[Score]) -> list[StepScores | RequestError]:
        """Return the scores of each item, or why it has none, in order."""
        asked = [self._ask(item) for item in items]
        readings = iter(self._read([x.input for x in asked if isinstance(x, _Asked)]))
        return [x.answer(next(readings)) if isinstance(x, _Asked) else x for x in asked]

    def _read(self, inputs: Sequence[Input]) -> Sequence[StepScores | RequestError]:
        """Run the model: return the score at each position of each input, in order."""
        raise NotImplementedError

    def _ask(self, item: Score) -> _Asked | RequestError:
        """Return what the model shall read for an item."""
        question, *steps = (self._special.sub(" ", t) for t in (item.question, *item.steps))
        if self._family.outcome:
            steps = [_response(steps)]
        shown = [step.strip() for step in steps if step.strip()]
        if not shown:
            return RequestError("no step has text, so there is nothing to score")
        try:
            written = self._family.write(self._words, question, shown)
        except RequestError as error:
            return error
        if len(written.token_ids) > self._max_length:
            return RequestError(
                f"the reward model reads at most {self._max_length} tokens; a response of "
                f"{len(item.steps)} steps takes {len(written.token_ids)}"
            )
        before = accumulate(bool(step.strip()) for step in steps)
        return _Asked(written, tuple(max(0, count - 1) for count in before))


def _response(steps: Sequence[str]) -> str:
    """Return the whole response; steps that do not end in white space are parted by a line."""
    return "".join(s if s[-1:].isspace() else f"{s}\n\n" for s in steps if s)
