"""How much memory keys and values may take on a device, and what running out of it looks like."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import psutil
import torch
from accelerate.utils.memory import should_reduce_batch_size

from lm_eval_tts.engines.requests import BatchRow, RowEngine
from lm_eval_tts.errors import RequestError

logger = logging.getLogger(__name__)

CACHE_SHARE = 0.7  # of what is free once the weights are loaded; activations have the rest
AUTO_LENGTH = 4096  # tokens a sequence is expected to take; longer ones halve the number of slots


class CacheFull(RuntimeError):
    """The cache would outgrow its bound."""


def cache_limit(devices: Iterable[torch.device]) -> int:
    """Return the bytes that a cache on these devices may take."""
    return int(CACHE_SHARE * sum(_free_bytes(device) for device in set(devices)))


def _free_bytes(device: torch.device) -> int:
    backend: Any = getattr(torch, device.type, None)  # torch.cuda, torch.xpu ...
    if hasattr(backend, "mem_get_info"):
        free, _ = backend.mem_get_info(device)
        return int(free)
    return int(psutil.virtual_memory().available)


def num_seqs_within(max_tokens: int, max_length: int) -> int:
    """Return how many sequences of an expected length fit into a cache of `max_tokens` (>= 1)."""
    return max(1, max_tokens // min(max_length, AUTO_LENGTH))


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether fewer sequences at once may help against this error."""
    known = isinstance(error, (CacheFull, torch.OutOfMemoryError))
    return known or should_reduce_batch_size(error)


class HalvingEngine(RowEngine):
    """An engine that goes on with half as many sequences at once where memory runs out."""

    def _halve(self, rows: Sequence[BatchRow]) -> None:
        """Have rows that did not fit wait for another turn; one that was alone has failed."""
        if self.max_num_seqs == 1:
            for row in rows:
                self._requests.fail(row, out_of_memory(len(row.ids)))
            return
        self._requests.queue.extendleft(reversed(rows))
        self.max_num_seqs //= 2
        logger.warning("out of memory: going on with %d sequences at once", self.max_num_seqs)


def out_of_memory(num_tokens: int) -> RequestError:
    """Return the failure of a sequence that has no room even alone."""
    return RequestError(f"a sequence of {num_tokens} tokens does not fit into memory")
