"""The texts of a samples file as a report shows them: problem, thinking, answer, verdict.

Texts are passed on as they are: whoever shows them must show them as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lm_eval_tts.results.documents import document_label, metric_names
from lm_eval_tts.results.files import Problem, Row, finite, read_samples
from lm_eval_tts.results.runs import Run

# Closing delimiters of thinking in the families that are in use, as in prompts.yaml.
THINKING_ENDS = (
    "</think>", "</reasoning>", "<|im_start|>answer", "<|channel|>final<|message|>",
)  # fmt: skip
_QUESTIONS = ("question", "problem", "Question", "Problem", "query", "input")


class Sample(NamedTuple):
    """One document of a run with all its responses.

    responses: (thinking, answer) of each. extracted: the answer that was graded, of each. score:
    the mean over them. figures: the other numbers of the row.
    """

    label: str
    problem: str
    prompt: str
    responses: list[tuple[str, str]]
    extracted: list[str]
    reference: str
    score: float | None
    figures: dict[str, float]


def read_sample_texts(run: Run) -> Iterator[Sample]:
    """Yield the samples of a run's own filter, one at a time; broken lines are left out."""
    if run.samples_path is None:
        return
    for row in read_samples(run.samples_path):
        if not isinstance(row, Problem) and row.get("filter", run.filter) == run.filter:
            yield _sample(row, run.metric)


def _sample(row: Row, metric: str) -> Sample:
    prompt, kwargs = _arguments(row)
    end = str(kwargs.get("thinking_end") or "")
    figures = {name: finite(row.get(name)) for name in metric_names(row) if name != metric}
    return Sample(
        label=document_label(row),
        problem=_question(row, prompt),
        prompt=prompt,
        responses=[
            split_thinking(text, end if isinstance(end, str) else None)
            for text in _texts(row["resps"])
        ]
        if "resps" in row
        else [],
        extracted=_texts(row.get("filtered_resps")),
        reference=str(row.get("target", "")),
        score=finite(row.get(metric)),
        figures={name: value for name, value in figures.items() if value is not None},
    )


def _arguments(row: Row) -> tuple[str, Mapping[str, Any]]:
    """Return the prompt and the generation kwargs; before 0.4.3 they stood in lists."""
    requests = _items(row.get("arguments"))
    prompt, kwargs, *_ = [*_items(requests[0] if requests else None), None, None]
    return str(prompt or ""), kwargs if isinstance(kwargs, dict) else {}


def _items(given: Any) -> list[Any]:
    if isinstance(given, dict):
        return list(given.values())
    return given if isinstance(given, list) else []


def _question(row: Row, prompt: str) -> str:
    doc = row.get("doc")
    if not isinstance(doc, dict):
        return prompt
    question = next((str(doc[name]) for name in _QUESTIONS if doc.get(name)), prompt)
    options = doc.get("options")
    if isinstance(options, dict):
        question += "\n\n" + "\n".join(f"{k}) {v}" for k, v in options.items() if v is not None)
    return question


def _texts(given: Any) -> list[str]:
    """Return the texts of nested lists, as lm-eval keeps responses."""
    if isinstance(given, list):
        return [text for some in given for text in _texts(some)]
    return [] if given is None else [str(given)]


def split_thinking(text: str, thinking_end: str = "") -> tuple[str, str]:
    """Return the thinking, its delimiters included, and what follows the last end of it."""
    ends = [thinking_end.strip()] if thinking_end.strip() else THINKING_ENDS
    place = max((text.rfind(end) + len(end) for end in ends if end in text), default=0)
    return text[:place], text[place:]
