"""Short digests that distinguish weights, tokenizers, texts and files. Knows no setting."""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BLOCK = 1 << 22  # words of 8 bytes that are summed up at once
_MULTIPLIER = 0x1E3779B97F4A7C15  # spreads the weights of words over all 64 bits
# Of configs: says where a model came from, not what it computes.
_PLACES = ("name_or_path", "base_model_name_or_path", "revision")
_LEFT_OUT = frozenset((*_PLACES, "transformers_version", "inference_mode"))


def digest(*texts: str) -> str:
    """Return 12 characters that distinguish texts."""
    joined = "\x1f".join(texts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(joined, digest_size=6).hexdigest()


def json_key(value: Any, **options: Any) -> str:
    """Return 32 characters that identify a JSON value; options are those of `json.dumps`."""
    return hashlib.blake2b(json.dumps(value, **options).encode(), digest_size=16).hexdigest()


def weights_digest(model: Any) -> str:
    """Return a digest of the names, shapes and all bytes of the tensors of a torch module. Every
    byte counts, as one row of an embedding decides tokens too. Tensors are summed up where they
    are, a GPU's on the GPU; those that are not in memory count by name and shape alone."""
    state = hashlib.blake2b(digest_size=6)
    for name, tensor in sorted([*model.named_parameters(), *model.named_buffers()]):
        state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if not tensor.is_meta:
            state.update(repr(_checksums(tensor)).encode())
    return state.hexdigest()


def _checksums(tensor: Any) -> list[int]:
    """Return a sum of each block of a tensor's bytes in which every word has a weight of its own.
    Weights are odd, so that no change of one word leaves a sum modulo 2**64 as it was."""
    import torch

    data = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    padded = torch.nn.functional.pad(data, (0, -data.numel() % 8)).view(torch.int64)
    weights = torch.arange(min(BLOCK, padded.numel()), device=data.device) * _MULTIPLIER * 2 + 1
    sums = [(words * weights[: words.numel()]).sum() for words in padded.split(BLOCK)]
    return torch.stack(sums).tolist() if sums else []


def config_digest(model: Any) -> str:
    """Return a digest of what a transformers or PEFT model is built by: scales, norms, rotation,
    which adapters are on, code that came with it. Where it was loaded from, and by which version,
    is left out."""
    adapters = getattr(model, "peft_config", None) or {}
    configs = [model.config.to_dict(), *(adapters[name].to_dict() for name in sorted(adapters))]
    kept = [{k: v for k, v in c.items() if k not in _LEFT_OUT and k[0] != "_"} for c in configs]
    active = model.active_adapters if adapters else []
    return digest(json.dumps([kept, active, _code_of(model)], sort_keys=True, default=_plain))


def _code_of(model: Any) -> str:
    """Return the code of a model that is not one of transformers' own (trust_remote_code)."""
    kind = type(model.get_base_model() if hasattr(model, "get_base_model") else model)
    own = kind.__module__.startswith("transformers.models.")
    file = None if own else getattr(sys.modules[kind.__module__], "__file__", None)
    return Path(file).read_text(encoding="utf-8") if file else ""


def _plain(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


def tokenizer_digest(tokenizer: Any) -> str:
    """Return a digest of all rules by which a transformers tokenizer reads and writes text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return digest(json.dumps(sorted(tokenizer.get_vocab().items())))
    return digest(json.dumps({**json.loads(backend.to_str()), "padding": None, "truncation": None}))


def files_digest(folder: str | Path) -> str:
    """Return a digest of all bytes of the files of a checkpoint's folder, for weights elsewhere."""
    files = sorted(p for p in Path(folder).iterdir() if p.is_file() and p.suffix != ".md")
    return digest(repr([(path.name, _file_hash(path)) for path in files]))


def files_of(names: Mapping[str, Any]) -> dict[str, str]:
    """Return what each checkpoint is known by: the files of a local folder, else its Hub name."""
    known = {name: str(value or "") for name, value in names.items()}
    return {n: files_digest(v) if v and Path(v).is_dir() else v for n, v in known.items()}


def _file_hash(path: Path) -> str:
    state = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
    return state.hexdigest()
