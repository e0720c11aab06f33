"""Benchmark rows to documents: from a local folder of JSONL files, or from the Hugging Face Hub.

A document has `id`, `question`, `answer`, and for multiple choice `options` (letter to text) with
the right letter as its answer. The local folder is named by --metadata '{"data_dir": ...}' or the
environment variable LM_EVAL_TTS_DATA and holds `<benchmark>.jsonl` in the Hub's columns."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets

from lm_eval_tts.errors import DataError
from lm_eval_tts.harness.names import DATA_VARIABLE

LETTERS = "ABCDEFGHIJ"
Record = Mapping[str, Any]


def load_benchmark(
    benchmark: str | None = None,
    hub: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    answer_after: str | None = None,
    wrong_answers: Sequence[str] = (),
    more_columns: Mapping[str, str] | None = None,
    data_dir: str | None = None,
    **unused: Any,
) -> dict[str, datasets.Dataset]:
    """Return the documents of a benchmark as the split `test`.
    columns: document field to column. answer_after: the answer is what follows this mark.
    wrong_answers: columns of the wrong options. more_columns: as columns, of what a row may
    lack. unused: lm-eval passes all model arguments too.
    Raises DataError if the data cannot be loaded or a row lacks a column."""
    if benchmark is None or hub is None or columns is None:
        raise DataError(
            "a task on our _base says where its data is: by dataset_kwargs with benchmark, hub and "
            "columns, or by a dataset_path of its own and `custom_dataset: null`"
        )
    folder = data_dir or os.environ.get(DATA_VARIABLE)
    local = _local_rows(benchmark, folder) if folder else None
    origin = hub["path"] if local is None else f"{folder}/{benchmark}.jsonl"
    rows = _hub_rows(benchmark, hub, folder) if local is None else local
    docs = []
    for index, row in enumerate(rows):
        _check_row(row, (*columns.values(), *wrong_answers), f"{origin}, row {index + 1}")
        own = {field: column for field, column in (more_columns or {}).items() if row.get(column)}
        docs.append(_document(index, row, {**columns, **own}, answer_after, wrong_answers))
    if not docs:
        raise DataError(f"{origin} has no rows")
    (doc_id, count), *_ = Counter(doc["id"] for doc in docs).most_common(1)
    if count > 1:
        raise DataError(f"{origin}: the id {doc_id!r} occurs {count} times")
    return {"test": datasets.Dataset.from_list(docs)}


def _local_rows(benchmark: str, folder: str) -> list[Record] | None:
    """Return the rows of a folder's file, or None if the folder has no such file."""
    path = Path(folder).expanduser() / f"{benchmark}.jsonl"
    if not path.parent.is_dir():
        raise DataError(
            f"data folder {folder!r} does not exist: set {DATA_VARIABLE} or data_dir to a folder "
            f"with {path.name}"
        )
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8") as lines:  # not splitlines: texts may have U+2028
            return [json.loads(line) for line in lines if line.strip()]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is not JSON lines in UTF-8: {error}") from error


def _hub_rows(benchmark: str, hub: Mapping[str, str], folder: str | None) -> Iterable[Record]:
    try:
        rows: Iterable[Record] = datasets.load_dataset(**hub)
        return rows
    except Exception as error:  # the Hub's libraries raise many kinds
        path, said = hub["path"], str(error)
        searched = f" ({folder} has no {benchmark}.jsonl)" if folder else ""
        reason = said.splitlines()[0] if said else type(error).__name__
        if "gated" in said.lower() or path == "Idavidrein/gpqa":
            page = f"https://huggingface.co/datasets/{path}"
            reason = f"accept its licence at {page} and log in with `hf auth login`"
        raise DataError(
            f"{path} cannot be loaded from the Hub{searched}: {reason}. "
            f"Without a network, name a folder that has {benchmark}.jsonl by {DATA_VARIABLE}=... "
            """or --metadata '{"data_dir": "..."}'."""
        ) from error


def _check_row(row: Any, columns: Sequence[str], place: str) -> None:
    if not isinstance(row, Mapping):
        raise DataError(f"{place} is not an object with columns: {str(row)[:60]}")
    for column in columns:
        if column not in row:
            raise DataError(f"{place}: no column {column!r}; has {sorted(row)}")
        if row[column] is None or str(row[column]).strip() == "":
            raise DataError(f"{place}: column {column!r} is empty")


def _document(
    index: int, row: Record, columns: Mapping[str, str], after: str | None, wrong: Sequence[str]
) -> dict[str, Any]:
    doc = {"id": index, **{field: row[column] for field, column in columns.items()}}
    answer = doc["answer"]  # some benchmarks have a list of what is all asked for
    answer = ", ".join(map(str, answer)) if isinstance(answer, list) else str(answer)
    if after:
        answer = answer.rpartition(after)[2].strip().replace(",", "")
    doc |= {"id": str(doc["id"]), "answer": answer}
    if wrong:
        texts = [answer, *(str(row[column]) for column in wrong)]
        doc |= choices(doc["id"], [text.strip() for text in texts])
    return doc


def choices(record_id: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return options in an order that depends on the record alone, and the right letter.
    texts: the right one first. The order is that of a hash of record and text, so it is the same in
    every run, on every machine, and whatever other records there are."""
    hashed = {t: hashlib.sha256(f"{record_id}\x1f{t}".encode()).digest() for t in texts}
    order = sorted(texts, key=lambda text: hashed[text])
    options = dict(zip(LETTERS, order, strict=False))
    return {"options": options, "answer": LETTERS[order.index(texts[0])]}
