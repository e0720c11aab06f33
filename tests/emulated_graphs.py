"""CUDA graphs on other devices: what was captured runs again on the same memory, and nothing else.

As on a GPU, numbers of the host are those of the capture for ever, and a capture ends where a
model waits for the device or copies to or from it.
"""

from __future__ import annotations

import emulated_device
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

WAITS = emulated_device.READS | {"aten::item"}  # which inference mode leaves whole


class Tape(TorchDispatchMode):
    """Keeps all that runs within it, with the tensors that it read and wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: list = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.name()
        if name in WAITS or (name.startswith("aten::index") and emulated_device.has_mask(args)):
            raise RuntimeError(f"{name}: not permitted when stream is capturing")
        result = func(*args, **kwargs)
        given = {place(leaf) for leaf in tree_leaves((args, kwargs)) if is_tensor(leaf)}
        made = {place(leaf) for leaf in tree_leaves(result) if is_tensor(leaf)}
        if made - given or func._schema.is_mutable:  # else a view, which follows what it shows
            self.ops.append((func, args, kwargs, result))
        return result

    def replay(self) -> None:
        for func, args, kwargs, result in self.ops:
            again = func(*args, **kwargs)
            if not func._schema.is_mutable:
                tree_map(put, result, again)


def is_tensor(leaf) -> bool:
    return isinstance(leaf, torch.Tensor)


def place(tensor) -> int:
    """Where the memory of a tensor is."""
    raw = emulated_device.inside(tensor)
    return raw.untyped_storage().data_ptr()


def put(kept, new):
    if is_tensor(kept):
        emulated_device.inside(kept).copy_(emulated_device.inside(new))
    return kept


class Graphs:
    """A recorder, and how often it captured and replayed."""

    def __init__(self) -> None:
        self.captured = self.replayed = 0
        self.num_ops = 0  # on the device, of the last replay

    def __call__(self, call):
        before = emulated_device.counts.copy()
        with Tape() as tape:
            result = call()
        moved = emulated_device.counts - before
        if moved["up"] or moved["down"] or moved["sync"]:
            raise RuntimeError("a copy is not permitted when stream is capturing")
        self.captured += 1

        def replay() -> None:
            self.replayed += 1
            before = emulated_device.counts["ops"]
            tape.replay()
            self.num_ops = emulated_device.counts["ops"] - before

        return replay, result
