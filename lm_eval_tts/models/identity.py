"""What makes two runs the same, for the journal: digests of weights, tokenizer and prompts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch

from lm_eval_tts.settings import Settings

VALUES_PER_TENSOR = 64


class TaskFacts(NamedTuple):
    """What a task asks for, and a digest of each document's prompt."""

    settings: dict[str, str]
    documents: dict[str, str]


def digest(*texts: str) -> str:
    """Return 12 characters that tell texts apart."""
    return hashlib.blake2b("\x1f".join(texts).encode(), digest_size=6).hexdigest()


def weights_digest(model: Any) -> str:
    """Return a digest of names, shapes and some values spread over each tensor of a model.

    Training changes nearly all values, so some of them tell; a name of a folder does not.
    """
    state = hashlib.blake2b(digest_size=6)
    for name, tensor in sorted([*model.named_parameters(), *model.named_buffers()]):
        state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if not tensor.is_meta:
            flat = tensor.detach().reshape(-1)
            some = flat[:: max(1, flat.numel() // VALUES_PER_TENSOR)].cpu().contiguous()
            state.update(bytes(some.view(torch.uint8).tolist()))
    return state.hexdigest()


def tokenizer_digest(tokenizer: Any) -> str:
    """Return a digest of a tokenizer's vocabulary, added tokens included."""
    return digest(json.dumps(sorted(tokenizer.get_vocab().items())))


def settings_facts(given: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """Return what was given for a task by name, and a digest of the prompt texts it names."""
    texts = digest(repr(settings.style), settings.instruction, repr(settings.delimiters))
    return {**{name: repr(value) for name, value in sorted(given.items())}, "prompt texts": texts}


def by_document(prompts: Iterable[tuple[Any, str]]) -> dict[str, str]:
    """Return a digest of each prompt by the number of its document."""
    return {str(doc_id): digest(text) for doc_id, text in prompts}
