"""The numbers of one step on their way to a device: all of them in one copy.

On a GPU each copy from the host costs as much as a small kernel, or waits for all that the device
has yet to do. So whatever a step needs is put into one parcel before its forward."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from math import prod

import torch

# Where a list starts among all numbers, its shape, and whether it is of fractions.
Place = tuple[int, tuple[int, ...], bool]


class Numbers(dict[str, torch.Tensor]):
    """Named tensors of one device, made as they are asked for: int64 for whole numbers, float32 for
    fractions. raw: all of them."""

    def __init__(self, raw: torch.Tensor, places: Mapping[str, Place]) -> None:
        super().__init__()
        self.raw = raw
        self._whole = raw.long()  # indices must be int64
        self._places = places
        self._copies: dict[torch.device, Numbers] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __missing__(self, name: str) -> torch.Tensor:
        start, shape, fractions = self._places[name]
        values = self.raw.view(torch.float32) if fractions else self._whole
        self[name] = values[start : start + prod(shape)].view(shape)
        return self[name]

    def to(self, device: torch.device) -> Numbers:
        """Return the same on another device, copied there once."""
        if self.raw.device == device:
            return self
        if device not in self._copies:
            self._copies[device] = self.of(self.raw.to(device))
        return self._copies[device]

    def of(self, raw: torch.Tensor) -> Numbers:
        """Return what these names mean in other numbers, of which there may be fewer."""
        return Numbers(raw, self._places)


class Parcel:
    """Lists by name, on the host."""

    def __init__(self) -> None:
        self._raw = array("i")
        self._places: dict[str, Place] = {}

    def __len__(self) -> int:
        return len(self._raw)

    def put(self, name: str, values: Iterable[float], *shape: int, fractions: bool = False) -> None:
        """Add whole numbers below 2**31 in absolute value, or `fractions`, which become float32.
        shape: their number if left out."""
        numbers = array("f" if fractions else "i", values)
        self._places[name] = len(self._raw), shape or (len(numbers),), fractions
        self._raw.frombytes(numbers.tobytes())

    def send(self, device: torch.device) -> Numbers:
        """Copy all that was put in (at least one number) to a device."""
        raw = torch.frombuffer(self._raw, dtype=torch.int32)
        return Numbers(raw.to(device, non_blocking=device.type == "cuda"), self._places)
