"""What a run did on each document: numbers only, so that many runs fit into memory.

Read from a samples file line by line; no text is kept beyond a document's label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lm_eval_tts.results.files import Problem, Row, finite, read_samples
from lm_eval_tts.results.runs import Run

Array = NDArray[np.float64]
_NOT_METRICS = frozenset(("doc_id", "doc", "target", "arguments", "resps", "filtered_resps"))


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The documents of a run in their order, and metrics of each.

    documents: a key of each, equal in two runs where question, options and answer are equal.
    questions: the same without options and answer. labels: for people. metrics: name to values of
    shape (documents,), means over a document's repeats, NaN where not recorded. repeats: samples
    of each document that are in those means.
    """

    documents: tuple[str, ...]
    questions: tuple[str, ...]
    labels: tuple[str, ...]
    metrics: Mapping[str, Array]
    repeats: int = 1

    @property
    def fingerprint(self) -> str:
        """A hash of the documents, whatever their order."""
        return _hash("\n".join(sorted(self.documents)))[:12]

    @property
    def question_fingerprint(self) -> str:
        """A hash of the questions, whatever their order."""
        return _hash("\n".join(sorted(self.questions)))[:12]


class Read(NamedTuple):
    """Outcomes, None where a run has no usable samples file, and what was wrong with it."""

    outcomes: Outcomes | None
    problems: list[Problem]


def read_outcomes(run: Run) -> Read:
    """Return what a run did on each document, for its own filter."""
    if run.samples_path is None:
        return Read(None, [])
    rows: list[tuple[str, str, str, Mapping[str, float]]] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    repeats = 1
    for row in read_samples(run.samples_path):
        if isinstance(row, Problem):
            problems.append(row)
        elif row.get("filter", run.filter) == run.filter:
            key = document_key(row)
            seen[key] = seen.get(key, 0) + 1
            key = key if seen[key] == 1 else f"{key}#{seen[key]}"
            rows.append((key, _question_key(row, key), document_label(row), _numbers(row)))
            repeats = max(repeats, num_repeats(row))
    if not rows:
        reason = f"no samples of the filter {run.filter!r} in it"
        return Read(None, problems or [Problem(run.samples_path, reason)])
    names = dict.fromkeys(name for *_, numbers in rows for name in numbers)
    if run.metric not in names:
        reason = f"its samples have no {run.metric!r}"
        return Read(None, [*problems, Problem(run.samples_path, reason)])
    metrics = {
        name: np.array([numbers.get(name, np.nan) for *_, numbers in rows]) for name in names
    }
    documents, questions, labels, _ = zip(*rows, strict=True)
    return Read(Outcomes(documents, questions, labels, metrics, repeats), problems)


def common_documents(a: Outcomes, b: Outcomes) -> NDArray[np.intp]:
    """Return the places in `a` and in `b` of the documents that both have, in the order of `a`.

    Shape (2, documents).
    """
    if a.documents == b.documents:
        return np.tile(np.arange(len(a.documents)), (2, 1))
    place = {key: index for index, key in enumerate(b.documents)}
    common = [(i, place[key]) for i, key in enumerate(a.documents) if key in place]
    places: NDArray[np.intp] = np.array(common, np.intp).reshape(-1, 2).T
    return places


def document_key(row: Row) -> str:
    """Return a key that is equal where the document is: lm-eval's hash of it, else its number."""
    if isinstance(row.get("doc_hash"), str):
        return str(row["doc_hash"])[:16]
    return f"{row.get('doc_id')}:{_hash(str(row.get('target')))[:8]}"


def document_label(row: Row) -> str:
    """Return what people know a document by: its id, else its number."""
    doc = _mapping(row, "doc")
    names = (doc.get("id"), doc.get("unique_id"), doc.get("Record ID"), row.get("doc_id"))
    return next((str(name) for name in names if name not in (None, "")), "?")


def num_repeats(row: Row) -> int:
    """Return how many samples a row's metrics are the mean of."""
    repeats = _mapping(row, "answered").get("repeats")
    return len(repeats) if isinstance(repeats, list) and repeats else 1


def _question_key(row: Row, key: str) -> str:
    doc = _mapping(row, "doc")
    if "options" not in doc:
        return key
    return _hash(f"{doc.get('id')}\x1f{doc.get('question')}")[:16]


def _numbers(row: Row) -> dict[str, float]:
    """Return the numeric metrics of a row."""
    found = {
        name: value for name in metric_names(row) if (value := finite(row.get(name))) is not None
    }
    if record := _mapping(row, "answered"):
        found["answered"] = _share_answered(record)
    return found


def metric_names(row: Row) -> list[str]:
    """Return the names of a row's metrics; before 0.4.4 they are not listed."""
    listed = row.get("metrics")
    if isinstance(listed, list):
        return [name for name in listed if isinstance(name, str)]
    return [name for name in row if name not in _NOT_METRICS]


def _share_answered(record: Mapping[str, Any]) -> float:
    each = record.get("repeats") or [record]
    return sum(isinstance(one, dict) and one.get("answer") is not None for one in each) / len(each)


def _mapping(row: Row, key: str) -> Mapping[str, Any]:
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
