"""Which sequence is at work in which slot of the cache, and whose prefix it finds there.

To continue a sequence is to go on in the slot that holds it; to retract or to fork is to copy the
common part to another slot, so that a prefix survives those who leave it. Idle prefixes stay while
there is room, and the least recently used one goes first. Knows ids and places, no model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from lm_eval_tts.engines.requests import Row

WORTH_COPYING = 8  # tokens of a common prefix; a shorter one is computed anew
WORTH_WAITING = 32  # tokens of a prefix that another row is about to compute


class Cache(Protocol):
    """What is asked of the memory behind the slots."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of a slot to another."""

    def swap(self, a: int, b: int, length: int) -> None:
        """Exchange the first `length` tokens of two slots."""


@dataclass(slots=True, eq=False)
class Slot:
    """A place in the cache. It holds the keys of the first `cached` of its `ids`.

    row: the sequence at work in it, whose `ids` it shares; None while it only keeps a prefix.
    long: its keys are rotated by the long factors of "longrope".
    """

    ids: list[int] = field(default_factory=list)
    cached: int = 0
    row: Row | None = None
    long: bool = False
    last_used: int = 0

    @property
    def behind(self) -> int:
        """Tokens to feed before the next one can be sampled."""
        return len(self.ids) - self.cached


class Prefix(NamedTuple):
    """The first `length` tokens of a slot, where a row can go on from."""

    slot: int
    length: int


class SlotTable:
    """The slots of one cache; the active ones are the first, so a forward need not copy them.

    max_active: rows at work at once; the slots beyond it are where idle prefixes survive.
    is_long: whether a sequence of so many tokens is rotated by the long factors.
    """

    def __init__(
        self, num_slots: int, max_active: int, cache: Cache, is_long: Callable[[int], bool]
    ) -> None:
        self.slots = [Slot() for _ in range(num_slots)]
        self.num_active = 0
        self._max_active = max_active
        self._cache = cache
        self._is_long = is_long
        self._clock = 0

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def active(self) -> list[Slot]:
        """The slots with a row at work."""
        return self.slots[: self.num_active]

    def admit(self, queue: deque[Row]) -> None:
        """Free the slots of rows that are done, and give waiting rows one while there is room.

        Longest first: forks of one text then find their keys in the slot of a longer fork, when the
        text itself has been overwritten; and rows that are at work together are of like length.
        """
        self._clock += 1
        for slot in self.slots:
            if slot.row is not None and slot.row.done:
                slot.row = None
        free = self._max_active - sum(slot.row is not None for slot in self.slots)
        if free and queue:
            rows = [row for row in queue if not row.done]
            rows.sort(key=lambda row: len(row.ids), reverse=True)
            later = self._place_some(rows, free)
            queue.clear()
            queue.extend(later)
        self._compact()

    def _place_some(self, rows: list[Row], free: int) -> list[Row]:
        """Place up to `free` rows and return the others.

        Who shares a prefix with a row placed just now can copy it when that one has computed it.
        """
        waiting = {row: self._longest_prefix(row) for row in rows[: free + self._max_active]}
        placed: list[Row] = []
        for row in rows[:free]:
            prefix = waiting[row]
            if any(common_prefix(r.ids, row.ids) > prefix.length + WORTH_WAITING for r in placed):
                continue
            del waiting[row]
            target = self._choose(prefix, waiting.values())
            self._place(row, prefix, target)
            placed.append(row)
            for other, its in waiting.items():
                if its.slot == target:
                    waiting[other] = self._longest_prefix(other)
        return [row for row in rows[:free] if row not in placed] + rows[free:]

    def _choose(self, prefix: Prefix, waiting: Iterable[Prefix]) -> int:
        """Return the idle slot for a row: the one of its prefix, if that is all that is in it.

        Otherwise the one whose content waiting rows would miss least, then the least recently used.
        """
        source = self.slots[prefix.slot]
        if source.row is None and 0 < prefix.length == source.cached:
            return prefix.slot
        needed = [0] * len(self.slots)
        for slot, length in waiting:
            needed[slot] = max(needed[slot], length)

        def loss(index: int) -> tuple[int, bool, bool, int]:
            kept = prefix.length if index == prefix.slot else 0
            slot = self.slots[index]
            return max(0, needed[index] - kept), kept > 0, slot.cached > 0, slot.last_used

        return min((i for i, slot in enumerate(self.slots) if slot.row is None), key=loss)

    def _place(self, row: Row, prefix: Prefix, target: int) -> None:
        """Start a row in a slot, with a copy of its prefix if that is elsewhere and worth it."""
        source, slot = self.slots[prefix.slot], self.slots[target]
        length = prefix.length
        if target != prefix.slot:
            length = length if length >= WORTH_COPYING else 0
            if length:
                self._cache.copy(prefix.slot, target, length)
                source.last_used = self._clock
        slot.ids, slot.cached, slot.row = row.ids, length, row
        slot.long = self._is_long(len(row.ids))
        slot.last_used = self._clock

    def _longest_prefix(self, row: Row) -> Prefix:
        """Find the slot that shares most with a row.

        At least one token must be fed to get logits.
        """
        long = self._is_long(len(row.ids))
        best, longest = 0, 0
        for index, slot in enumerate(self.slots):
            if slot.cached <= longest or slot.long != long:
                continue
            if slot.ids[longest] != row.ids[longest]:
                continue  # it cannot share more than the best so far
            length = min(common_prefix(slot.ids, row.ids), slot.cached, len(row.ids) - 1)
            if length > longest:
                best, longest = index, length
        return Prefix(best, longest)

    def _compact(self) -> None:
        """Fill holes among the active slots with the last active ones."""
        active = [index for index, slot in enumerate(self.slots) if slot.row is not None]
        self.num_active = len(active)
        holes = [i for i in range(len(active)) if self.slots[i].row is None]
        for hole, last in zip(holes, reversed(active), strict=False):
            a, b = self.slots[hole], self.slots[last]
            self._cache.swap(hole, last, max(a.cached, b.cached))
            self.slots[hole], self.slots[last] = b, a


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many leading items two lists share."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
