"""Devices that refuse what a GPU refuses, on the CPU: `emu:0`, `emu:1` ...

A tensor there wraps one of the CPU. Whatever mixes devices raises, so does float64; what waits for
the device or copies between it and the host is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("emu")
counts: Counter[str] = Counter()  # "up", "down", "across", "sync" and "ops"
COPIES = {"aten::_to_copy", "aten::copy_"}
READS = {"aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal", "aten::nonzero"}


class EmulatedTensor(torch.Tensor):
    """A tensor that says it is on an emulated device."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw: torch.Tensor, device: torch.device):
        if raw.dtype == torch.float64:
            raise TypeError("this device has no float64")
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.shape,
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=device,
        )
        tensor.raw = raw
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatch(func, args, kwargs or {})


def tree_leaves(tree: Any) -> Iterator[Any]:
    """What arguments consist of: as torch's own, whose registry of kinds took a third of a run."""
    if isinstance(tree, tuple | list):
        for part in tree:
            yield from tree_leaves(part)
    elif isinstance(tree, dict):
        yield from tree_leaves(tuple(tree.values()))
    else:
        yield tree


def tree_map(change: Callable[[Any], Any], tree: Any) -> Any:
    """Arguments with every leaf changed."""
    if isinstance(tree, tuple | list):
        return type(tree)([tree_map(change, part) for part in tree])
    if isinstance(tree, dict):
        return {name: tree_map(change, part) for name, part in tree.items()}
    return change(tree)


@cache
def is_composite(func) -> bool:
    return func._can_decompose()


def dispatch(func, args, kwargs):
    """Run an op on the tensors inside, and say that the results are where the inputs are."""
    if is_composite(func):  # inference mode leaves composite ops whole
        with EmulatedDevices():
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
    name, leaves = func.name(), list(tree_leaves((args, kwargs)))
    emulated = [leaf for leaf in leaves if isinstance(leaf, EmulatedTensor)]
    devices = {tensor.device for tensor in emulated}
    target = kwargs.get("device")
    target = torch.device(target) if target is not None else None
    if target is None:
        target = args[0].device if name in COPIES else next(iter(devices), torch.device("cpu"))
    counts["ops"] += 1
    if name in COPIES:
        count_copy(args[0].device, args[1].device if name == "aten::copy_" else target, name)
    elif len(devices) > 1 or any(
        isinstance(leaf, torch.Tensor) and not isinstance(leaf, EmulatedTensor) and leaf.dim()
        for leaf in leaves
    ):
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, got {devices}")
    if name in READS or (name.startswith("aten::index") and has_mask(args)):
        counts["sync"] += 1
    kwargs = {**kwargs, "device": torch.device("cpu")} if "device" in kwargs else kwargs
    args, kwargs = tree_map(inside, (args, kwargs))
    return tree_map(partial(outside, device=target, known=emulated), func(*args, **kwargs))


def count_copy(one: torch.device, other: torch.device, name: str) -> None:
    """Note a copy between devices; those within one are kernels like others."""
    if name == "aten::copy_":
        one, other = other, one
    if one != other:
        counts["up" if one.type == "cpu" else "down" if other.type == "cpu" else "across"] += 1


def has_mask(args) -> bool:
    """Whether an op is indexed by booleans, whose number the host has to know."""
    indices = tree_leaves(args[1])
    return any(isinstance(i, torch.Tensor) and i.dtype == torch.bool for i in indices)


def inside(leaf):
    return leaf.raw if isinstance(leaf, EmulatedTensor) else leaf


def outside(leaf, device, known):
    """Wrap a result; what was changed in place stays the same object."""
    if not isinstance(leaf, torch.Tensor) or device.type == "cpu":
        return leaf
    same = [tensor for tensor in known if tensor.raw is leaf]
    return same[0] if same else EmulatedTensor(leaf, device)


def _empty(size, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
    return EmulatedTensor(torch.empty(size, dtype=dtype), device)


def _empty_strided(size, stride, dtype=None, layout=None, device=None, pin_memory=None):
    return EmulatedTensor(torch.empty_strided(size, stride, dtype=dtype), device)


def _copy_from(source, target, non_blocking=False):
    """What torch.tensor(..., device=) ends in, past all modes."""
    count_copy(source.device, target.device, "")
    inside(target).copy_(inside(source))
    return target


LIBRARY = torch.library.Library("aten", "IMPL")
LIBRARY.impl("empty.memory_format", _empty, "PrivateUse1")
LIBRARY.impl("empty_strided", _empty_strided, "PrivateUse1")
LIBRARY.impl("_copy_from", _copy_from, "PrivateUse1")


class EmulatedDevices(TorchDispatchMode):
    """Within it, tensors are made on emulated devices where these are asked for."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if device is not None and torch.device(device).type == "emu":
            return dispatch(func, args, kwargs)
        return func(*args, **kwargs)


def move(module: torch.nn.Module, device: str) -> None:
    """Move a module's weights to an emulated device, in place."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                raw = EmulatedTensor(weight.data, torch.device(device))
                part._parameters[name] = torch.nn.Parameter(raw, requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = EmulatedTensor(buffer, torch.device(device))


def spread(model) -> None:
    """Put the last layer, the norm and the head of a Llama on a second device, as a device_map."""
    move(model, "emu:0")
    for part in (model.model.layers[-1], model.model.norm, model.lm_head):
        for weights in part.modules():
            weights._parameters = dict(weights._parameters)
        raw_move(part, "emu:1")
        part.register_forward_pre_hook(_bring, with_kwargs=True)


def raw_move(module, device: str) -> None:
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                raw = EmulatedTensor(weight.data.raw, torch.device(device))
                part._parameters[name] = torch.nn.Parameter(raw, requires_grad=False)


def _bring(module, args, kwargs):
    def to(leaf):
        return leaf.to("emu:1") if isinstance(leaf, torch.Tensor) else leaf

    cache = kwargs.pop("past_key_values", None)
    args, kwargs = tree_map(to, (args, kwargs))
    return args, kwargs if cache is None else {**kwargs, "past_key_values": cache}
