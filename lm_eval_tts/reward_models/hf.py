"""Runs a reward model in transformers: what is new of each input, within the memory there is."""

import logging
from collections.abc import Sequence

import torch

from lm_eval_tts.engines.hf.memory import is_out_of_memory, out_of_memory
from lm_eval_tts.engines.hf.probe import is_exact, probe
from lm_eval_tts.engines.hf.slot_cache import SlotCache
from lm_eval_tts.engines.hf.slot_model import SlotModel
from lm_eval_tts.errors import RequestError
from lm_eval_tts.reward_models.checkpoint import CheckpointModel
from lm_eval_tts.reward_models.families import Family
from lm_eval_tts.reward_models.heads import Scorer
from lm_eval_tts.reward_models.inputs import Input, Reading, Words
from lm_eval_tts.reward_models.prefixes import SlotReader

logger = logging.getLogger(__name__)

UNBOUNDED = 1 << 30  # tokens, where a config gives no length


class HFRewardModel(CheckpointModel):
    """A checkpoint in this process.
    batch_size: inputs read at once; prefixes of twice as many are kept for what extends them."""

    def __init__(self, scorer: Scorer, family: Family, words: Words, batch_size: int) -> None:
        config = scorer.backbone.config.get_text_config(decoder=True)
        max_length = getattr(config, "max_position_embeddings", None) or UNBOUNDED
        dtype = str(scorer.backbone.dtype)
        super().__init__(family, words, max_length, weights=scorer.weights, dtype=dtype)
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


class PaddedReader:
    """Reads whole inputs, for models whose sequences cannot live in slots: by length, so that
    little is padded, and `batch_size` at a time."""

    def __init__(self, scorer: Scorer, batch_size: int) -> None:
        self._scorer = scorer
        self._batch_size = batch_size

    def read(self, items: Sequence[Input]) -> list[Reading]:
        """Return the scores of each input, in order."""
        order = sorted(range(len(items)), key=lambda i: len(items[i].token_ids))
        results: dict[int, Reading] = {}
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            results |= zip(batch, self._read([items[i] for i in batch]), strict=True)
        return [results[i] for i in range(len(items))]

    def _read(self, items: Sequence[Input]) -> list[Reading]:
        """Read a batch, padded on the right, where a causal model's tokens do not see it."""
        width = max(len(item.token_ids) for item in items)
        model, texts = self._scorer.backbone, [item.token_ids for item in items]
        ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in texts])
        mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts])
        ids, mask = ids.to(model.device), mask.to(model.device)
        hidden = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        results = []
        for row, item in enumerate(items):
            scores = self._scorer.head(hidden[row, list(item.positions)]).tolist()
            results.append(Reading(tuple(scores), len(item.token_ids)))
        return results


def fit_reader(scorer: Scorer, batch_size: int, max_length: int) -> SlotReader | PaddedReader:
    """Return a reader that reuses prefixes if it is exact for this model, else a plain one."""
    try:
        model = SlotModel(scorer.backbone, SlotCache(2 * batch_size, max_length))
        difference = probe(model, lambda output: output.last_hidden_state, max_length)
        if is_exact(difference, model.dtype):
            model.cache = SlotCache(2 * batch_size, max_length, model.max_tokens())
            return SlotReader(model, scorer.head, batch_size)
        reason = f"hidden states differ by {difference:.1%}"
    except Exception as error:  # whatever a model's code raises
        reason = f"{type(error).__name__}: {error}"
    logger.warning("the reward model reads every response anew, as prefixes differ (%s)", reason)
    return PaddedReader(scorer, batch_size)
