"""A transformers model whose sequences live in the slots of one cache: ragged rows in one forward.

Each row says in which slot it is, how much of it is already there, and what comes next. Shorter
rows are padded on the right; padding is written to scratch, at position 0, and seen by no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch

from lm_eval_tts.engines.hf.attention import LongRope, Masks, grouped_heads
from lm_eval_tts.engines.hf.memory import cache_limit
from lm_eval_tts.engines.hf.slot_cache import SlotCache, SlotWindow
from lm_eval_tts.engines.hf.slots import Feed


class SlotModel:
    """A decoder-only model with its cache, its masks and its RoPE.

    model: with a language head, or the bare decoder. cache: replaced to start anew.
    """

    def __init__(self, model: Any, cache: SlotCache) -> None:
        self.model = model
        self.cache = cache
        self.rope = LongRope(model)
        self.dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
        self._masks = Masks(model.config)
        self._cache_argument = cache_argument(model)

    def forward(self, feeds: Sequence[Feed], **kwargs: Any) -> Any:
        """Feed tokens to their slots and return the model's output, [rows, longest feed, ...].

        kwargs: more arguments of the model's forward.
        """
        width = max(len(feed.token_ids) for feed in feeds)
        tokens, places, positions = [], [], []
        for slot, start, token_ids, _ in feeds:
            count, pad = len(token_ids), [0] * (width - len(token_ids))
            tokens.append([*token_ids, *pad])
            places.append([slot] * count + [self.cache.scratch] * len(pad))
            positions.append([*range(start, start + count), *pad])
        longest = max(feed.start + len(feed.token_ids) for feed in feeds)
        slots = [feed.slot for feed in feeds]
        at = self.tensor(positions)
        self.cache.reserve(longest)
        self.cache.window = SlotWindow(
            rows=slice(0, len(slots)) if slots == list(range(len(slots))) else self.tensor(slots),
            slots=self.tensor(places),
            positions=at,
            width=longest,
        )
        if self.rope.boundary:
            self.rope.long_rows = self.tensor([feed.long for feed in feeds])
        try:
            with grouped_heads(self.model):
                return self.model(
                    input_ids=self.tensor(tokens),
                    position_ids=at,
                    attention_mask=self._masks.make(at, longest, self.dtype),
                    use_cache=True,
                    **{self._cache_argument: self.cache},
                    **kwargs,
                )
        finally:
            self.rope.long_rows = None  # others use this model too

    def max_tokens(self) -> int:
        """Return how many tokens a cache may hold in the memory that is free, after a forward."""
        limit = cache_limit(p.device for p in self.model.parameters())
        return int(limit / self.cache.bytes_per_token)

    def tensor(self, values: Any) -> torch.Tensor:
        """Return values as a tensor on the model's device."""
        return torch.tensor(values, device=self.model.device)


def cache_argument(model: Any) -> str:
    """Return the name that a model's forward has for its cache; transformers 5.24 renamed it."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "cache" if "cache" in signature(inner.forward).parameters else "past_key_values"
