"""What makes two runs of a task the same, for the journal: its settings and its prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lm_eval_tts.core.digests import digest
from lm_eval_tts.settings import Settings


def settings_facts(given: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """Return what was given for a task by name, and a digest of the prompt texts it names."""
    texts = digest(repr(settings.style), settings.instruction, repr(settings.delimiters))
    return {**{name: repr(value) for name, value in sorted(given.items())}, "prompt texts": texts}


def by_document(prompts: Iterable[tuple[Any, str]]) -> dict[str, str]:
    """Return a digest of each prompt by the number of its document."""
    return {str(doc_id): digest(text) for doc_id, text in prompts}
