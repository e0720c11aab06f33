"""What `tts-openai` is told of its server: the address, the key, how often to call, how long texts
may be."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from lm_eval_tts.errors import SettingsError

KEY_NAMES = ("authorization", "api-key", "x-api-key")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


def check_calls(**given: Any) -> None:
    """Raise SettingsError for what is not a whole number of calls, tries or seconds above 0."""
    for name, value in given.items():
        try:
            whole = float(value) == int(value)
        except (TypeError, ValueError, OverflowError):
            whole = False
        if not whole or int(value) < 1:
            raise SettingsError(f"{name}={value!r}: allowed is a whole number >= 1")


def check_server(base_url: str | None, header: Mapping[str, str] | None) -> None:
    """Raise SettingsError where no server is named, or a header holds a key."""
    if not base_url:
        raise SettingsError("tts-openai needs a server: base_url=http://<host>:<port>/v1")
    if not _is_address(base_url):
        raise SettingsError(f"base_url={base_url!r}: allowed is http://<host>:<port>/v1, or https")
    if {name.lower() for name in header or {}} & set(KEY_NAMES):
        raise SettingsError(
            "a key in --model_args would be written to the results: "
            "set the environment variable OPENAI_API_KEY instead"
        )


def authorization() -> dict[str, str]:
    """Return the header with the key of the environment, if there is one."""
    key = os.environ.get("OPENAI_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def root_of(base_url: str) -> str:
    """Return a URL up to /v1, whatever the user has written after it."""
    return base_url.removesuffix("/").removesuffix("/completions").removesuffix("/chat")


def usable_length(given: int | None, told: int | None) -> int:
    """Return the context in tokens: what the user gives, within what the server reports."""
    lengths = [int(length) for length in (given, told) if length]
    if not lengths:
        raise SettingsError("the server does not report its context length: give max_length=")
    return min(lengths)
