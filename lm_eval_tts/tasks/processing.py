"""Responses to metrics: what lm_eval calls after generation.

The filter `tts_grade` grades all responses of a task at once, over all cores; lm_eval logs the
extracted answers as `filtered_resps`. `process_results` turns them into metrics. Works on the
responses of any model: what a plain text cannot show (token counts, say) is left out."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

from lm_eval.api.filter import Filter
from lm_eval.api.registry import register_filter

from lm_eval_tts.errors import RequestError, failure_of
from lm_eval_tts.grading import Item, Verdict, answer_classes, format_adherence, grade_many
from lm_eval_tts.harness.response import Doc, Response, details_of, item_of, tags_in
from lm_eval_tts.harness.run_state import note_failed_document
from lm_eval_tts.tasks import measures

logger = logging.getLogger(__name__)

T = TypeVar("T")
NO_ANSWER = "[invalid]"  # as lm_eval's own extraction filters write it
UNGRADED = Verdict(correct=False, answer=None, source=None, state="none", loop=False)


class Graded(str):
    """An extracted answer, with the response it is from and the verdicts on it.
    failure: why there is no verdict, if the grader raised. none_served: every request of the task
    failed, as far as this process has them."""

    response: str
    verdict: Verdict
    points: dict[str, Verdict]
    candidates: list[Verdict]
    failure: str | None = None
    none_served: bool = False


@register_filter("tts_grade")
class GradeFilter(Filter):
    """Grades every response of a task at once.
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
        per_doc = [[r for r in some if not details_of(r).padding] for some in resps]
        items = [
            _or_failure(self._item, text, doc)  # a document of a user's own task may be anything
            for some, doc in zip(per_doc, docs, strict=True)
            for response in some
            for known in [details_of(response)]
            for text in (response, *known.points.values(), *known.candidates)
        ]
        verdicts = iter(_grade(items))
        graded = [[_take(response, verdicts) for response in some] for some in per_doc]
        if not any(map(_served, graded)):
            for answer in chain.from_iterable(graded):
                answer.none_served = True
        return graded


def _or_failure(function: Callable[..., T], *given: Any) -> T | RequestError:
    try:
        return function(*given)
    except Exception as error:
        return failure_of("grading", error)


def _grade(items: Sequence[Item | RequestError]) -> list[Verdict | RequestError]:
    """Grade all at once; if that raises, each alone, so that it is the failure of one."""
    good = [item for item in items if isinstance(item, Item)]
    try:
        verdicts: Iterator[Verdict | RequestError] = iter(grade_many(good, progress=True))
    except Exception:
        verdicts = (_or_failure(lambda item: grade_many([item])[0], item) for item in good)
    return [next(verdicts) if isinstance(item, Item) else item for item in items]


def _take(response: str, verdicts: Iterator[Verdict | RequestError]) -> Graded:
    labels, candidates = list(details_of(response).points), details_of(response).candidates
    found = list(islice(verdicts, 1 + len(labels) + len(candidates)))
    failure = next((str(some) for some in found if isinstance(some, RequestError)), None)
    verdict, *rest = [UNGRADED if isinstance(some, RequestError) else some for some in found]
    graded = Graded(NO_ANSWER if verdict.answer is None else verdict.answer)
    graded.response, graded.verdict, graded.failure = response, verdict, failure
    graded.points = dict(zip(labels, rest, strict=False))
    graded.candidates = rest[len(labels) :]
    if failure is not None:
        note_ungraded(failure)
    return graded


def note_ungraded(failure: str) -> None:
    """Say that a document was answered and could not be graded, and count it."""
    logger.warning("a document could not be graded: %s", failure)
    note_failed_document()


def _served(graded: Sequence[Graded]) -> list[Graded]:
    return [answer for answer in graded if _failure(answer) is None]


def _failure(graded: Graded) -> str | None:
    return details_of(graded.response).failure or graded.failure


def process_results(doc: Doc, results: Sequence[Any]) -> dict[str, Any]:
    """Return the metrics of one document, averaged over its repeats. Repeats of one response each
    have the metrics of samples too, such as pass@k and maj@k. A request that failed is neither
    right nor wrong: it counts in `failed` alone. A document whose requests all failed has no other
    metric; lm_eval averages each over the documents that have it. Where that leaves none, the
    metrics are NaN. The same holds where its metrics cannot be computed: what was generated must
    not be lost to that. results: the graded answers; lm_eval 0.4 wraps them in one more list than
    0.5 does."""
    try:
        found = _document_metrics(results[0] if isinstance(results[0], list) else results)
        return found | _by_category(doc, found)
    except Exception as error:
        failure = str(failure_of("grading", error))
        note_ungraded(failure)
        return {"failed": 1.0, "answered": {"answer": None, "failure": failure}}


def _document_metrics(graded: Sequence[Graded]) -> dict[str, Any]:
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
    return {**means, "answered": measures.answered(list(map(_record, graded)), graded[0].response)}


def _by_category(doc: Doc, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the accuracy under the names of the document's category and subject too: lm_eval
    averages each over the documents that have it."""
    scores = [name for name in found if name.partition("@")[0] == "exact_match"]
    texts = (str(doc.get(field) or "") for field in ("category", "subject"))
    names = [re.sub(r"\W+", "_", text).strip("_").lower() for text in texts]
    return {
        score.replace("exact_match", f"exact_match_{name}", 1): found[score]
        for name in filter(None, names)
        for score in scores
    }


def _metrics(graded: Graded) -> dict[str, float]:
    verdict = graded.verdict
    metrics = {
        "exact_match": float(verdict.correct),
        "answer_in_thinking": float(verdict.source == "thinking"),
        "loop": float(verdict.loop),
        "undecided": float(verdict.undecided),
    }
    tags = tags_in(graded.response)
    if any(tags):
        adherence = format_adherence(str(graded.response), tags)
        metrics["format_strict"] = float(adherence.strict)
        metrics["format_soft"] = float(adherence.soft)
    if isinstance(graded.response, Response):
        details = graded.response.details
        metrics |= measures.usage_metrics(graded.response)
        for label in details.points:
            metrics[f"exact_match@{label}"] = float(graded.points[label].correct)
        if details.candidates:
            metrics |= measures.candidate_metrics(graded.response, graded.candidates)
    return metrics


def _record(graded: Graded) -> dict[str, Any]:
    """Return what is to be read in the samples file about one answer."""
    verdict = graded.verdict
    shown = ("answer", "source", "state")
    record: dict[str, Any] = {name: getattr(verdict, name) for name in shown}
    if verdict.reference is not None:
        record["reference"] = verdict.reference  # read out of a whole solution
    if graded.points:
        record["points"] = {label: point.answer for label, point in graded.points.items()}
    record |= measures.text_record(graded.response)
    if (failure := _failure(graded)) is not None:
        record["failure"] = failure
    if isinstance(graded.response, Response) and graded.candidates:
        answers = [verdict.answer for verdict in graded.candidates]
        correct, classes = [v.correct for v in graded.candidates], answer_classes(answers)
        record["candidates"] = measures.candidate_records(
            graded.response, answers, correct, classes
        )
    return record


def share_answered(records: Sequence[Mapping[str, Any]]) -> float:
    """Aggregate `answered`: the share of responses from which an answer could be read. NaN if there
    was none, because every request failed."""
    each = [record for some in records for record in some.get("repeats", [some])]
    served = [record for record in each if "failure" not in record]
    return sum(r["answer"] is not None for r in served) / len(served) if served else math.nan
