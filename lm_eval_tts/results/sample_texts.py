"""The texts of a samples file as a report shows them: problem, thinking, answer, verdict.

Texts are passed on as they are: whoever shows them must show them as text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lm_eval_tts.core.identity import document_label, mapping_in, question_of
from lm_eval_tts.core.metrics import COSTS
from lm_eval_tts.results.documents import numbers_of, own_rows
from lm_eval_tts.results.files import SampleRow, finite, point_texts, records_of, texts_in
from lm_eval_tts.results.runs import Run

# Closing delimiters of thinking in the families that are in use, as in prompts.yaml.
_OF_CHANNELS = ("<|im_start|>answer", "<|channel|>final<|message|>")
_THINKING_ENDS = ("</think>", "</reasoning>", *_OF_CHANNELS)


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


def read_sample_texts(run: Run) -> Iterator[SampleTexts]:
    """Yield the samples of a run's own filter, one at a time; broken lines are left out."""
    return (_sample(row, run.metric) for row in own_rows(run, []))


def sample_of(run: Run, document: str | None) -> SampleTexts | None:
    """Return a document of a run by its label or number, the first by default; None without it."""
    for number, sample in enumerate(read_sample_texts(run)):
        if document in (None, sample.label, str(number)):
            return sample
    return None


def _sample(row: SampleRow, metric: str) -> SampleTexts:
    prompt, settings = _arguments(row)
    end, texts, records = settings.get("thinking_end"), texts_in(row.get("resps")), records_of(row)
    first = records[0] if records else {}
    sent = mapping_in(mapping_in(row, "answered"), "prompt").get("text")
    listed = first.get("candidates")
    candidates = [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) else []
    return SampleTexts(
        label=document_label(row),
        problem=_problem(row, prompt),
        prompt=str(sent or prompt),
        settings=settings,
        responses=[split_thinking(text, str(end or "")) for text in texts],
        pieces=[pieces_of(record) for record in records],
        extracted=texts_in(row.get("filtered_resps")),
        reference=str(row.get("target", "")),
        score=finite(row.get(metric)),
        figures={name: value for name, value in numbers_of(row).items() if name != metric},
        points=list(_points(row, first, texts[0] if texts else "", metric)),
        candidates=candidates,
        tree=_tree(first.get("tree"), candidates, texts[0] if texts else ""),
    )


def pieces_of(record: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return what a response consists of: kinds and numbers of characters."""
    found = record.get("pieces")
    pairs = [one for one in found if len(texts_in(one)) == 2] if isinstance(found, list) else []
    return [(str(kind), int(finite(number) or 0)) for kind, number in pairs]


def _tree(found: Any, candidates: Sequence[Mapping[str, Any]], response: str) -> list[TriedStep]:
    """Return the steps that a samples file has, up to the first that is not one."""
    steps: list[tuple[int, str, float | None]] = []
    for one in found if isinstance(found, list) else []:
        match one:
            case [int(parent), str(text), score] if -1 <= parent < len(steps):
                steps.append((parent, text, finite(score)))
            case _:
                break
    complete = {finite(candidate.get("last_step")) for candidate in candidates}
    place = next((c.get("last_step") for c in candidates if c.get("text") == response), None)
    chosen = set[int]()
    while isinstance(place, int) and 0 <= place < len(steps):
        chosen.add(place)
        place = steps[place][0]
    states = {parent: "kept" for parent, _, _ in steps}
    states |= {place: "complete" for place in range(len(steps)) if place in complete}
    states |= dict.fromkeys(chosen, "chosen")
    return [TriedStep(*step, states.get(n, "dropped")) for n, step in enumerate(steps)]


def _points(
    row: SampleRow, record: Mapping[str, Any], text: str, metric: str
) -> Iterator[dict[str, Any]]:
    answers = mapping_in(record, "points")
    texts = point_texts(record, text)
    for label in answers:
        counts = {name: finite(row.get(f"{name}@{label}")) for name in COSTS}
        yield {
            "point": label,
            "response": texts.get(label),
            "answer": answers[label],
            "score": finite(row.get(f"{metric}@{label}")),
            **{name: count for name, count in counts.items() if count is not None},
        }


def _arguments(row: SampleRow) -> tuple[str, Mapping[str, Any]]:
    """Return the prompt and the generation kwargs; before 0.4.3 they stood in lists."""
    requests = _items(row.get("arguments"))
    prompt, kwargs, *_ = [*_items(requests[0] if requests else None), None, None]
    return str(prompt or ""), kwargs if isinstance(kwargs, dict) else {}


def _items(given: Any) -> list[Any]:
    if isinstance(given, dict):
        return list(given.values())
    return given if isinstance(given, list) else []


def _problem(row: SampleRow, prompt: str) -> str:
    doc = mapping_in(row, "doc")
    options = mapping_in(doc, "options").items()
    lines = "\n".join(f"{k}) {v}" for k, v in options if v is not None)
    return (question_of(doc) or prompt) + (f"\n\n{lines}" if options else "")


def split_thinking(text: str, thinking_end: str = "") -> tuple[str, str]:
    """Return the thinking, its delimiters included, and what follows the last end of it."""
    ends = [thinking_end.strip()] if thinking_end.strip() else _THINKING_ENDS
    place = max((text.rfind(end) + len(end) for end in ends if end in text), default=0)
    return text[:place], text[place:]
