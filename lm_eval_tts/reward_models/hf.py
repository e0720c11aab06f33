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
from lm_eval_tts.engines.hf.probe import is_exact, probe
from lm_eval_tts.engines.hf.slot_cache import SlotCache
from lm_eval_tts.engines.hf.slot_model import SlotModel
from lm_eval_tts.engines.hf.slots import SlotTable
from lm_eval_tts.errors import RequestError
from lm_eval_tts.reward_models.checkpoint import CheckpointModel, KnownScores
from lm_eval_tts.reward_models.families import Family, Layer
from lm_eval_tts.reward_models.inputs import Input, Reading, Words

logger = logging.getLogger(__name__)

UNBOUNDED = 1 << 30  # tokens, where a config gives no length
READ_TOKENS = 2048  # of all rows in one forward, padding included: there is no step to wait for


class Scorer(NamedTuple):
    """A loaded reward model in two parts."""

    backbone: Any  # a decoder: token ids to hidden states
    head: Layer  # hidden states [n, size] to scores [n]
    weights: str = ""  # a digest of those of both, and of the config


def load_hf(
    name: str, family: Family, words: Words, device: str | None, batch_size: int, **code: Any
) -> "HFRewardModel":
    """Load a checkpoint; arguments and errors as of `Head.load`. device: None is a GPU, if any."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    head = family.head
    with without_bars(name):
        model, layer = head.load(name, words.tokenizer, device_map=device, **code)
    weights = f"{weights_digest(model)}-{config_digest(model)}"
    scorer = Scorer(model.base_model, lambda hidden: head.scores(layer(hidden)), weights)
    pad = scorer.backbone.config.get_text_config().pad_token_id
    return HFRewardModel(scorer, family, replace(words, pad_token_id=pad), batch_size)


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
        model, texts = self._scorer.backbone, [torch.tensor(item.token_ids) for item in items]
        ids = pad_sequence(texts, batch_first=True).to(model.device)
        mask = pad_sequence([torch.ones_like(x) for x in texts], batch_first=True).to(model.device)
        hidden = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        scores = [self._scorer.head(hidden[row, list(x.positions)]) for row, x in enumerate(items)]
        return [Reading(tuple(s.tolist()), len(x)) for s, x in zip(scores, texts, strict=True)]


@dataclass(slots=True, eq=False)
class InputRow:
    """An input that is to be read in a slot."""

    item: Input
    ids: TokenIds  # all its tokens
    long: bool  # its keys are rotated by the long factors of "longrope"
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
        self._known = KnownScores()
        self._table: SlotTable[InputRow] = model.new_table(batch_size)

    def read(self, items: Sequence[Input]) -> list[Reading]:
        """Return the scores of each input, in order; `num_tokens` counts what was new in it."""
        self._known.make_room()
        is_long = self._model.rope.is_long
        rows = [InputRow(x, x.token_ids, is_long(len(x.token_ids))) for x in items]
        queue = deque(rows)
        try:
            while queue := self._unknown(queue):
                self._table.admit(queue)
                self._read_active()
        except BaseException:
            # A forward that broke has not written what the slots say.
            self._table = self._model.new_table(self._batch_size)
            raise
        return [Reading(self._known.of(row.item, row.long), row.num_read) for row in rows]

    def _unknown(self, queue: deque[InputRow]) -> deque[InputRow]:
        """Return those that have a score to be read, and note up to where they may be reused."""
        unknown: deque[InputRow] = deque()
        for row in queue:
            if missing := self._known.missing(row.item, row.long):
                row.num_reusable = missing[0]
                unknown.append(row)
        return unknown

    def _read_active(self) -> None:
        """Read what is new in the slots at work."""
        working = [(slot, slot.row) for slot in self._table.active if slot.row is not None]
        for slot, row in working:
            row.num_read = slot.behind
        while any(slot.behind for slot, _ in working):
            self._read_chunk()
        for _, row in working:
            row.done = True

    def _read_chunk(self) -> None:
        """Feed a chunk, and note the scores that are in it."""
        feeds = self._table.feed(self._table.next_chunk(keep=0, most=READ_TOKENS))
        hidden = self._model.forward(feeds).last_hidden_state
        for states, feed in zip(hidden, feeds, strict=True):
            row, end = self._table.slots[feed.slot].row, feed.start + len(feed.token_ids)
            here = [p for p in row.item.positions if feed.start <= p < end] if row else []
            if row and here:
                scores = self._head(states[[p - feed.start for p in here]]).tolist()
                self._known.note(row.item, dict(zip(here, scores, strict=True)), row.long)


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
