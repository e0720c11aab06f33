"""Short digests that tell weights, tokenizers and texts apart. Knows no file and no setting."""

from __future__ import annotations

import hashlib
import json
from typing import Any

VALUES_PER_TENSOR = 64


def digest(*texts: str) -> str:
    """Return 12 characters that tell texts apart."""
    return hashlib.blake2b("\x1f".join(texts).encode(), digest_size=6).hexdigest()


def json_key(value: Any, **options: Any) -> str:
    """Return 32 characters that identify a JSON value; options are those of `json.dumps`."""
    text = json.dumps(value, **options)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def weights_digest(model: Any) -> str:
    """Return a digest of names, shapes and some values spread over each tensor of a torch module.

    Training changes nearly all values, so some of them tell; a name of a folder does not.
    """
    import torch

    state = hashlib.blake2b(digest_size=6)
    for name, tensor in sorted([*model.named_parameters(), *model.named_buffers()]):
        state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if not tensor.is_meta:
            flat = tensor.detach().reshape(-1)
            some = flat[:: max(1, flat.numel() // VALUES_PER_TENSOR)].cpu().contiguous()
            state.update(bytes(some.view(torch.uint8).tolist()))
    return state.hexdigest()


def tokenizer_digest(tokenizer: Any) -> str:
    """Return a digest of a transformers tokenizer's vocabulary, added tokens included."""
    return digest(json.dumps(sorted(tokenizer.get_vocab().items())))
