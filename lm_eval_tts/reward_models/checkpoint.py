"""A checkpoint as a reward model: texts to inputs, inputs to scores, and the traps.

Nothing is cut off: what does not fit the model's context is an error that says so. A step without
text is not shown to the model; it says nothing, so it has the score of the step before it (at the
start: of the step after it). Scores that were read are kept: a prefix that a cache holds is not
read again for them."""

import hashlib
import math
import time
from array import array
from collections.abc import Sequence
from itertools import accumulate

from lm_eval_tts.core.identity import digest, tokenizer_digest
from lm_eval_tts.core.program import Score, StepScores
from lm_eval_tts.core.reward_model import Spent
from lm_eval_tts.errors import RequestError
from lm_eval_tts.reward_models.families import Family
from lm_eval_tts.reward_models.inputs import Input, Reading, Words, special_tokens

MOST_KNOWN = 200_000  # scores kept, some 20 MB; without them inputs are read from their start


class CheckpointModel:
    """What the reward models of `reward_model=` have in common, whatever runs them.
    max_length: tokens of an input at most. weights: a digest of them, or where they come from.
    spent: on all scores so far."""

    def __init__(
        self, family: Family, words: Words, max_length: int, *, weights: str, dtype: str
    ) -> None:
        self._family = family
        self._words = words
        self._special = special_tokens(words.tokenizer)
        self._max_length = max_length
        self._identity = {"reward_model_weights": weights, "reward_model_dtype": dtype}
        self.spent = Spent()

    def score(self, items: Sequence[Score]) -> list[StepScores | RequestError]:
        """Return the scores of each item, or why it has none, in order."""
        started = time.perf_counter()
        asked = [self._ask(item) for item in items]
        readings = self._read([x for x in asked if isinstance(x, Input)])
        read = sum(r.num_tokens for r in readings if isinstance(r, Reading))
        self.spent = self.spent.plus(Spent(time.perf_counter() - started, read))
        each = iter(readings)
        return [_answer(x, next(each)) if isinstance(x, Input) else x for x in asked]

    def facts(self) -> dict[str, str]:
        """Return by name what makes its scores differ from those of another of the same name."""
        return {
            **self._identity,
            "reward_model_format": self._family.write.__name__,
            "reward_model_head": repr(self._family.head),
            "reward_model_separator": repr(self._words.separator),
            "reward_model_tokenizer": tokenizer_digest(self._words.tokenizer),
            "reward_model_template": digest(str(self._words.tokenizer.chat_template)),
        }

    def _read(self, inputs: Sequence[Input]) -> Sequence[Reading | RequestError]:
        """Run the model: return the score at each position of each input, in order."""
        raise NotImplementedError

    def _ask(self, item: Score) -> Input | RequestError:
        """Return what the model should read for an item, with a position for each of its steps."""
        question, *steps = (self._special.sub(" ", t) for t in (item.question, *item.steps))
        if self._family.outcome:  # steps that do not end in white space get a blank line
            steps = ["".join(s if s[-1:].isspace() else f"{s}\n\n" for s in steps if s)]
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
        positions = tuple(written.positions[max(0, count - 1)] for count in before)
        return written._replace(positions=positions)


def _answer(item: Input, reading: Reading | RequestError) -> StepScores | RequestError:
    if isinstance(reading, RequestError):
        return reading
    if not all(map(math.isfinite, reading.scores)):
        return RequestError(f"the reward model's scores {reading.scores} are not numbers")
    return StepScores(reading.scores, len(item.token_ids))


def make_room(known: dict[bytes, float]) -> None:
    """Forget all known scores if they are too many; not between reading and use."""
    if len(known) > MOST_KNOWN:
        known.clear()


def prefix_keys(item: Input, long: bool = False) -> dict[int, bytes]:
    """Return for each position, in ascending order, a digest of all that its score depends on: the
    tokens up to it, and `long`: its keys are rotated by the long factors of "longrope"."""
    state, start, keys = hashlib.blake2b(bytes([long]), digest_size=16), 0, {}
    for position in item.positions:
        state.update(array("q", item.token_ids[start : position + 1]).tobytes())
        start = position + 1
        keys[position] = state.digest()
    return keys
