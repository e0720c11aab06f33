"""Runs a reward model in transformers: what is new of each input, within the memory there is."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from lm_eval_tts.engines.hf.memory import cache_limit, is_out_of_memory, out_of_memory
from lm_eval_tts.engines.hf.slot_cache import SlotCache
from lm_eval_tts.engines.hf.slot_model import SlotModel
from lm_eval_tts.errors import RequestError
from lm_eval_tts.reward_models.checkpoint import CheckpointModel
from lm_eval_tts.reward_models.families import Family
from lm_eval_tts.reward_models.heads import Scorer
from lm_eval_tts.reward_models.inputs import Input, Reading, Words
from lm_eval_tts.reward_models.padded import PaddedReader
from lm_eval_tts.reward_models.prefixes import SlotReader

logger = logging.getLogger(__name__)

TOLERANCE = {True: 1e-3, False: 0.1}  # of the probe, for float32 and for half precision


class Reader(Protocol):
    """What runs the model over inputs."""

    def read(self, items: Sequence[Input]) -> list[Reading]:
        """Return the scores of each input, in order."""


class HFRewardModel(CheckpointModel):
    """A checkpoint in this process.

    batch_size: inputs read at once; the prefixes of twice as many are kept for what extends them.
    """

    def __init__(self, scorer: Scorer, family: Family, words: Words, batch_size: int) -> None:
        config = scorer.backbone.config.get_text_config(decoder=True)
        max_length = getattr(config, "max_position_embeddings", None) or 1 << 30
        super().__init__(
            family, words, max_length, weights=scorer.weights, dtype=str(scorer.backbone.dtype)
        )
        self._scorer = scorer
        self._batch_size = batch_size
        self._reader = fit_reader(scorer, batch_size, max_length)

    def _read(self, inputs: Sequence[Input]) -> Sequence[Reading | RequestError]:
        """Run the model, with half as many at once for each time that memory runs out."""
        try:
            with torch.inference_mode():
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
