"""What a run did on each document: numbers only, so that many runs fit into memory.

Read from a samples file line by line; no text is kept beyond a document's label."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lm_eval_tts.core import identity
from lm_eval_tts.results.files import SampleRow, UnreadFile, finite, read_samples
from lm_eval_tts.results.runs import Run
from lm_eval_tts.results.statistics import Array

_NOT_METRICS = frozenset(("doc_id", "doc", "target", "arguments", "resps", "filtered_resps"))


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The documents of a run in their order, and metrics of each."""

    documents: tuple[str, ...]  # keys, equal where question, options and answer are
    questions: tuple[str, ...]  # keys, equal where the question is
    labels: tuple[str, ...]  # for people
    metrics: Mapping[str, Array]  # shape (documents,), means over repeats, NaN where not recorded
    repeats: int = 1  # samples of each document that are in those means

    @property
    def fingerprint(self) -> str:
        """A hash of the documents, whatever their order."""
        return identity.text_hash("\n".join(sorted(self.documents)))[:12]

    @property
    def question_fingerprint(self) -> str:
        """A hash of the questions, whatever their order."""
        return identity.text_hash("\n".join(sorted(self.questions)))[:12]


def read_outcomes(run: Run) -> tuple[Outcomes | None, list[UnreadFile]]:
    """Return what a run did on each document, for its own filter, and what was wrong with its
    samples file; None where there is no usable one."""
    if run.samples_path is None:
        return None, []
    unread: list[UnreadFile] = []
    rows = list(_documents(run, unread))
    if not rows:
        nothing = UnreadFile(run.samples_path, f"no samples of the filter {run.filter!r} in it")
        return None, unread or [nothing]
    documents, questions, labels, numbers, repeats = zip(*rows, strict=True)
    names = dict.fromkeys(name for some in numbers for name in some)
    if run.metric not in names:
        return None, [*unread, UnreadFile(run.samples_path, f"its samples have no {run.metric!r}")]
    metrics = {name: np.array([some.get(name, np.nan) for some in numbers]) for name in names}
    return Outcomes(documents, questions, labels, metrics, max(repeats)), unread


_Document = tuple[str, str, str, dict[str, float], int]


def _documents(run: Run, unread: list[UnreadFile]) -> Iterator[_Document]:
    """Yield key, question, label, metrics and number of samples of each document."""
    seen: Counter[str] = Counter()
    for row in own_rows(run, unread):
        key = identity.document_key(row)
        seen[key] += 1
        unique = key if seen[key] == 1 else f"{key}#{seen[key]}"
        question, label = identity.question_key(row), identity.document_label(row)
        yield unique, question, label, _numbers(row), num_repeats(row)


def own_rows(run: Run, unread: list[UnreadFile]) -> Iterator[SampleRow]:
    """Yield the rows of a run's own filter. unread: receives what is wrong with the others."""
    for row in read_samples(run.samples_path) if run.samples_path else ():
        if isinstance(row, UnreadFile):
            unread.append(row)
        elif row.get("filter", run.filter) == run.filter:
            yield row


def common_documents(a: Outcomes, b: Outcomes) -> NDArray[np.intp]:
    """Return the places in `a` and in `b` of the documents that both have, in the order of `a`.
    Shape (2, documents)."""
    if a.documents == b.documents:
        return np.tile(np.arange(len(a.documents)), (2, 1))
    place = {key: index for index, key in enumerate(b.documents)}
    common = [(i, place[key]) for i, key in enumerate(a.documents) if key in place]
    places: NDArray[np.intp] = np.array(common, np.intp).reshape(-1, 2).T
    return places


def paired(a: Outcomes, b: Outcomes, metric_a: str, metric_b: str) -> tuple[Array, Array]:
    """Return metrics of the documents for which both have a value, each of shape (documents,)."""
    places_a, places_b = common_documents(a, b)
    left, right = a.metrics[metric_a][places_a], b.metrics[metric_b][places_b]
    known = ~(np.isnan(left) | np.isnan(right))
    return left[known], right[known]


def num_repeats(row: SampleRow) -> int:
    """Return how many samples a row's metrics are the mean of."""
    repeats = identity.mapping_in(row, "answered").get("repeats")
    return len(repeats) if isinstance(repeats, list) and repeats else 1


def _numbers(row: SampleRow) -> dict[str, float]:
    found = numbers_of(row)
    if record := identity.mapping_in(row, "answered"):
        each = record.get("repeats") or [record]
        answered = [isinstance(one, dict) and one.get("answer") is not None for one in each]
        found["answered"] = sum(answered) / len(each)
    return found


def numbers_of(row: SampleRow) -> dict[str, float]:
    """Return the metrics of a row that are finite numbers; before 0.4.4 they are not listed."""
    listed = row.get("metrics")
    names = listed if isinstance(listed, list) else [n for n in row if n not in _NOT_METRICS]
    values = {name: finite(row.get(name)) for name in names if isinstance(name, str)}
    return {name: value for name, value in values.items() if value is not None}
