"""Reads only what is new: in a search, each response goes on from one that was read before.

Inputs live in the slots of one cache, as the engine's sequences do, together with the scores that
were read on the way. An input goes on in the slot that it extends, or starts from a copy of what
it shares with another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from lm_eval_tts.engines.hf.slot_model import Feed, SlotModel
from lm_eval_tts.engines.hf.slots import WORTH_COPYING, WORTH_WAITING, common_prefix
from lm_eval_tts.reward_models.inputs import Input, Reading

CHUNK_TOKENS = 512  # of one row in one forward
FORWARD_TOKENS = 2048  # of all rows in one forward, padding included
NOTHING = Input((), ())


@dataclass(slots=True, eq=False)
class Slot:
    """Holds the keys of the first `cached` tokens of an input, and the scores read in them.

    scores: by position. long: the keys are rotated by the long factors of "longrope".
    """

    item: Input = NOTHING
    cached: int = 0
    scores: dict[int, float] = field(default_factory=dict)
    long: bool = False
    last_used: int = 0

    @property
    def behind(self) -> int:
        """Tokens to read."""
        return len(self.item.token_ids) - self.cached

    def usable(self, item: Input, long: bool) -> int:
        """Return how many leading tokens of an input need not be read, as their scores are here."""
        if long != self.long:
            return 0
        shared = min(common_prefix(self.item.token_ids, item.token_ids), self.cached)
        return next((p for p in item.positions if p < shared and p not in self.scores), shared)


class SlotReader:
    """Reads inputs in the slots of a model's cache, up to `batch_size` (<= slots) at a time.

    head: hidden states [n, size] to scores [n].
    """

    def __init__(
        self, model: SlotModel, head: Callable[[torch.Tensor], torch.Tensor], batch_size: int
    ) -> None:
        self._model = model
        self._head = head
        self._batch_size = batch_size
        self._slots = [Slot() for _ in range(model.cache.num_slots)]
        self._clock = 0

    def read(self, items: Sequence[Input]) -> list[Reading]:
        """Return the scores of each input, in order; `num_tokens` counts what was new in it."""
        results: dict[int, Reading] = {}
        sources = {id(slot) for item in items for slot, n in [self._longest_prefix(item)] if n}
        waiting = sorted(range(len(items)), key=lambda i: len(items[i].token_ids))
        while waiting:
            batch = self._place_all(waiting, items, sources)
            unread = {i: slot.behind for i, slot in batch.items()}
            self._catch_up(list(batch.values()))
            for i, slot in batch.items():
                scores = tuple(slot.scores[p] for p in items[i].positions)
                results[i] = Reading(scores, unread[i])
            waiting = [i for i in waiting if i not in batch]
        return [results[i] for i in range(len(items))]

    def _place_all(
        self, waiting: Sequence[int], items: Sequence[Input], sources: set[int]
    ) -> dict[int, Slot]:
        """Give inputs slots; who shares much with one placed just now waits until it is read.

        sources: ids of slots that had prefixes of these inputs, the last ones to be overwritten.
        """
        self._clock += 1
        batch: dict[int, Slot] = {}
        for i in waiting:
            if len(batch) == self._batch_size:
                break
            best, length = self._longest_prefix(items[i])
            ids = items[i].token_ids
            coming = (common_prefix(slot.item.token_ids, ids) for slot in batch.values())
            if max(coming, default=0) <= length + WORTH_WAITING:
                batch[i] = self._place(items[i], best, length, sources)
        return batch

    def _longest_prefix(self, item: Input) -> tuple[Slot, int]:
        """Return the slot that shares most with an input, and how many tokens of it are of use."""
        long = self._model.rope.is_long(len(item.token_ids))
        best = max(self._slots, key=lambda slot: slot.usable(item, long))
        return best, best.usable(item, long)

    def _place(self, item: Input, best: Slot, length: int, sources: set[int]) -> Slot:
        """Go on in a slot that the input extends, else in the one unused for longest."""
        idle = [slot for slot in self._slots if slot.last_used < self._clock]
        if length == best.cached and best in idle:
            target = best
        else:
            target = min(idle, key=lambda slot: (id(slot) in sources, slot.last_used))
            length = length if length >= WORTH_COPYING else 0
            self._model.cache.copy(self._slots.index(best), self._slots.index(target), length)
        known = {p: score for p, score in best.scores.items() if p < length}
        target.item, target.cached, target.scores = item, length, known
        target.long = self._model.rope.is_long(len(item.token_ids))
        target.last_used = self._clock
        return target

    def _catch_up(self, slots: list[Slot]) -> None:
        """Read what is new in these slots, in chunks, those that are done first first."""
        while slots := sorted((s for s in slots if s.behind), key=lambda slot: slot.behind):
            counts = [min(slot.behind, CHUNK_TOKENS) for slot in slots]
            size = max(1, sum(c * n <= FORWARD_TOKENS for n, c in enumerate(counts, 1)))
            self._read(slots[:size], counts[:size])

    def _read(self, slots: Sequence[Slot], counts: Sequence[int]) -> None:
        """Feed `counts` tokens to each of these slots, and note the scores that are in them."""
        feeds = []
        for slot, count in zip(slots, counts, strict=True):
            ids = slot.item.token_ids[slot.cached : slot.cached + count]
            feeds.append(Feed(self._slots.index(slot), slot.cached, ids, slot.long))
        hidden = self._model.forward(feeds).last_hidden_state
        for row, (slot, count) in enumerate(zip(slots, counts, strict=True)):
            start, slot.cached = slot.cached, slot.cached + count
            here = [p for p in slot.item.positions if start <= p < slot.cached]
            scores = self._head(hidden[row, [p - start for p in here]]) if here else hidden[:0]
            slot.scores.update(zip(here, scores.tolist(), strict=True))
