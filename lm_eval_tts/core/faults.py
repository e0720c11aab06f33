"""What becomes of an error that is not ours: the failure of one request, or the end of a device."""

import re

from lm_eval_tts.errors import RequestError

# What reading raises where a value is not of the kind, size or depth that it is written in.
MALFORMED = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)
# What drivers and engines say when every later call on the device, or to the engine, fails as well.
_LOST = re.compile(
    r"device-side assert|illegal memory access|unspecified launch failure|(CUDA|HIP|XPU) error"
    r"|EngineDeadError|AcceleratorError|device is lost",
    re.IGNORECASE,
)


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
