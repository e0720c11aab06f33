"""Responses to metrics: what lm_eval calls after generation.

The filter `tts_grade` grades the responses of a task; lm_eval logs the extracted answers as
`filtered_resps`. `process_results` turns them into metrics. Works on the responses of any model:
what a plain text cannot show (token counts, say) is left out."""

import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from lm_eval.api.filter import Filter
from lm_eval.api.registry import register_filter
from tqdm import tqdm

from lm_eval_tts.errors import failure_of
from lm_eval_tts.grading import Item, Verdict, answer_classes, format_adherence, grade_many
from lm_eval_tts.harness.response import Doc, Response, details_of, item_of
from lm_eval_tts.harness.run_state import watched_state
from lm_eval_tts.tasks import measures

logger = logging.getLogger(__name__)

NO_ANSWER = "[invalid]"  # as lm_eval's own extraction filters write it
UNGRADED = Verdict(correct=False, answer=None, source=None, state="none", loop=False)


class Graded(str):
    """An extracted answer, with the response it is from and the verdicts on it.
    failure: why there is no verdict, if the request failed or the grader raised. none_served: every
    request of the task failed, as far as this process has them."""

    response: str
    verdict: Verdict
    points: dict[str, Verdict]
    candidates: list[Verdict]
    failure: str | None = None
    none_served: bool = False


@register_filter("tts_grade")
class GradeFilter(Filter):
    """Grades every response of a task.
    target_of: a document to its right answer, where that is not its field `answer`."""

    def __init__(self, target_of: Callable[[Doc], Any] | None = None, **unused: Any) -> None:
        """Take what a task file may say of a filter too."""
        super().__init__()
        self._target_of = target_of

    def _item(self, text: str, doc: Doc) -> Item:
        if self._target_of is not None:
            target, options = self._target_of(doc), doc.get("options")
            if options and isinstance(target, int):  # lm_eval's number of the right choice
                target = list(options)[target]
            doc = {**doc, "answer": str(target)}
        return item_of(text, doc)

    def apply(self, resps: Iterable[Sequence[str]], docs: Iterable[Doc]) -> list[list[Graded]]:
        """Return for each document the graded answers of its repeats."""
        pairs = tqdm(list(zip(resps, docs, strict=True)), desc="grading")
        graded = [
            [self._graded(r, doc) for r in some if not details_of(r).padding] for some, doc in pairs
        ]
        if not any(map(_served, graded)):
            for answer in chain.from_iterable(graded):
                answer.none_served = True
        return graded

    def _graded(self, response: str, doc: Doc) -> Graded:
        details = details_of(response)
        texts = (response, *details.points.values(), *details.candidates)
        try:  # a document of a user's own task may be anything
            verdicts, failure = grade_many([self._item(text, doc) for text in texts]), None
        except Exception as error:
            verdicts, failure = [UNGRADED] * len(texts), note_ungraded(error)
        graded = Graded(NO_ANSWER if verdicts[0].answer is None else verdicts[0].answer)
        graded.response, graded.verdict = response, verdicts[0]
        graded.points = dict(zip(details.points, verdicts[1:], strict=False))
        graded.candidates = verdicts[1 + len(details.points) :]
        graded.failure = details.failure or failure
        return graded


def note_ungraded(error: Exception) -> str:
    """Say that a document was answered and could not be graded, count it, and return why."""
    failure = str(failure_of("grading", error))
    logger.warning("a document could not be graded: %s", failure)
    if state := watched_state():
        state.tally["failed"] += 1
    return failure


def _served(graded: Sequence[Graded]) -> list[Graded]:
    return [answer for answer in graded if answer.failure is None]


def process_results(doc: Doc, results: Sequence[Any]) -> dict[str, Any]:
    """Return the metrics of one document, averaged over its repeats. Repeats of one response each
    have the metrics of samples too, such as pass@k and maj@k. A request that failed is neither
    right nor wrong: it counts in `failed` alone. A document whose requests all failed, or that
    cannot be graded, has no other metric; lm_eval averages each over the documents that have it.
    Where that leaves none, the metrics are NaN.
    results: the graded answers; lm_eval 0.4 wraps them in one more list than 0.5 does."""
    try:
        return _document_metrics(doc, results[0] if isinstance(results[0], list) else results)
    except Exception as error:
        return {"failed": 1.0, "answered": {"answer": None, "failure": note_ungraded(error)}}


def _document_metrics(doc: Doc, graded: Sequence[Graded]) -> dict[str, Any]:
    served = _served(graded)
    each = [_metrics(answer) for answer in served]
    means = {name: sum(metrics[name] for metrics in each) / len(each) for name in (each or [{}])[0]}
    if len(graded) > 1 and served and not served[0].candidates:  # repeats are samples too
        correct = [float(answer.verdict.correct) for answer in served]
        classes = answer_classes([answer.verdict.answer for answer in served])
        means |= measures.sample_metrics(correct, classes, {})
    if graded[0].none_served:
        means = dict.fromkeys(_metrics(graded[0]), math.nan)
    if isinstance(graded[0].response, Response) or len(served) < len(graded):
        means["failed"] = 1 - len(served) / len(graded)
    answered = measures.answered(list(map(_record, graded)), graded[0].response)
    metrics: dict[str, Any] = {**means, "answered": answered}
    # The accuracy by category and subject: lm_eval averages each over the documents that have it.
    for text in (str(doc.get(field) or "") for field in ("category", "subject")):
        if name := re.sub(r"\W+", "_", text).strip("_").lower():
            scores = [score for score in means if score.partition("@")[0] == "exact_match"]
            metrics |= {s.replace("match", f"match_{name}", 1): means[s] for s in scores}
    return metrics


def _metrics(graded: Graded) -> dict[str, float]:
    verdict = graded.verdict
    metrics = {
        "exact_match": float(verdict.correct),
        "answer_in_thinking": float(verdict.source == "thinking"),
        "loop": float(verdict.loop),
        "undecided": float(verdict.undecided),
    }
    tags = details_of(graded.response).tags
    if any(tags):
        adherence = format_adherence(str(graded.response), tags)
        metrics["format_strict"] = float(adherence.strict)
        metrics["format_soft"] = float(adherence.soft)
    metrics |= measures.usage_metrics(graded.response)
    metrics |= {f"exact_match@{at}": float(point.correct) for at, point in graded.points.items()}
    if graded.candidates:
        metrics |= measures.candidate_metrics(graded.response, graded.candidates)
    return metrics


def _record(graded: Graded) -> dict[str, Any]:
    """Return what is to be read in the samples file about one answer."""
    verdict = graded.verdict
    record: dict[str, Any] = {n: getattr(verdict, n) for n in ("answer", "source", "state")}
    if verdict.reference is not None:
        record["reference"] = verdict.reference  # read out of a whole solution
    if graded.points:
        record["points"] = {label: point.answer for label, point in graded.points.items()}
    record |= measures.text_record(graded.response)
    if graded.failure is not None:
        record["failure"] = graded.failure
    if graded.candidates:
        answers = [verdict.answer for verdict in graded.candidates]
        correct, classes = [v.correct for v in graded.candidates], answer_classes(answers)
        record["candidates"] = measures.candidate_records(
            graded.response, answers, correct, classes
        )
    return record


def share_answered(records: Sequence[Mapping[str, Any]]) -> float:
    """Return the share of responses with an answer that could be read; NaN if all have failed."""
    each = [record for some in records for record in some.get("repeats", [some])]
    served = [record for record in each if "failure" not in record]
    return sum(r["answer"] is not None for r in served) / len(served) if served else math.nan
