"""Keys and tokens come from the environment, because lm_eval logs and saves arguments."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lm_eval_tts.errors import SettingsError

SECRET = re.compile(
    r"(^|[_-])(token|key|secret|passw(or)?d|authorization|credentials?|bearer|sig|signature)$"
    r"|(api|access|secret|private)key$",
    re.IGNORECASE,
)
# Of lm_eval and of tokenizers, about the vocabulary; and settings that lack their last letter, of
# which another message says so.
_SPECIAL = ("bos", "eos", "pad", "unk", "sep", "cls", "mask", "prefix", "think_end", "add_bos")
_SETTINGS = ("max_thinking", "min_thinking", "thinking", "max_answer")
NO_SECRETS = frozenset(f"{name}_token" for name in (*_SPECIAL, *_SETTINGS))


def refuse_credentials(names: Iterable[str], where: str = "model_args") -> None:
    """Raise SettingsError if an argument's name is that of a secret; its value is never shown.
    where: the option that the names were given in."""
    for name in names:
        if SECRET.search(name) and name not in NO_SECRETS:
            raise _refusal(f"{name}=", where)


def refuse_secrets(value: Any, where: str = "model_args") -> None:
    """Raise SettingsError if there is a secret anywhere in an argument: by a name, or in a URL."""
    if isinstance(value, Mapping):
        refuse_credentials(map(str, value), where)
        refuse_secrets(list(value.values()), where)
    elif isinstance(value, list | tuple):
        for inner in value:
            refuse_secrets(inner, where)
    elif isinstance(value, str) and ("://" in value or "?" in value):
        _refuse_in_url(value, where)


def _refuse_in_url(text: str, where: str) -> None:
    try:
        url = urlsplit(text)
        names = [name for name, _ in parse_qsl(url.query, keep_blank_values=True)]
        password = url.password
    except ValueError:  # no URL after all
        return
    refuse_credentials(names, where)
    if password:
        raise _refusal("the password in a URL", where)


def _refusal(what: str, where: str) -> SettingsError:
    return SettingsError(
        f"{what} in {where} would be written to the results: set it in the environment "
        "(HF_TOKEN for the Hub, OPENAI_API_KEY for a server)"
    )
