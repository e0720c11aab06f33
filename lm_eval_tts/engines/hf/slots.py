"""Which sequence is at work in which slot of the cache, whose prefix it finds, what to feed next.

To continue a sequence is to go on in the slot that holds it; to retract or to fork is to copy the
common part to another slot, so a prefix survives the sequences that leave it. Idle prefixes stay
while there is room, and the least recently used one goes first. Knows ids and places, no model."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from lm_eval_tts.engines.hf.slot_cache import SlotCache
from lm_eval_tts.engines.requests import common_prefix

WORTH_COPYING = 8  # tokens of a common prefix; to compute fewer is cheaper than to copy them
WORTH_WAITING = 32  # tokens of a prefix that another row is about to compute; worth a step's delay
CHUNK_TOKENS = 512  # of one row in one forward: attention scores grow with its square


class SlotUser(Protocol):
    """A sequence that wants a slot."""

    @property
    def ids(self) -> Sequence[int]:
        """Its tokens; more may be appended while it is at work."""

    @property
    def done(self) -> bool:
        """Whether it no longer needs its slot."""

    @property
    def num_reusable(self) -> int:
        """Tokens from the left that need not be fed where their keys are known; not all of them."""


_User = TypeVar("_User", bound=SlotUser)


class Feed(NamedTuple):
    """Tokens for one slot; the keys of all that is before them are there."""

    slot: int
    start: int  # position of the first of these tokens
    token_ids: Sequence[int]
    long: bool = False  # its keys are rotated by the long factors of "longrope"


@dataclass(slots=True, eq=False)
class Slot(Generic[_User]):
    """A place in the cache."""

    ids: Sequence[int] = ()
    cached: int = 0  # tokens of `ids`, from the left, whose keys are in it
    row: _User | None = None  # the sequence at work, with the same `ids`; None: it keeps a prefix
    long: bool = False  # its keys are rotated by the long factors of "longrope"
    last_used: int = 0  # by the clock of the table

    @property
    def behind(self) -> int:
        """Tokens to feed before the next one can be sampled."""
        return len(self.ids) - self.cached


class Prefix(NamedTuple):
    """The first `length` tokens of a slot, where a row can go on from."""

    slot: int
    length: int


class SlotTable(Generic[_User]):
    """The slots of one cache; the active ones are the first, so a forward need not copy them.
    max_active: rows at work at once; the slots beyond it are where idle prefixes survive.
    is_long: whether a sequence of this many tokens is rotated by the long factors."""

    def __init__(self, cache: SlotCache, max_active: int, is_long: Callable[[int], bool]) -> None:
        self.slots: list[Slot[_User]] = [Slot() for _ in range(cache.num_slots)]
        self._max_active = max_active
        self._cache = cache
        self._is_long = is_long
        self._clock = 0

    @property
    def active(self) -> list[Slot[_User]]:
        """The slots with a row at work."""
        return [slot for slot in self.slots if slot.row is not None]

    def next_chunk(self, keep: int, most: int) -> dict[int, int]:
        """Return some active slots that have more than `keep` tokens to feed, and how many of each.
        Those with the fewest left first, whose padding is the least; at most `most` tokens in all,
        padding included, but for a slot alone."""
        left = {i: slot.behind - keep for i, slot in enumerate(self.active) if slot.behind > keep}
        counts = [(i, min(left[i], CHUNK_TOKENS)) for i in sorted(left, key=lambda i: left[i])]
        size = max(1, sum(count * n <= most for n, (_, count) in enumerate(counts, 1)))
        return dict(counts[:size])

    def feed(self, counts: Mapping[int, int]) -> list[Feed]:
        """Return the next tokens of slots, so many of each, which are from now on cached. Where
        long sequences need it, memory takes the last idle slots away."""
        longest = max(self.slots[index].cached + count for index, count in counts.items())
        del self.slots[self._cache.reserve(longest, max(len(self.active), max(counts) + 1)) :]
        feeds = []
        for index, count in counts.items():
            slot = self.slots[index]
            ids = slot.ids[slot.cached : slot.cached + count]
            feeds.append(Feed(index, slot.cached, ids, slot.long))
            slot.cached += count
        return feeds

    def padding(self, rows: int) -> list[Feed]:
        """Return rows of padding for the slots after the active ones, up to this many in all."""
        long = all(slot.long for slot in self.active)  # a step with one kind of RoPE keeps it
        return [Feed(i, self.slots[i].cached, (), long) for i in range(len(self.active), rows)]

    def admit(self, queue: deque[_User]) -> None:
        """Free the slots of rows that are done, and give waiting rows one while there is room.
        Longest first: forks of one text then find their keys in the slot of a longer fork, when the
        text itself has been overwritten; and rows at work together have similar lengths."""
        self._clock += 1
        for slot in self.slots:
            if slot.row is not None and slot.row.done:
                slot.row = None
        free = min(self._max_active, len(self.slots)) - len(self.active)
        if free and queue:
            rows = [row for row in queue if not row.done]
            later = self._place_some(sorted(rows, key=lambda row: -len(row.ids)), free)
            queue.clear()
            queue.extend(later)
        self._compact()

    def _place_some(self, rows: list[_User], free: int) -> list[_User]:
        """Place up to `free` rows and return the others. A row that shares a prefix with one placed
        just now can copy it when that one has computed it."""
        waiting = {row: self._longest_prefix(row) for row in rows[: free + self._max_active]}
        placed: list[_User] = []
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
        Else the one whose content waiting rows would miss least, then the least recently used."""
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

    def _place(self, row: _User, prefix: Prefix, target: int) -> None:
        """Start a row in a slot, with a copy of its prefix if that is elsewhere and worth it."""
        slot, length = self.slots[target], prefix.length
        if target != prefix.slot and length >= WORTH_COPYING:
            self._cache.copy(prefix.slot, target, length)
            self.slots[prefix.slot].last_used = self._clock
        elif target != prefix.slot:
            length = 0
        slot.ids, slot.cached, slot.row = row.ids, length, row
        slot.long, slot.last_used = self._is_long(len(row.ids)), self._clock

    def _longest_prefix(self, row: _User) -> Prefix:
        most, long = row.num_reusable, self._is_long(len(row.ids))
        best, longest = 0, 0
        for index, slot in enumerate(self.slots):
            if slot.cached <= longest or slot.long != long or slot.ids[longest] != row.ids[longest]:
                continue  # it cannot share more than the best so far
            length = min(common_prefix(slot.ids, row.ids), slot.cached, most)
            if length > longest:
                best, longest = index, length
        return Prefix(best, longest)

    def _compact(self) -> None:
        """Fill holes among the active slots with the last active ones."""
        active = [index for index, slot in enumerate(self.slots) if slot.row is not None]
        holes = [i for i in range(len(active)) if self.slots[i].row is None]
        for hole, last in zip(holes, reversed(active), strict=False):
            a, b = self.slots[hole], self.slots[last]
            self._cache.swap(hole, last, max(a.cached, b.cached))
            self.slots[hole], self.slots[last] = b, a
