"""What a run did on each document, as its samples file says: all numbers at once, or the texts.

The file is read line by line. `Outcomes` keep no text beyond a document's label, so that many runs
fit into memory; texts are passed on as they are: whoever shows them must show them as text."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lm_eval_tts.core import identity
from lm_eval_tts.core.identity import mapping_in
from lm_eval_tts.core.metrics import COSTS
from lm_eval_tts.results import files
from lm_eval_tts.results.files import SampleRow, UnreadFile
from lm_eval_tts.results.runs import Run
from lm_eval_tts.results.statistics import Array

_NOT_METRICS = frozenset(("doc_id", "doc", "target", "arguments", "resps", "filtered_resps"))
# Closing delimiters of thinking in the families that are in use, as in prompts.yaml.
_THOUGHT_ENDS = ("</think>", "</reasoning>", "<|im_start|>answer", "<|channel|>final<|message|>")


def own_rows(run: Run, unread: list[UnreadFile]) -> Iterator[SampleRow]:
    """Yield the rows of a run's own filter. unread: receives what is wrong with the others."""
    for row in files.read_samples(run.samples_path) if run.samples_path else ():
        if isinstance(row, UnreadFile):
            unread.append(row)
        elif row.get("filter", run.filter) == run.filter:
            yield row


def _numbers(row: SampleRow) -> dict[str, float]:
    """Return the metrics of a row that are finite numbers; before 0.4.4 they are not listed."""
    listed = row.get("metrics")
    names = listed if isinstance(listed, list) else [n for n in row if n not in _NOT_METRICS]
    values = {name: files.finite(row.get(name)) for name in names if isinstance(name, str)}
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The documents of a run in their order, and metrics of each."""

    documents: tuple[str, ...]  # keys, equal where question, options and answer are
    questions: tuple[str, ...]  # keys, equal where the question is
    labels: tuple[str, ...]  # for people
    metrics: Mapping[str, Array]  # shape (documents,), means over repeats, NaN where not recorded
    repeats: int = 1  # samples of each document that are in those means


def fingerprint(keys: Iterable[str]) -> str:
    """Return a hash of documents or questions, whatever their order."""
    return identity.text_hash("\n".join(sorted(keys)))[:12]


def read_outcomes(run: Run) -> tuple[Outcomes | None, list[UnreadFile]]:
    """Return what a run did on each document, for its own filter, and what was wrong with its
    samples file; None where there is no usable one."""
    if run.samples_path is None:
        return None, []
    unread: list[UnreadFile] = []
    seen, rows = Counter[str](), []
    for row in own_rows(run, unread):
        key, found, records = identity.document_key(row), _numbers(row), files.records_of(row)
        seen[key] += 1
        unique = key if seen[key] == 1 else f"{key}#{seen[key]}"
        if record := mapping_in(row, "answered"):
            answered = [one.get("answer") is not None for one in records or [record]]
            found["answered"] = sum(answered) / len(answered)
        question, label = identity.question_key(row), identity.document_label(row)
        rows.append((unique, question, label, found, max(len(records), 1)))
    if not rows:
        nothing = UnreadFile(run.samples_path, f"no samples of the filter {run.filter!r} in it")
        return None, unread or [nothing]
    documents, questions, labels, numbers, repeats = zip(*rows, strict=True)
    names = dict.fromkeys(name for some in numbers for name in some)
    if run.metric not in names:
        return None, [*unread, UnreadFile(run.samples_path, f"its samples have no {run.metric!r}")]
    metrics = {name: np.array([some.get(name, np.nan) for some in numbers]) for name in names}
    return Outcomes(documents, questions, labels, metrics, max(repeats)), unread


def read_all(runs: Iterable[Run]) -> tuple[list[tuple[Run, Outcomes | None]], list[UnreadFile]]:
    """Return each run with its outcomes, and what was wrong, one entry for each samples file."""
    read = [(run, *read_outcomes(run)) for run in runs]
    wrong = [one for _, _, some in read for one in some]
    first, numbers = {}, Counter(path for path, _ in wrong)
    for path, reason in reversed(wrong):
        first[path] = reason + (f" (and {numbers[path] - 1} more)" if numbers[path] > 1 else "")
    unread = [UnreadFile(path, first[path]) for path in numbers]
    return [(run, outcomes) for run, outcomes, _ in read], unread


def common_documents(a: Outcomes, b: Outcomes) -> NDArray[np.intp]:
    """Return the places in `a` and `b` of what both have, as in `a`, of shape (2, documents)."""
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


class TriedStep(NamedTuple):
    """A step that a search has tried."""

    parent: int  # its place among the steps, -1 for none
    text: str
    score: float | None  # of the path that ends with it
    state: str  # on the "chosen" path, the end of a "complete" one, "kept" or "dropped"


class SampleTexts(NamedTuple):
    """One document of a run with all its responses."""

    label: str
    problem: str  # the question, with its options
    prompt: str  # as it was sent, to the letter, where that is noted
    settings: Mapping[str, Any]  # the generation kwargs
    responses: list[tuple[str, str]]  # thinking and answer of each
    pieces: list[list[tuple[str, int]]]  # of each, as in `harness.response.Details`
    extracted: list[str]  # the answer that was graded, of each
    reference: str
    score: float | None  # the mean over the responses
    figures: dict[str, float]  # the other numbers of the row
    points: list[dict[str, Any]]  # label, text, answer, score and tokens of each, of one response
    candidates: list[dict[str, Any]]  # as in `tasks.measures`, of one response
    tree: list[TriedStep]  # each after its parent, of one response

    @property
    def answers_at_points(self) -> list[dict[str, Any]]:
        """The points without their texts."""
        return [{n: v for n, v in point.items() if n != "response"} for point in self.points]


def read_sample_texts(run: Run) -> Iterator[SampleTexts]:
    """Yield the samples of a run's own filter, one at a time; broken lines are left out."""
    return (_sample(row, run.metric) for row in own_rows(run, []))


def sample_of(run: Run, document: str | None) -> SampleTexts | None:
    """Return a document of a run by its label or number, the first by default; None without it."""
    found = enumerate(read_sample_texts(run))
    return next((s for n, s in found if document in (None, s.label, str(n))), None)


def _sample(row: SampleRow, metric: str) -> SampleTexts:
    requests = _items(row.get("arguments"))  # lists before 0.4.3
    prompt, kwargs, *_ = [*_items(requests[0] if requests else None), None, None]
    prompt = str(prompt or "")
    settings: Mapping[str, Any] = kwargs if isinstance(kwargs, dict) else {}
    doc, records = mapping_in(row, "doc"), files.records_of(row)
    texts = files.texts_in(row.get("resps"))
    lines = [f"{k}) {v}" for k, v in mapping_in(doc, "options").items() if v is not None]
    end = str(settings.get("thinking_end") or "")
    first, text = records[0] if records else {}, texts[0] if texts else ""
    candidates = [one for one in _items(first.get("candidates")) if isinstance(one, dict)]
    return SampleTexts(
        label=identity.document_label(row),
        problem=(identity.question_of(doc) or prompt) + "\n\n" * bool(lines) + "\n".join(lines),
        prompt=str(mapping_in(mapping_in(row, "answered"), "prompt").get("text") or prompt),
        settings=settings,
        responses=[_split_thinking(text, end.strip()) for text in texts],
        pieces=list(map(_pieces, records)),
        extracted=files.texts_in(row.get("filtered_resps")),
        reference=str(row.get("target", "")),
        score=files.finite(row.get(metric)),
        figures={name: value for name, value in _numbers(row).items() if name != metric},
        points=list(_points(row, first, text, metric)),
        candidates=candidates,
        tree=_tree(first.get("tree"), candidates, text),
    )


def _items(given: Any) -> list[Any]:
    """Return what a list or a mapping has; nothing of anything else."""
    if isinstance(given, dict):
        return list(given.values())
    return given if isinstance(given, list) else []


def _split_thinking(text: str, thinking_end: str) -> tuple[str, str]:
    """Return the thinking, its delimiters included, and what follows the last end of it."""
    ends = [thinking_end] if thinking_end else _THOUGHT_ENDS
    place = max((text.rfind(end) + len(end) for end in ends if end in text), default=0)
    return text[:place], text[place:]


def _pieces(record: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return what a response consists of: kinds and numbers of characters."""
    pairs = (one for one in _items(record.get("pieces")) if len(files.texts_in(one)) == 2)
    return [(str(kind), int(files.finite(number) or 0)) for kind, number in pairs]


def _points(
    row: SampleRow, record: Mapping[str, Any], text: str, metric: str
) -> Iterator[dict[str, Any]]:
    texts = files.point_texts(record, text)
    for label, answer in mapping_in(record, "points").items():
        counts = {name: files.finite(row.get(f"{name}@{label}")) for name in COSTS}
        yield {
            "point": label,
            "response": texts.get(label),
            "answer": answer,
            "score": files.finite(row.get(f"{metric}@{label}")),
            **{name: count for name, count in counts.items() if count is not None},
        }


def _tree(found: Any, candidates: Sequence[Mapping[str, Any]], response: str) -> list[TriedStep]:
    """Return the steps that a samples file has, up to the first that is not one."""
    steps: list[tuple[int, str, float | None]] = []
    for one in _items(found):
        match one:
            case [int(parent), str(text), score] if -1 <= parent < len(steps):
                steps.append((parent, text, files.finite(score)))
            case _:
                break
    complete = {files.finite(candidate.get("last_step")) for candidate in candidates}
    place = next((c.get("last_step") for c in candidates if c.get("text") == response), None)
    chosen = set[int]()
    while isinstance(place, int) and 0 <= place < len(steps):
        chosen.add(place)
        place = steps[place][0]
    states = {parent: "kept" for parent, _, _ in steps}
    states |= {place: "complete" for place in range(len(steps)) if place in complete}
    states |= dict.fromkeys(chosen, "chosen")
    return [TriedStep(*step, states.get(n, "dropped")) for n, step in enumerate(steps)]
