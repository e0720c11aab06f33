"""How much memory keys and values may take on a device, and what running out of it looks like."""

import logging
import math
import mmap
from collections.abc import Sequence

import torch

from lm_eval_tts.engines.hf.free_memory import free_bytes
from lm_eval_tts.engines.requests import BatchRow, RowEngine
from lm_eval_tts.errors import RequestError

logger = logging.getLogger(__name__)

CACHE_SHARE = 0.8  # of what is free once the weights are loaded; activations have the rest
AUTO_LENGTH = 4096  # tokens a sequence is expected to take; longer ones halve the number of slots
# Messages of a device that is full and says so in an error of no kind of its own.
FULL = (
    "out of memory",  # CUDA, HIP, XPU, MPS, with and without a full stop
    "can't allocate memory",  # of the CPU
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_SUPPORTED",  # what cuDNN says where its workspace does not fit
    "HIPBLAS_STATUS_ALLOC_FAILED",
    "cannot allocate memory",
    "OUT_OF_RESOURCES",  # Level Zero, under XPU
    "OUT_OF_DEVICE_MEMORY",
)


class CacheFull(RuntimeError):
    """The cache would outgrow its bound."""


def zeros_like(states: torch.Tensor, *shape: int) -> torch.Tensor:
    """Return zeros of this shape, dtype and device, on Linux's CPUs in huge pages: a step touches
    every slot, and with small pages it may wait for the addresses longer than for the numbers."""
    num_bytes = math.prod(shape) * states.element_size()
    if states.device.type != "cpu" or not hasattr(mmap, "MADV_HUGEPAGE"):
        return states.new_zeros(shape)
    try:
        memory = mmap.mmap(-1, num_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # no such pages in this kernel, or no memory: torch says that as ever
        return states.new_zeros(shape)
    return torch.frombuffer(memory, dtype=states.dtype).view(shape)


def cache_limit(device: torch.device) -> int:
    """Return the bytes that a cache on this device may take."""
    return int(CACHE_SHARE * free_bytes(device))


def num_seqs_within(max_tokens: int, max_length: int) -> int:
    """Return how many sequences of an expected length fit into a cache of `max_tokens` (>= 1)."""
    return max(1, max_tokens // min(max_length, AUTO_LENGTH))


def is_out_of_memory(error: Exception) -> bool:
    """Whether fewer sequences at once may help against this error."""
    if isinstance(error, (CacheFull, torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in FULL)


class HalvingEngine(RowEngine):
    """An engine that continues with half as many sequences at once where memory runs out."""

    def _halve(self, rows: Sequence[BatchRow]) -> None:
        """Let rows that did not fit wait for another turn; one that was alone has failed."""
        if self.max_num_seqs == 1:
            for row in rows:
                self._requests.fail(row, out_of_memory(len(row.ids)))
            return
        self._requests.queue.extendleft(reversed(rows))
        self.max_num_seqs //= 2
        logger.warning("out of memory: continuing with %d sequences at once", self.max_num_seqs)


def out_of_memory(num_tokens: int) -> RequestError:
    """Return the failure of a sequence that has no room even alone."""
    return RequestError(f"a sequence of {num_tokens} tokens does not fit into memory")
