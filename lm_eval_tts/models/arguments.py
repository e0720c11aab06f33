"""Model arguments: what this package reads of them, and checks before a checkpoint is loaded or a
server is asked."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from lm_eval_tts.core.disk import check_writable
from lm_eval_tts.core.fields import scalar
from lm_eval_tts.errors import LmEvalTTSError, SettingsError, did_you_mean, unknown_name
from lm_eval_tts.harness.preflight import refuse_secrets
from lm_eval_tts.harness.run_state import MAX_FAILURES, RunState
from lm_eval_tts.reward_models.loading import RewardModelSettings, take_reward_model
from lm_eval_tts.settings import setting_names, take_settings

OWN = frozenset({"journal", "max_failures", *(f.name for f in fields(RewardModelSettings))})
PASSED_BY_LM_EVAL = frozenset({"batch_size", "max_batch_size", "device"})  # with every model
DTYPES = ("auto", "float32", "float", "bfloat16", "float16", "half", "float64", "double")
_COUNT = r"0*[1-9]\d*"
_CALLS = (rf"{_COUNT}(\.0)?", "is a whole number >= 1")  # of calls, tries or seconds
# What lm_eval's classes take as it is: a pattern of the text, and what is allowed. Devices are as
# torch.device takes them; it is not asked, since a model without torch has this argument too.
_LOADING = {
    "batch_size": (rf"(auto:)?(auto|{_COUNT})", "is a number >= 1, or auto"),
    **dict.fromkeys(("max_length", "max_batch_size"), (_COUNT, "is a number of tokens >= 1")),
    **dict.fromkeys(("num_concurrent", "max_retries", "timeout"), _CALLS),
    "device": (
        r"(cpu|cuda|mps|xpu|hpu|npu|mlu|musa|xla|meta)(:\d+)?",
        "are cpu, cuda, cuda:0, mps ...",
    ),
}


def take_arguments(
    kwargs: dict[str, Any], model: str, known: frozenset[str], *, strict: bool = False
) -> tuple[dict[str, Any], RunState, RewardModelSettings | None]:
    """Take our arguments out of a model's and check all of them: strategy settings for all tasks
    that set nothing else, journal= and max_failures= (`RunState`), and the reward model.
    known: names that the model takes, and those of ours that mean something to it. strict: any
    unknown name is refused; else one that is nearly, but not quite, a known one. Raises
    SettingsError."""
    refuse_secrets(kwargs)
    known |= PASSED_BY_LM_EVAL
    if strict:
        allowed = known | setting_names(kwargs.get("strategy", "single"))
        for name in kwargs.keys() - allowed:
            raise unknown_name(f"argument of {model}", name, allowed)
    defaults = take_settings(kwargs, known)
    journal, share = kwargs.pop("journal", None), kwargs.pop("max_failures", MAX_FAILURES)
    check_loading(kwargs)
    max_failures = scalar(share, float)
    if max_failures is None or not 0 <= max_failures <= 1:
        raise SettingsError(f"max_failures={share!r}: allowed is a share from 0 to 1")
    word = str(journal).lower()
    folder = None if word in ("none", "true", "false") else str(journal)
    if folder is not None:
        check_writable("journal", folder)
    reward_model = take_reward_model(kwargs)
    return defaults, RunState(folder, max_failures, beside=word in ("none", "true")), reward_model


def check_loading(kwargs: Mapping[str, Any]) -> None:
    """Check the arguments that lm_eval's classes take as they are. Raises SettingsError."""
    for name, (pattern, allowed) in _LOADING.items():
        value = kwargs.get(name)
        if value is not None and not re.fullmatch(pattern, str(value)):
            raise SettingsError(f"{name}={value!r}: allowed {allowed}")
    dtype = "auto" if kwargs.get("dtype") is None else str(kwargs["dtype"])
    if dtype.removeprefix("torch.") not in DTYPES:
        hint = did_you_mean(dtype, DTYPES)
        raise SettingsError(f"dtype={dtype!r}: {hint}allowed: {', '.join(DTYPES)}")


@contextmanager
def loading(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Turn what a loader raises, of any kind, into one line that names the arguments."""
    try:
        yield
    except LmEvalTTSError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        given = ", ".join(
            f"{name}={value!r}"
            for name, value in arguments.items()
            if isinstance(value, str | int | float) and value != ""
            if name not in PASSED_BY_LM_EVAL or str(value) in reason
        )
        raise SettingsError(f"the model cannot be loaded with {given}: {reason}") from error


def headers_of(base_url: str | None, header: Mapping[str, str] | None) -> dict[str, str]:
    """Return the headers for a server, the environment's key among them. Raises SettingsError where
    no server is named, or a header holds a key."""
    if not base_url:
        raise SettingsError("tts-openai needs a server: base_url=http://<host>:<port>/v1")
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        usable = False
    if not usable:
        raise SettingsError(f"base_url={base_url!r}: allowed is http://<host>:<port>/v1, or https")
    refuse_secrets(header)
    key = os.environ.get("OPENAI_API_KEY")
    return {**(header or {}), **({"Authorization": f"Bearer {key}"} if key else {})}
