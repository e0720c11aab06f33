"""What a problem is known by, in a benchmark, a recording and a samples file, and a run.

A document is what a task makes of a problem; a row is what a samples file has of one document.
Which model arguments decide what is answered is in arguments.yaml: one that says where a model
runs, how fast, or what to do after a failure does not decide, so runs that differ in it alone are
runs of one setup. What only rounds differently, such as another batch size, kernel or number of
devices, does not decide either; another type of numbers does."""

import hashlib
from collections.abc import Mapping, Sequence
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
