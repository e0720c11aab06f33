"""What a problem is known by, in a benchmark, a recording and a samples file, and a run; digests
that distinguish weights, tokenizers, texts and files.

A document is what a task makes of a problem; a row is what a samples file has of one document.
Which model arguments decide what is answered is in arguments.yaml: one that says where a model
runs, how fast, or what to do after a failure does not decide, so runs that differ in it alone are
runs of one setup. What only rounds differently, such as another batch size, kernel or number of
devices, does not decide either; another type of numbers does."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval_tts.core.disk import read_yaml
from lm_eval_tts.errors import DataError

_ARGUMENTS = read_yaml("core/arguments.yaml")
DECIDES = dict.fromkeys(_ARGUMENTS["decides"], True) | dict.fromkeys(_ARGUMENTS["does_not"], False)
# Settings of which more adds to what a journal has: samples, the points of a curve. Each request is
# known by all that decides it, so what is the same in both runs is taken over, and nothing else.
ADDING = frozenset({"n", "max_thinking_tokens", "max_tries", "num_waits", "probes"})
# The columns in use for an id and a question, in benchmarks and in recordings of them.
ID_COLUMNS = ("id", "unique_id", "Record ID", "problem_id")
QUESTION_COLUMNS = ("question", "problem", "Question", "Problem", "prompt", "query", "input")
BLOCK = 1 << 22  # words of 8 bytes that are summed up at once
_MULTIPLIER = 0x1E3779B97F4A7C15  # spreads the weights of words over all 64 bits
# Of configs: says where a model came from, not what it computes.
_PLACES = ("name_or_path", "base_model_name_or_path", "revision")
_LEFT_OUT = frozenset((*_PLACES, "transformers_version", "inference_mode"))


def mapping_in(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the mapping under a key; an empty one where there is none."""
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def id_of(doc: Any) -> str | None:
    """Return the id of a document, None if it has none."""
    return _first(doc, ID_COLUMNS)


def question_of(doc: Any) -> str | None:
    """Return the question of a document, None if it has none."""
    return _first(doc, QUESTION_COLUMNS)


def _first(doc: Any, columns: Sequence[str]) -> str | None:
    if not isinstance(doc, Mapping):
        return None
    return next((str(doc[c]) for c in columns if doc.get(c) not in (None, "")), None)


def problem_of(doc: Any, prompt: str = "") -> str:
    """Return what the runs of a problem share: its id, else its question, else its prompt."""
    return id_of(doc) or question_of(doc) or prompt


def document_number(docs: Sequence[Any], wanted: str | None) -> int:
    """Return the number of a document by its id or number, 0 where none is named. Raises DataError
    if there is none."""
    names = [id_of(doc) for doc in docs]
    if wanted in names or wanted is None:
        return names.index(wanted) if wanted else 0
    if wanted.isdecimal() and int(wanted) < len(docs):
        return int(wanted)
    some = ", ".join(name or str(number) for number, name in enumerate(names[:3]))
    raise DataError(f"no document {wanted!r}: there are {len(docs)}, by id or number ({some} ...)")


def seed_key(doc: Any, prompt: str) -> str:
    """Return what seeds a document: its text and its id, not its place in a run. So a problem
    samples the same with --limit, --samples, or on another rank."""
    return f"{prompt}\x1f{doc.get('id', '') if isinstance(doc, dict) else ''}"


def recording_keys(question: str | None, doc_id: str | None) -> list[str]:
    """Return what finds a recording: its question whatever the white space, then its id."""
    keys = [f"question {' '.join(question.split())}"] if question else []
    return [*keys, f"id {doc_id}"] if doc_id else keys


def document_key(row: Mapping[str, Any]) -> str:
    """Return what is equal where question, options and answer are: lm-eval's hash of a document.
    Before 0.4.4 rows have no hash; then it is the number and the answer."""
    if isinstance(row.get("doc_hash"), str):
        return str(row["doc_hash"])[:16]
    return f"{row.get('doc_id')}:{text_hash(str(row.get('target')))[:8]}"


def question_key(row: Mapping[str, Any]) -> str:
    """Return the same whatever the options and the answer; `document_key` without options."""
    doc = mapping_in(row, "doc")
    if "options" not in doc:
        return document_key(row)
    return text_hash(f"{doc.get('id')}\x1f{doc.get('question')}")[:16]


def document_label(row: Mapping[str, Any]) -> str:
    """Return what people know a document by: its id, else its number."""
    return id_of(row.get("doc")) or _first(row, ("doc_id",)) or "?"


def text_hash(text: str) -> str:
    """Return 64 hexadecimal digits of a text, which may hold halves of surrogate pairs."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def decides(name: str) -> bool:
    """Say whether a model argument decides what is answered; one that is not listed does."""
    return DECIDES.get(name, True)


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
    """Return the code of a model that is not transformers' own: one that came with it, or ours."""
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
