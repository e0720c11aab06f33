"""Keys and tokens come from the environment: what stands in model_args, lm_eval logs and saves."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lm_eval_tts.errors import SettingsError

SECRET = re.compile(r"(^|_)(token|key|secret|password|authorization)$", re.IGNORECASE)
NO_SECRETS = frozenset({"think_end_token", "add_bos_token"})  # lm_eval's, about the vocabulary


def refuse_credentials(names: Iterable[str]) -> None:
    """Raise SettingsError if an argument's name is that of a secret; its value is never shown."""
    for name in names:
        if SECRET.search(name) and name not in NO_SECRETS:
            raise SettingsError(
                f"{name}= in model_args would be written to the results: set it in the environment "
                "(HF_TOKEN for the Hub, OPENAI_API_KEY for a server)"
            )
