"""Reads only what is new: in a search, each response continues one that was read before.

Inputs live in the slots of one cache, as the engine's sequences do: each continues in the slot that
it extends, or starts from a copy of what it shares with another."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from lm_eval_tts.core.program import TokenIds
from lm_eval_tts.engines.hf.slot_model import SlotModel
from lm_eval_tts.engines.hf.slots import SlotTable
from lm_eval_tts.reward_models.inputs import Input, Reading
from lm_eval_tts.reward_models.known import KnownScores

READ_TOKENS = 2048  # of all rows in one forward, padding included: there is no step to wait for


@dataclass(slots=True, eq=False)
class InputRow:
    """An input that is to be read in a slot."""

    item: Input
    long: bool  # its keys are rotated by the long factors of "longrope"
    num_reusable: int = 0  # tokens before the first score that is missing
    num_read: int = 0
    done: bool = False

    @property
    def ids(self) -> TokenIds:
        """All its tokens."""
        return self.item.token_ids


class SlotReader:
    """Reads inputs in the slots of a model's cache, up to `batch_size` (<= slots) at a time.
    head: hidden states [n, size] to scores [n]."""

    def __init__(
        self, model: SlotModel, head: Callable[[torch.Tensor], torch.Tensor], batch_size: int
    ) -> None:
        self._model = model
        self._head = head
        self._batch_size = batch_size
        self._known = KnownScores()
        self._table: SlotTable[InputRow] = model.new_table(batch_size)

    def read(self, items: Sequence[Input]) -> list[Reading]:
        """Return the scores of each input, in order; `num_tokens` counts what was new in it."""
        self._known.make_room()
        paths = [InputRow(item, self._model.rope.is_long(len(item.token_ids))) for item in items]
        queue = deque(paths)
        try:
            while queue := self._unknown(queue):
                self._table.admit(queue)
                self._read_active()
        except BaseException:
            # A forward that broke has not written what the slots say.
            self._table = self._model.new_table(self._batch_size)
            raise
        return [Reading(self._known.of(path.item, path.long), path.num_read) for path in paths]

    def _unknown(self, queue: deque[InputRow]) -> deque[InputRow]:
        """Return those that have a score to be read, and note up to where they may be reused."""
        unknown: deque[InputRow] = deque()
        for path in queue:
            if missing := self._known.missing(path.item, path.long):
                path.num_reusable = missing[0]
                unknown.append(path)
        return unknown

    def _read_active(self) -> None:
        """Read what is new in the slots at work."""
        working = [(slot, slot.row) for slot in self._table.active if slot.row is not None]
        for slot, path in working:
            path.num_read = slot.behind
        while any(slot.behind for slot, _ in working):
            self._read_chunk()
        for _, path in working:
            path.done = True

    def _read_chunk(self) -> None:
        """Feed a chunk, and note the scores that are in it."""
        feeds = self._table.feed(self._table.next_chunk(keep=0, most=READ_TOKENS))
        hidden = self._model.forward(feeds).last_hidden_state
        for row, feed in enumerate(feeds):
            path, end = self._table.slots[feed.slot].row, feed.start + len(feed.token_ids)
            if path is None:
                continue
            here = [p for p in path.item.positions if feed.start <= p < end]
            if here:
                scores = self._head(hidden[row, [p - feed.start for p in here]]).tolist()
                self._known.note(path.item, dict(zip(here, scores, strict=True)), path.long)
