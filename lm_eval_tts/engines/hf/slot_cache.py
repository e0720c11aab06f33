"""The key-value memory of many sequences of different lengths, as one transformers cache.

Each sequence owns a slot: row `s` of every layer's buffers [slots + 1, heads, capacity, head size].
The last row is scratch, where padding is written. A forward names the slots it computes and where
its tokens go; keys and values come back as a window over those slots. Knows no sequences, only
slots and positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from lm_eval_tts.engines.hf.memory import CacheFull

GROWTH = 256  # capacity grows in steps of this many tokens, and at least by half


@dataclass(slots=True)
class SlotWindow:
    """What one forward reads and writes."""

    rows: slice | torch.Tensor  # the slots of the batch; a slice if they are the first: no copy
    slots: torch.Tensor  # [batch, tokens], where each new token is written
    positions: torch.Tensor  # [batch, tokens], and at which place in its slot
    width: int  # keys to read


class SlotLayer(CacheLayerMixin):
    """One layer's buffers, allocated at the first forward from the shapes that it brings."""

    def __init__(self, cache: SlotCache) -> None:
        super().__init__()
        self._cache = cache
        self.is_initialized = False  # transformers before 4.57 does not say so
        self.keys: torch.Tensor
        self.values: torch.Tensor

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate zeros, never empty memory: a masked NaN in a value still gives NaN."""
        self.keys = self._zeros_like(key_states)
        self.values = self._zeros_like(value_states)
        self.is_initialized = True

    def _zeros_like(self, states: torch.Tensor) -> torch.Tensor:
        _, heads, _, size = states.shape
        return states.new_zeros(self._cache.num_slots + 1, heads, self._cache.capacity, size)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new keys and values [batch, heads, tokens, size] and return the window."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        window = self._cache.window
        self.keys[window.slots, :, window.positions] = key_states.transpose(1, 2)
        self.values[window.slots, :, window.positions] = value_states.transpose(1, 2)
        seen = window.rows, slice(None), slice(window.width)
        return self.keys[seen], self.values[seen]

    def grow(self, capacity: int) -> None:
        """Give every slot room for more tokens."""
        self.keys = _grown(self.keys, capacity)
        self.values = _grown(self.values, capacity)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return width and offset of the keys; the engine brings its own masks."""
        return self._cache.window.width, 0

    def get_seq_length(self) -> int:
        """Return 0: positions are always given."""
        return 0

    def get_max_length(self) -> int:
        """Return -1: there is no maximum of its own."""
        return -1

    get_max_cache_shape = get_max_length  # its name in transformers 4


def _grown(buffer: torch.Tensor, capacity: int) -> torch.Tensor:
    slots, heads, length, size = buffer.shape
    grown = buffer.new_zeros(slots, heads, capacity, size)
    grown[:, :, :length] = buffer
    return grown


class SlotCache(Cache):
    """All layers' buffers; layers that a model shares among others are simply never made.

    max_tokens: tokens of all slots together, scratch included, that memory allows; None until it
    is known.
    """

    window: SlotWindow

    def __init__(self, num_slots: int, max_length: int, max_tokens: int | None = None) -> None:
        self.num_slots = num_slots
        fit = max_length if max_tokens is None else max_tokens // (num_slots + 1)
        self.max_capacity = min(max_length, fit)
        self.capacity = min(GROWTH, self.max_capacity)
        super().__init__(layer_class_to_replicate=lambda: SlotLayer(self))

    @property
    def scratch(self) -> int:
        """The slot where padding is written."""
        return self.num_slots

    @property
    def num_bytes(self) -> int:
        """Memory of the buffers as they are now."""
        return sum(t.nbytes for layer in self._filled() for t in (layer.keys, layer.values))

    @property
    def bytes_per_token(self) -> float:
        """Memory that a token takes in all layers; 0.0 before the first forward."""
        return self.num_bytes / ((self.num_slots + 1) * self.capacity)

    def _filled(self) -> list[SlotLayer]:
        return [layer for layer in self.layers if layer.is_initialized]

    def reserve(self, length: int) -> None:
        """Make room for sequences of `length` tokens (at most `max_length`).

        Raises CacheFull if that is more than memory allows for all slots.
        """
        if length > self.max_capacity:
            raise CacheFull(f"{self.num_slots} slots of {length} tokens do not fit into memory")
        if length <= self.capacity:
            return
        wanted = -(-max(length, self.capacity * 3 // 2) // GROWTH) * GROWTH
        self.capacity = min(wanted, self.max_capacity)
        for layer in self._filled():
            layer.grow(self.capacity)

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of a slot to another."""
        for layer in self._filled():
            layer.keys[target, :, :length] = layer.keys[source, :, :length]
            layer.values[target, :, :length] = layer.values[source, :, :length]

    def swap(self, a: int, b: int, length: int) -> None:
        """Exchange the first `length` tokens of two slots."""
        for layer in self._filled():
            for buffer in (layer.keys, layer.values):
                kept = buffer[a, :, :length].clone()
                buffer[a, :, :length] = buffer[b, :, :length]
                buffer[b, :, :length] = kept

    def clear(self, slot: int) -> None:
        """Make a slot zero: what is not a number would reach who has it next, masked or not."""
        for layer in self._filled():
            layer.keys[slot].zero_()
            layer.values[slot].zero_()
