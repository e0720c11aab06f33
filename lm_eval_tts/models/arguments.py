"""Model arguments: what this package reads of them, and checks before a checkpoint is loaded."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from lm_eval_tts.core.disk import check_writable
from lm_eval_tts.errors import LmEvalTTSError, SettingsError, did_you_mean, unknown_name
from lm_eval_tts.harness.preflight import refuse_secrets
from lm_eval_tts.harness.run_state import MAX_FAILURES
from lm_eval_tts.reward_models.loading import RewardModelSettings, take_reward_model
from lm_eval_tts.settings import setting_names, take_settings

KEEPING = frozenset({"journal", "max_failures"})
OWN = KEEPING | {field.name for field in fields(RewardModelSettings)}
PASSED_BY_LM_EVAL = frozenset({"batch_size", "max_batch_size", "device"})  # with every model
DTYPES = ("auto", "float32", "float", "bfloat16", "float16", "half", "float64", "double")
# As torch.device takes them; it is not asked, since a model without torch has this argument too.
_DEVICE = re.compile(r"(cpu|cuda|mps|xpu|hpu|npu|mlu|musa|xla|meta)(:\d+)?")


@dataclass(frozen=True, slots=True)
class OwnArguments:
    """What this package reads of --model_args, the same for every model."""

    # Strategy settings, for all tasks that set nothing else.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    # Folder that keeps finished requests, so that a run resumes where it stopped; None: a folder
    # next to the results, if they are written.
    journal: str | None = None
    keeps_journal: bool = True  # False: there is to be none
    # Share of requests that may fail before the command's exit code says so.
    max_failures: float = MAX_FAILURES
    reward_model: RewardModelSettings | None = None


def take_arguments(
    kwargs: dict[str, Any],
    model: str,
    known: frozenset[str],
    *,
    own: frozenset[str] = OWN,
    strict: bool = False,
) -> OwnArguments:
    """Take our arguments out of a model's and check all of them.
    known: names that the model takes itself. own: those of ours that mean something to it.
    strict: it takes no others, so any unknown name is refused; else one that is nearly, but not
    quite, a known one. Raises SettingsError."""
    refuse_secrets(kwargs)
    known |= PASSED_BY_LM_EVAL | own
    if strict:
        allowed = known | setting_names(kwargs.get("strategy", "single"))
        for name in kwargs.keys() - allowed:
            raise unknown_name(f"argument of {model}", name, allowed)
    defaults = take_settings(kwargs, known)
    journal, share = kwargs.pop("journal", None), kwargs.pop("max_failures", MAX_FAILURES)
    _check_loading(kwargs)
    max_failures = check_share("max_failures", share)
    word = str(journal).lower()
    folder = None if word in ("none", "true", "false") else str(journal)
    if folder is not None:
        check_writable("journal", folder)
    return OwnArguments(defaults, folder, word != "false", max_failures, take_reward_model(kwargs))


def _check_loading(kwargs: Mapping[str, Any]) -> None:
    """Check the arguments that lm_eval's classes take as they are. Raises SettingsError."""
    given = {name: value for name, value in kwargs.items() if value is not None}
    if "batch_size" in given and not _is_batch_size(str(given["batch_size"])):
        size = given["batch_size"]
        raise SettingsError(f"batch_size={size!r}: allowed is a number >= 1, or auto")
    for name in ("max_length", "max_batch_size"):
        if name in given and not (str(given[name]).isdecimal() and int(given[name]) > 0):
            raise SettingsError(f"{name}={given[name]!r}: allowed is a number of tokens >= 1")
    dtype = str(given.get("dtype", "auto"))
    if dtype.removeprefix("torch.") not in DTYPES:
        hint = did_you_mean(dtype, DTYPES)
        raise SettingsError(f"dtype={dtype!r}: {hint}allowed: {', '.join(DTYPES)}")
    if "device" in given and not _DEVICE.fullmatch(str(given["device"])):
        raise SettingsError(f"device={given['device']!r}: allowed are cpu, cuda, cuda:0, mps ...")


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


BY_LM_EVAL = ("batch_size", "max_batch_size", "device")  # it gives them with every model


@contextmanager
def loading(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Turn what a loader raises, of any kind, into one line that names the arguments."""
    try:
        yield
    except LmEvalTTSError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        shown = {
            name: value
            for name, value in arguments.items()
            if isinstance(value, str | int | float) and value != ""
            if name not in BY_LM_EVAL or str(value) in reason
        }
        given = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        raise SettingsError(f"the model cannot be loaded with {given}: {reason}") from error
