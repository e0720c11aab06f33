"""The texts of a samples file as a report shows them: problem, thinking, answer, verdict.

Texts are passed on as they are: whoever shows them must show them as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lm_eval_tts.results.files import Problem, Row, read_samples
from lm_eval_tts.results.outcomes import document_label
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
    listed = row.get("metrics")
    names = [n for n in listed if n != metric] if isinstance(listed, list) else []
    score, end = row.get(metric), kwargs.get("thinking_end")
    return Sample(
        label=document_label(row),
        problem=_question(row, prompt),
        prompt=prompt,
        responses=[split_thinking(text, end) for text in _texts(row["resps"])]
        if "resps" in row
        else [],
        extracted=_texts(row.get("filtered_resps")),
        reference=str(row.get("target", "")),
        score=float(score) if isinstance(score, (bool, int, float)) else None,
        figures={n: row[n] for n in names if isinstance(row.get(n), (bool, int, float))},
    )


def _arguments(row: Row) -> tuple[str, Mapping[str, Any]]:
    """Return the prompt and the generation kwargs; before 0.4.3 they stood in lists."""
    given = row.get("arguments")
    each = list(given.values()) if isinstance(given, dict) else given
    first: Any = each[0] if isinstance(each, list) and each else []
    values = list(first.values()) if isinstance(first, dict) else first
    prompt = str(values[0]) if values else ""
    kwargs = values[1] if len(values) > 1 and isinstance(values[1], dict) else {}
    return prompt, kwargs


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


def split_thinking(text: str, thinking_end: str | None = None) -> tuple[str, str]:
    """Return the thinking, its delimiters included, and what follows the last end of it."""
    ends = [thinking_end.strip()] if thinking_end and thinking_end.strip() else THINKING_ENDS
    place = max((text.rfind(end) + len(end) for end in ends if end in text), default=0)
    return text[:place], text[place:]
