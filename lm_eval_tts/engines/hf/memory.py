"""How much memory keys and values may take on a device, what is really free there, in its allocator
and in the container that a process is in, and what running out of it looks like."""

import logging
import math
import mmap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch

from lm_eval_tts.core.engine import Output
from lm_eval_tts.engines.requests import RowEngine
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
CGROUPS = Path("/sys/fs/cgroup")
OF_THIS_PROCESS = Path("/proc/self/cgroup")
# The files with limit, use and more of a group, by its controllers: of version 2, and of version 1.
_FILES = {
    "": ("memory.max", "memory.current", "memory.stat"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"),
}


class CacheFull(RuntimeError):
    """The cache would outgrow its bound."""


def zeros_like(states: torch.Tensor, *shape: int) -> torch.Tensor:
    """Return zeros of this shape, dtype and device, on Linux's CPUs in huge pages: a step touches
    every slot, and with small pages it may wait for the addresses longer than for the numbers."""
    num_bytes = math.prod(shape) * states.element_size()
    if states.device.type == "cpu" and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # no such pages in this kernel, or no memory: torch says that
            memory = mmap.mmap(-1, num_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            memory.madvise(mmap.MADV_HUGEPAGE)
            return torch.frombuffer(memory, dtype=states.dtype).view(shape)
    return states.new_zeros(shape)


def free_bytes(device: torch.device) -> int:
    """Return the bytes that this process may still take on a device."""
    backend: Any = getattr(torch, device.type, None)  # torch.cuda, torch.xpu ...
    if hasattr(backend, "mem_get_info"):
        free, _ = backend.mem_get_info(device)
        # Blocks that the allocator holds for tensors that are gone are free for new ones.
        held = backend.memory_reserved(device) - backend.memory_allocated(device)
        return int(free + held)
    ours = [int(psutil.virtual_memory().available), *cgroup_bytes()]
    if device.type == "mps":  # it shares the memory of the system, up to a limit
        limit = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        ours.append(int(limit))
    return max(0, min(ours))


def cgroup_bytes() -> Iterator[int]:
    """Yield what each limit of the container leaves, with what its page cache would give back.
    Version 2 names one path of the process, version 1 one for its controller "memory"; inside a
    container the path may be that of the host, so its parents are read as well."""
    try:
        lines = OF_THIS_PROCESS.read_text().splitlines()
    except OSError:
        return  # no Linux
    for _, controllers, path in (line.split(":", 2) for line in lines):
        root, names = CGROUPS / controllers, _FILES.get(controllers)
        folder = root / path.lstrip("/")
        places = [place for place in (folder, *folder.parents) if place.is_relative_to(root)]
        for place in places if names else ():
            with suppress(OSError):  # a group without files has no limit
                limit, used, told = ((place / name).read_text() for name in names or ())
                if limit.strip().isdecimal():  # "max" is none
                    stat = dict(line.split() for line in told.splitlines())
                    cached = stat.get("total_inactive_file") or stat.get("inactive_file") or 0
                    yield int(limit) - int(used) + int(cached)


def is_out_of_memory(error: Exception) -> bool:
    """Whether fewer sequences at once may help against this error."""
    if isinstance(error, (CacheFull, torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in FULL)


def out_of_memory(num_tokens: int) -> RequestError:
    """Return the failure of a sequence that has no room even alone."""
    return RequestError(f"a sequence of {num_tokens} tokens does not fit into memory")


class HalvingEngine(RowEngine):
    """An engine that continues with half as many sequences at once where memory runs out."""

    def step(self) -> list[Output]:
        """Advance the sequences at work, and return the finished requests."""
        try:
            with torch.inference_mode():
                self._advance()
            return self.pop_finished()
        except Exception as error:
            if not is_out_of_memory(error):
                self._start_anew()  # a forward that broke may have written half of its states
                raise
        # Not above, where the traceback still holds tensors; what was sampled so far is kept.
        waiting = set(self.queue)
        rows = [r for some in self._rows.values() for r in some if not (r.done or r in waiting)]
        if self.max_num_seqs > 1:
            self.queue.extendleft(reversed(rows))
            self.max_num_seqs //= 2
            logger.warning("out of memory: continuing with %d sequences at once", self.max_num_seqs)
        else:
            for row in rows:
                self.fail(row, out_of_memory(len(row.ids)))
        self._start_anew()
        return self.pop_finished()

    def _advance(self) -> None:
        raise NotImplementedError

    def _start_anew(self) -> None:
        """Drop what a step that broke may have left."""
