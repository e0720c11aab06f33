"""Model arguments, checked before a checkpoint is loaded, and loading whose errors are one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from lm_eval_tts.errors import LmEvalTTSError, SettingsError


def check_arguments(kwargs: Mapping[str, Any]) -> None:
    """Check the arguments that lm_eval takes as they are. Raises SettingsError."""
    given = {name: value for name, value in kwargs.items() if value is not None}
    if "batch_size" in given and not _is_batch_size(str(given["batch_size"])):
        raise SettingsError(
            f"batch_size={given['batch_size']!r}: allowed is a number >= 1, or auto"
        )
    for name in ("max_length", "max_batch_size"):
        if name in given and not (str(given[name]).isdecimal() and int(given[name]) > 0):
            raise SettingsError(f"{name}={given[name]!r}: allowed is a number of tokens >= 1")
    if "device" in given:
        try:
            torch.device(given["device"])
        except (RuntimeError, TypeError) as error:
            raise SettingsError(
                f"device={given['device']!r}: allowed are cpu, cuda, cuda:0, mps ..."
            ) from error


def _is_batch_size(text: str) -> bool:
    number = text.removeprefix("auto:") if text.startswith("auto:") else text
    return number == "auto" or (number.isdecimal() and int(number) > 0)


def check_share(name: str, value: Any) -> float:
    """Return a share in [0, 1]. Raises SettingsError for anything else."""
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = -1.0
    if isinstance(value, bool) or not 0 <= share <= 1:
        raise SettingsError(f"{name}={value!r}: allowed is a share from 0 to 1")
    return share


@contextmanager
def loading(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Turn what a loader raises, of any kind, into one line that names the arguments."""
    try:
        yield
    except LmEvalTTSError:
        raise
    except Exception as error:
        shown = {k: v for k, v in arguments.items() if isinstance(v, str | int | float)}
        given = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise SettingsError(f"the model cannot be loaded with {given}: {reason}") from error
