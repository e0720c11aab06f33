"""The key-value memory of many sequences of different lengths, as one transformers cache.

Each sequence owns a slot: row `s` of every layer's buffers [slots, heads, capacity, head size],
which are where the layer is. A forward names the slots it computes and where its tokens go; keys
and values come back as a window over those slots. Padding goes to the place after a slot's last
token, which no token of the forward sees and the next one overwrites. Knows no sequences, only
slots and positions."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from lm_eval_tts.engines.hf.memory import CacheFull, zeros_like
from lm_eval_tts.engines.hf.transfer import Numbers

GROWTH = 256  # capacity grows in steps of this many tokens, and at least by half


class SlotLayer(CacheLayerMixin):
    """One layer's buffers, allocated at the first forward from the shapes that it brings."""

    def __init__(self, cache: "SlotCache") -> None:
        super().__init__()
        self._cache = cache
        self.is_initialized = False  # transformers before 4.57 does not say so
        self.keys: torch.Tensor
        self.values: torch.Tensor

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate zeros, never empty memory: a masked NaN in a value still gives NaN."""
        self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        self.resize(self._cache.num_slots, self._cache.capacity)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new keys and values [batch, heads, tokens, size] and return the window."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        numbers = self._cache.numbers.to(key_states.device)
        slots, places = numbers["slots"], numbers["places"]
        self.keys[slots, :, places] = key_states.transpose(1, 2)
        self.values[slots, :, places] = value_states.transpose(1, 2)
        seen = self._cache.rows or slots[:, 0], slice(None), slice(self._cache.width)
        return self.keys[seen], self.values[seen]

    def resize(self, num_slots: int, capacity: int) -> None:
        """Give the first slots room for more tokens; old and new are both there for one buffer."""
        self.keys = _resized(self.keys, num_slots, capacity)
        self.values = _resized(self.values, num_slots, capacity)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return width and offset of the keys; the engine brings its own masks."""
        return self._cache.width, 0

    def get_seq_length(self) -> int:
        """Return 0: positions are always given."""
        return 0

    def get_max_length(self) -> int:
        """Return -1: there is no maximum of its own."""
        return -1

    get_max_cache_shape = get_max_length  # its name in transformers 4


def _resized(buffer: torch.Tensor, num_slots: int, capacity: int) -> torch.Tensor:
    _, heads, length, size = buffer.shape
    resized = zeros_like(buffer, num_slots, heads, capacity, size)
    resized[: len(buffer), :, :length] = buffer[:num_slots]
    return resized


class SlotCache(Cache):
    """All layers' buffers; layers that a model shares among others are simply never made.
    num_slots: at first; idle ones are given up where long sequences need their memory.
    max_tokens: tokens of all slots together that memory allows; None until it is known."""

    def __init__(self, num_slots: int, max_length: int, max_tokens: int | None = None) -> None:
        self.num_slots = num_slots
        self._max_tokens = sys.maxsize if max_tokens is None else max_tokens
        self.max_capacity = min(max_length + 1, self._max_tokens)  # with the place of padding
        self.capacity = min(GROWTH, self._most(num_slots))
        super().__init__(layer_class_to_replicate=lambda: SlotLayer(self))

    def show(self, numbers: Numbers, rows: slice | None, width: int) -> None:
        """Note what the next forward reads and writes.
        numbers: "slots" [batch, 1] and "places" [batch, tokens] in them, where new tokens go; rows:
        the slots of the batch if they are the first, which need no copy; width: keys to read."""
        self.numbers, self.rows, self.width = numbers, rows, width

    def fits(self, num_slots: int, length: int) -> bool:
        """Whether memory allows this many sequences of this many tokens."""
        return length < self._most(num_slots)

    def _most(self, num_slots: int) -> int:
        return max(1, min(self.max_capacity, self._max_tokens // num_slots))

    def bytes_per_token(self) -> Mapping[torch.device, float]:
        """Return the memory that a token takes on each device; empty before the first forward."""
        sizes: Counter[torch.device] = Counter()
        for buffer in self._buffers():
            sizes[buffer.device] += buffer.nbytes
        tokens = self.num_slots * self.capacity
        return {device: size / tokens for device, size in sizes.items()}

    def _filled(self) -> list[SlotLayer]:
        return [layer for layer in self.layers if layer.is_initialized]

    def _buffers(self) -> Iterator[torch.Tensor]:
        return (buffer for layer in self._filled() for buffer in (layer.keys, layer.values))

    def reserve(self, length: int, needed: int) -> int:
        """Make room for sequences of `length` tokens and return how many slots are left.
        needed: slots that are kept, the first ones. Raises CacheFull if they do not fit."""
        if length < self.capacity:
            return self.num_slots
        if not self.fits(needed, length):
            raise CacheFull(f"{needed} sequences of {length} tokens do not fit into memory")
        wanted = -(-max(length + 1, self.capacity * 3 // 2) // GROWTH) * GROWTH
        if not self.fits(self.num_slots, length):
            self.num_slots = max(needed, self._max_tokens // wanted)
        self.capacity = min(wanted, self._most(self.num_slots))
        for layer in self._filled():
            layer.resize(self.num_slots, self.capacity)
        return self.num_slots

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of a slot to another."""
        for buffer in self._buffers():
            buffer[target, :, :length] = buffer[source, :, :length]

    def swap(self, a: int, b: int, length: int) -> None:
        """Exchange the first `length` tokens of two slots."""
        for buffer in self._buffers():
            kept = buffer[a, :, :length].clone()
            buffer[a, :, :length] = buffer[b, :, :length]
            buffer[b, :, :length] = kept

    def clear(self, slot: int) -> None:
        """Zero a slot: a NaN would reach its next user, masked or not."""
        for buffer in self._buffers():
            buffer[slot].zero_()
