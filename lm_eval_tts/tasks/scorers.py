"""How a task grades a document, in lm_eval 0.4 and in 0.5, whose tasks have scorers: a filter, its
metrics, and what reduces the scores of repeats to one. The one place that knows both."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from itertools import chain
from typing import Any

from lm_eval_tts.tasks.views import Pending

Metrics = Mapping[str, Any]
Grade = Callable[[Sequence[Pending], Any, Sequence[Any]], Metrics]


def grading_of(task: Any) -> Grade:
    """Return what makes metrics of what was filtered, a document, and the filtered values."""
    process = task.process_results
    if hasattr(task, "_filters"):
        return lambda pendings, doc, values: process(doc, values)
    scorers = {scorer.name: scorer for scorer in task._scorers}

    def grade(pendings: Sequence[Pending], doc: Any, values: Sequence[Any]) -> Metrics:
        scorer, instances = scorers[pendings[0].filter], [copy(p.instance) for p in pendings]
        for instance, value in zip(instances, values, strict=True):
            instance.doc, instance.filtered_resps = doc, {scorer.name: value}
        own = process(doc, list(chain.from_iterable(values)))
        scored = scorer.score_doc(0, instances) if own is None else _scored(own, instances[0])
        return scorer.reduce({0: scored})[0]  # type: ignore[no-any-return]  # untyped in lm_eval

    return grade


def _scored(metrics: Metrics, instance: Any) -> Any:
    from lm_eval.scorers._types import ScoredDoc

    lists = {name: value if isinstance(value, list) else [value] for name, value in metrics.items()}
    return ScoredDoc(doc_id=0, reference=instance.target, scores=lists)


def hand_over(task: Any) -> None:
    """Leave what was held for the task as it takes it up: 0.5 joins a list of each instance."""
    if not hasattr(task, "_filters"):
        for instance in task._instances:
            instance.filtered_resps = {n: [p] for n, p in instance.filtered_resps.items()}


def aggregate_also(task: Any, aggregations: Mapping[str, Callable[..., Any]]) -> None:
    """Make scorers aggregate metrics that are not theirs; 0.4 asks the task itself."""
    for scorer in getattr(task, "_scorers", None) or ():
        scorer.aggregate = _with(scorer.aggregate, aggregations)


def _with(aggregate: Callable[..., Any], more: Mapping[str, Callable[..., Any]]) -> Any:
    def aggregated(
        reduced: Any, bootstrap_iters: Any = 100000, aggregation_overrides: Any = None
    ) -> Any:
        return aggregate(reduced, bootstrap_iters, {**(aggregation_overrides or {}), **more})

    return aggregated
