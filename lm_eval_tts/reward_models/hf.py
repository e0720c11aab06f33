"""A transformers checkpoint as a reward model: texts to inputs, inputs to scores, and the traps.

Nothing is cut off: what does not fit the model's context is an error that says so. A step without
text is not shown to the model; it says nothing, so it has the score of the step before it (at the
start: of the step behind it).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

import torch

from lm_eval_tts.digests import tokenizer_digest
from lm_eval_tts.engines.memory import cache_limit, is_out_of_memory, out_of_memory
from lm_eval_tts.engines.slot_cache import SlotCache
from lm_eval_tts.engines.slot_model import SlotModel
from lm_eval_tts.errors import RequestError
from lm_eval_tts.program import Score, StepScores
from lm_eval_tts.reward_models.base import Spent
from lm_eval_tts.reward_models.families import Family
from lm_eval_tts.reward_models.heads import Scorer
from lm_eval_tts.reward_models.inputs import Input, Reading, Words, special_tokens
from lm_eval_tts.reward_models.padded import PaddedReader
from lm_eval_tts.reward_models.prefixes import SlotReader

logger = logging.getLogger(__name__)

TOLERANCE = {True: 1e-3, False: 0.1}  # of the probe, for float32 and for half precision


class Reader(Protocol):
    """What runs the model over inputs."""

    def read(self, items: Sequence[Input]) -> list[Reading]:
        """Return the scores of each input, in order."""


class _Asked(NamedTuple):
    """An input, and which of its scores is that of each step of the item."""

    input: Input
    places: tuple[int, ...]

    def answer(self, reading: Reading | RequestError) -> StepScores | RequestError:
        """Return one score a step."""
        if isinstance(reading, RequestError):
            return reading
        if not all(map(math.isfinite, reading.scores)):
            return RequestError(f"the reward model's scores {reading.scores} are not numbers")
        scores = tuple(reading.scores[p] for p in self.places)
        return StepScores(scores, len(self.input.token_ids))


class HFRewardModel:
    """The reward model of `reward_model=`.

    batch_size: inputs read at once; the prefixes of twice as many are kept for what extends them.
    spent: on all scores so far.
    """

    def __init__(self, scorer: Scorer, family: Family, words: Words, batch_size: int) -> None:
        self._scorer = scorer
        self._family = family
        self._words = words
        self._special = special_tokens(words.tokenizer)
        self._batch_size = batch_size
        self.spent = Spent()
        config = scorer.backbone.config.get_text_config(decoder=True)
        self._max_length = getattr(config, "max_position_embeddings", None) or 1 << 30
        self._reader = fit_reader(scorer, batch_size, self._max_length)

    def score(self, items: Sequence[Score]) -> list[StepScores | RequestError]:
        """Return the scores of each item, or why it has none, in order."""
        started = time.perf_counter()
        asked = [self._ask(item) for item in items]
        with torch.inference_mode():
            readings = self._read([x.input for x in asked if isinstance(x, _Asked)])
        read = sum(r.num_tokens for r in readings if isinstance(r, Reading))
        self.spent = self.spent.plus(Spent(time.perf_counter() - started, read))
        each = iter(readings)
        return [x.answer(next(each)) if isinstance(x, _Asked) else x for x in asked]

    def facts(self) -> dict[str, str]:
        """Return by name what makes its scores differ from another's of the same name."""
        return {
            "reward_model_weights": self._scorer.weights,
            "reward_model_dtype": str(self._scorer.backbone.dtype),
            "reward_model_format": self._family.write.__name__,
            "reward_model_separator": repr(self._words.separator),
            "reward_model_tokenizer": tokenizer_digest(self._words.tokenizer),
        }

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

    def _read(self, inputs: Sequence[Input]) -> Sequence[Reading | RequestError]:
        """Run the model, with half as many at once for each time that memory runs out."""
        try:
            return self._reader.read(inputs)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        if self._batch_size == 1 and len(inputs) == 1:
            return [out_of_memory(len(inputs[0].token_ids))]
        if self._batch_size == 1:
            return [reading for x in inputs for reading in self._read([x])]
        self._batch_size //= 2
        logger.warning("out of memory: the reward model reads %d at once", self._batch_size)
        self._reader = fit_reader(self._scorer, self._batch_size, self._max_length)
        return self._read(inputs)


def _response(steps: Sequence[str]) -> str:
    """Return the whole response; steps that do not end in white space are parted by a line."""
    return "".join(s if s[-1:].isspace() else f"{s}\n\n" for s in steps if s)


def fit_reader(scorer: Scorer, batch_size: int, max_length: int) -> Reader:
    """Return a reader that reuses prefixes if it is exact for this model, else a plain one."""
    try:
        model = SlotModel(scorer.backbone, SlotCache(2 * batch_size, max_length))
        difference = _probe(model)
        if difference < TOLERANCE[model.dtype == torch.float32]:
            model.cache = SlotCache(2 * batch_size, max_length, _room(model))
            return SlotReader(model, scorer.head, batch_size)
        reason = f"hidden states differ by {difference:.1%}"
    except Exception as error:  # whatever a model's code raises
        reason = f"{type(error).__name__}: {error}"
    logger.warning("the reward model reads every response anew, as prefixes differ (%s)", reason)
    return PaddedReader(scorer, batch_size)


def _room(model: SlotModel) -> int:
    """Return how many tokens a cache may hold within the memory that is free."""
    per_token = model.cache.num_bytes / (model.cache.capacity * (model.cache.num_slots + 1))
    return int(cache_limit(p.device for p in model.model.parameters()) / per_token)


def _probe(model: SlotModel) -> float:
    """Return how far hidden states in slots are from those of lone forwards, by the largest.

    Rows of different lengths, each first in part and then whole: what a wrong mask, position or
    cache would change.
    """
    vocabulary = model.model.get_input_embeddings().num_embeddings
    texts = [tuple((7 * i * i + 31 * n + 3) % vocabulary for i in range(n)) for n in (12, 23)]
    reader: Any = SlotReader(model, lambda hidden: hidden, min(2, model.cache.num_slots))
    differences = []
    with torch.inference_mode():
        for cut in (5, 0):
            inputs = [Input(ids[: len(ids) - cut], tuple(range(len(ids) - cut))) for ids in texts]
            for item, have in zip(inputs, reader.read(inputs), strict=True):
                seen = model.tensor([item.token_ids])
                want = model.model(seen, use_cache=False).last_hidden_state[0]
                difference = model.tensor(have.scores).to(want.dtype) - want
                differences.append(float(difference.abs().max() / want.abs().max()))
    return max(math.inf if math.isnan(d) else d for d in differences)
