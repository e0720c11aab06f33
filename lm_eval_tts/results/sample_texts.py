"""The texts of a samples file as a report shows them: problem, thinking, answer, verdict.

Texts are passed on as they are: whoever shows them must show them as text."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lm_eval_tts.core.identity import document_label, mapping_in, question_of
from lm_eval_tts.results.documents import numbers_of, own_rows
from lm_eval_tts.results.files import SampleRow, finite, texts_in
from lm_eval_tts.results.runs import Run

# Closing delimiters of thinking in the families that are in use, as in prompts.yaml.
_OF_CHANNELS = ("<|im_start|>answer", "<|channel|>final<|message|>")
_THINKING_ENDS = ("</think>", "</reasoning>", *_OF_CHANNELS)


class SampleTexts(NamedTuple):
    """One document of a run with all its responses."""

    label: str
    problem: str  # the question, with its options
    prompt: str
    responses: list[tuple[str, str]]  # thinking and answer of each
    extracted: list[str]  # the answer that was graded, of each
    reference: str
    score: float | None  # the mean over the responses
    figures: dict[str, float]  # the other numbers of the row


def read_sample_texts(run: Run) -> Iterator[SampleTexts]:
    """Yield the samples of a run's own filter, one at a time; broken lines are left out."""
    return (_sample(row, run.metric) for row in own_rows(run, []))


def _sample(row: SampleRow, metric: str) -> SampleTexts:
    prompt, kwargs = _arguments(row)
    end = kwargs.get("thinking_end")
    return SampleTexts(
        label=document_label(row),
        problem=_problem(row, prompt),
        prompt=prompt,
        responses=[split_thinking(text, str(end or "")) for text in texts_in(row.get("resps"))],
        extracted=texts_in(row.get("filtered_resps")),
        reference=str(row.get("target", "")),
        score=finite(row.get(metric)),
        figures={name: value for name, value in numbers_of(row).items() if name != metric},
    )


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
