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


class Numbers:
    """Named tensors of one device: int64 for whole numbers, float32 for fractions."""

    def __init__(self, raw: torch.Tensor, places: Mapping[str, Place]) -> None:
        self.raw = raw
        self._whole = raw.long()  # indices must be int64
        self._places = places
        self._copies: dict[torch.device, Numbers] = {}
        self._read: dict[str, torch.Tensor] = {}  # every layer asks for the same ones

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._read:
            start, shape, fractions = self._places[name]
            values = self.raw.view(torch.float32) if fractions else self._whole
            self._read[name] = values[start : start + prod(shape)].view(shape)
        return self._read[name]

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

    def put(self, name: str, values: Iterable[int], *shape: int) -> None:
        """Add whole numbers below 2**31 in absolute value; shape: their number if left out."""
        start = len(self._raw)
        self._raw.extend(values)
        self._places[name] = start, shape or (len(self._raw) - start,), False

    def put_fractions(self, name: str, values: Iterable[float]) -> None:
        """Add numbers that become float32."""
        start = len(self._raw)
        self._raw.frombytes(array("f", values).tobytes())
        self._places[name] = start, (len(self._raw) - start,), True

    def send(self, device: torch.device) -> Numbers:
        """Copy all that was put in (at least one number) to a device."""
        raw = torch.frombuffer(self._raw, dtype=torch.int32)
        return Numbers(raw.to(device, non_blocking=device.type == "cuda"), self._places)
