"""What is really free: of a device, of its allocator, and of the container that a process is in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import torch

CGROUPS = Path("/sys/fs/cgroup")
OF_THIS_PROCESS = Path("/proc/self/cgroup")
# The files with limit and use of a group, by its controllers: of version 2, and of version 1.
_FILES = {
    "": ("memory.max", "memory.current"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}


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
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if names := _FILES.get(controllers):
            root = CGROUPS / controllers
            folder = root / path.lstrip("/")
            for place in (folder, *folder.parents):
                if place.is_relative_to(root):
                    yield from _left(place, *names)


def _left(folder: Path, limit_name: str, used_name: str) -> Iterator[int]:
    """Yield what is left of the limit of one group, if it has one."""
    try:
        limit, used = (folder / limit_name).read_text(), (folder / used_name).read_text()
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return
    if limit.strip().isdecimal():  # "max" is none
        stat = dict(line.split() for line in lines)
        cached = int(stat.get("total_inactive_file") or stat.get("inactive_file") or 0)
        yield int(limit) - int(used) + cached
