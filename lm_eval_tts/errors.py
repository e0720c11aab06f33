"""Every error this package raises on purpose, and what becomes of others: the failure of one
request, or the end of a device.

LmEvalTTSError
├── SettingsError    a wrong argument of the user's: says what was given and what is allowed
├── DataError        benchmark data that is missing or malformed
└── RequestError     one request that cannot be served; recorded as a failure, the run goes on"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")

# What reading raises where a value is not of the kind, size or depth that it is written in.
MALFORMED = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)
# What drivers and engines say when every later call on the device, or to the engine, fails as well.
_LOST = re.compile(
    r"device-side assert|illegal memory access|unspecified launch failure|(CUDA|HIP|XPU) error"
    r"|EngineDeadError|AcceleratorError|device is lost",
    re.IGNORECASE,
)


class LmEvalTTSError(Exception):
    """Base of all errors of this package."""


class SettingsError(LmEvalTTSError, ValueError):
    """A setting with an unknown name or a value out of range."""


class DataError(LmEvalTTSError, ValueError):
    """Benchmark data that cannot be found or read."""


class RequestError(LmEvalTTSError, RuntimeError):
    """One request that cannot be served, for example a prompt that does not fit the context."""


def reason_of(error: BaseException) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def failure_of(what: str, error: Exception) -> RequestError:
    """Return the failure of the request on which `what` raised; one that says so itself stays."""
    if isinstance(error, RequestError):
        return error
    return RequestError(f"{what} failed on it: {reason_of(error)}")


def device_lost(error: Exception) -> bool:
    """Whether nothing can be computed after this error in this process."""
    return bool(_LOST.search(f"{type(error).__name__}: {error}"))


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """Return a hint at the nearest of some names, with a space after it; "" if none is near."""
    found = difflib.get_close_matches(given, list(names), n=1, cutoff=0.6)
    return f"did you mean {found[0]!r}? " if found else ""


def unknown_name(
    kind: str, given: str, allowed: Iterable[str], nearest: str | None = None
) -> SettingsError:
    """Return the error for a name that is not among the allowed ones, with the nearest of them.
    nearest: what is surely meant, where that is known."""
    names = sorted(allowed)
    hint = f"did you mean {nearest!r}? " if nearest else did_you_mean(given, names)
    return SettingsError(f"unknown {kind} {given!r}: {hint}allowed: {', '.join(names)}")


def looked_up(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Return what a name stands for. Raises SettingsError for one that is not in the table."""
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]
