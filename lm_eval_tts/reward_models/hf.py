"""Runs a reward model in transformers: what is new of each input, within the memory there is.

In a search each response continues one that was read before. So inputs live in the slots of one
cache, as the engine's sequences do: each continues in the slot that it extends, or starts from a
copy of what it shares with another."""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence

from lm_eval_tts.core.identity import config_digest, weights_digest
from lm_eval_tts.core.program import TokenIds
from lm_eval_tts.engines.hf.bars import without_bars
from lm_eval_tts.engines.hf.memory import is_out_of_memory, out_of_memory
from lm_eval_tts.engines.hf.slot_cache import SlotCache
from lm_eval_tts.engines.hf.slot_model import SlotModel, is_exact, probe
from lm_eval_tts.engines.hf.slots import SlotTable
from lm_eval_tts.errors import RequestError
from lm_eval_tts.reward_models.checkpoint import CheckpointModel, make_room, prefix_keys
from lm_eval_tts.reward_models.families import Family, Layer
from lm_eval_tts.reward_models.inputs import Input, Reading, Words

logger = logging.getLogger(__name__)

UNBOUNDED = 1 << 30  # tokens, where a config gives no length
READ_TOKENS = 2048  # of all rows in one forward, padding included: there is no step to wait for


class Scorer(NamedTuple):
    """A loaded reward model in two parts."""

    backbone: Any  # a decoder: token ids to hidden states
    head: Layer  # hidden states [n, size] to scores [n]


class HFRewardModel(CheckpointModel):
    """A checkpoint in this process; arguments and errors as of `Head.load`.
    device: None is a GPU, if any. size: inputs read at once; prefixes of twice as many are
    kept for what extends them."""

    def __init__(
        self, name: str, family: Family, words: Words, device: str | None, size: int, **code: Any
    ) -> None:
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        head = family.head
        with without_bars(name):
            model, layer = head.load(name, words.tokenizer, device_map=device, **code)
        self._scorer = Scorer(model.base_model, lambda hidden: head.scores(layer(hidden)))
        config = self._scorer.backbone.config.get_text_config(decoder=True)
        max_length = getattr(config, "max_position_embeddings", None) or UNBOUNDED
        super().__init__(
            family,
            replace(words, pad_token_id=config.pad_token_id),
            max_length,
            weights=f"{weights_digest(model)}-{config_digest(model)}",
            dtype=str(self._scorer.backbone.dtype),
        )
        self._batch_size = size
        self._reader = fit_reader(self._scorer, size, max_length)

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
        model, results = self._scorer.backbone, {}
        order = sorted(range(len(items)), key=lambda i: len(items[i].token_ids))
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            texts = [torch.tensor(items[i].token_ids, device=model.device) for i in batch]
            # Padded on the right, where a causal model's tokens do not see it.
            ids = pad_sequence(texts, batch_first=True)
            mask = pad_sequence([torch.ones_like(text) for text in texts], batch_first=True)
            hidden = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            for states, text, i in zip(hidden, texts, batch, strict=True):
                scores = self._scorer.head(states[list(items[i].positions)]).tolist()
                results[i] = Reading(tuple(scores), len(text))
        return [results[i] for i in range(len(items))]


@dataclass(slots=True, eq=False)
class InputRow:
    """An input that is to be read in a slot."""

    ids: TokenIds  # all its tokens
    keys: dict[int, bytes]  # of its scores, by position
    num_reusable: int = 0  # tokens before the first score that is missing
    num_read: int = 0
    done: bool = False


class SlotReader:
    """Reads inputs in the slots of a model's cache, up to `batch_size` (<= slots) at a time.
    head: hidden states [n, size] to scores [n]."""

    def __init__(self, model: SlotModel, head: Layer, batch_size: int) -> None:
        self._model = model
        self._head = head
        self._batch_size = batch_size
        self._known: dict[bytes, float] = {}
        self._table: SlotTable[InputRow] = model.new_table(batch_size)

    def read(self, items: Sequence[Input]) -> list[Reading]:
        """Return the scores of each input, in order; `num_tokens` counts what was new in it."""
        make_room(self._known)
        is_long = self._model.rope.is_long
        rows = [InputRow(x.token_ids, prefix_keys(x, is_long(len(x.token_ids)))) for x in items]
        queue = deque(rows)
        try:
            while queue := deque(filter(self._lacks_scores, queue)):
                self._table.admit(queue)
                self._read_active()
        except BaseException:
            # A forward that broke has not written what the slots say.
            self._table = self._model.new_table(self._batch_size)
            raise
        return [
            Reading(tuple(self._known[row.keys[p]] for p in item.positions), row.num_read)
            for item, row in zip(items, rows, strict=True)
        ]

    def _lacks_scores(self, row: InputRow) -> bool:
        """Whether a row has a score to be read; note up to where it may be reused."""
        missing = [place for place, key in row.keys.items() if key not in self._known]
        row.num_reusable = min(missing, default=0)
        return bool(missing)

    def _read_active(self) -> None:
        active = self._table.active
        rows = [slot.row for slot in active if slot.row is not None]
        for slot, row in zip(active, rows, strict=True):
            row.num_read, row.done = slot.behind, True
        while any(slot.behind for slot in active):
            feeds = self._table.feed(self._table.next_chunk(keep=0, most=READ_TOKENS))
            hidden = self._model.forward(feeds).last_hidden_state
            for states, feed in zip(hidden, feeds, strict=True):
                keys, end = rows[feed.slot].keys, feed.start + len(feed.token_ids)
                here = [place for place in keys if feed.start <= place < end]
                scores = self._head(states[[place - feed.start for place in here]]).tolist()
                self._known.update(zip((keys[place] for place in here), scores, strict=True))


def fit_reader(scorer: Scorer, batch_size: int, max_length: int) -> SlotReader | PaddedReader:
    """Return a reader that reuses prefixes if it is exact for this model, else a plain one."""
    try:
        model = SlotModel(scorer.backbone)
        model.cache = SlotCache(2 * batch_size, max_length)
        difference = probe(model, lambda output: output.last_hidden_state, max_length)
        if is_exact(difference, model.dtype):
            model.cache = SlotCache(2 * batch_size, max_length, model.max_tokens())
            return SlotReader(model, scorer.head, batch_size)
        reason = f"hidden states differ by {difference:.1%}"
    except Exception as error:  # whatever a model's code raises
        reason = f"{type(error).__name__}: {error}"
    logger.warning("the reward model reads every response anew, as prefixes differ (%s)", reason)
    return PaddedReader(scorer, batch_size)
