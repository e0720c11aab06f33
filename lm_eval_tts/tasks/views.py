"""What of lm_eval's tasks grades responses, in lm_eval 0.4 and in 0.5, whose tasks have scorers: a
filter, its metrics, and what reduces the scores of repeats to one. The one place that knows both.

A task's filters see one view of the responses after the other: the answers, those at a point, or
those of the k-th sample."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from lm_eval_tts.errors import failure_of
from lm_eval_tts.harness.response import Response, details_of

Part = Callable[[Response], str]
Metrics = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pending:
    """What a filter made of an instance's responses, on its way to `process_results`."""

    instance: Any
    filter: str
    value: Any
    points: Mapping[str, Any]
    samples: Sequence[Any]


def ensembles_of(task: Any) -> Sequence[Any]:
    """Return a task's filters; from lm_eval 0.5 on they are those of its scorers."""
    own = getattr(task, "_filters", None)
    return own or [scorer.filter for scorer in getattr(task, "_scorers", None) or ()]


def has_step(task: Any, kind: type) -> bool:
    """Say whether a filter of a task has a step of this class."""
    return any(kind_of(step) is kind for some in ensembles_of(task) for step in some.filters)


def kind_of(step: Any) -> Any:
    """Return the class of a filter's step, with arguments or without."""
    return getattr(step, "func", step)


def hold(task: Any, part: Part) -> None:
    """Filter every view and leave in `filtered_resps` what `process_results` is to find there.
    part: what is graded of a response."""
    instances, ensembles = task._instances, ensembles_of(task)
    joined = not hasattr(task, "_filters")  # lm_eval 0.5 joins a list of each instance

    def view(seen: Iterable[Iterable[Any]], *, optional: bool = False) -> list[dict[str, Any]]:
        whole = ([r for r in some if not details_of(r).padding] for some in seen)
        parts = [[part(r) if isinstance(r, Response) else r for r in some] for some in whole]
        return filtered(instances, ensembles, parts, optional=optional)

    resps = [instance.resps for instance in instances]
    main = view(resps)
    labels = dict.fromkeys(
        chain.from_iterable(details_of(r).points for some in resps for r in some)
    )
    points = {
        label: view([details_of(r).points.get(label, r) for r in some] for some in resps)
        for label in labels
    }
    found = [samples_of(some) for some in resps]
    pools = [samples or some for samples, some in zip(found, resps, strict=True)]
    samples = [
        view(([pool[min(k, len(pool) - 1)]] for pool in pools), optional=True)
        for k in range(max(map(len, found)))
    ]
    for index, instance in enumerate(instances):
        for name, value in main[index].items():
            at = {label: some[index][name] for label, some in points.items()}
            own = samples[: len(found[index])]
            drawn = [some[index][name] for some in own if name in some[index]]
            pending = Pending(instance, name, value, at, drawn)
            instance.filtered_resps[name] = [pending] if joined else pending


def filtered(
    instances: Sequence[Any], ensembles: Sequence[Any], resps: Sequence[Any], *, optional: bool
) -> list[dict[str, Any]]:
    """Return by filter what a task's filters make of a view of each instance.
    optional: a filter that cannot take it, such as one that needs k responses, is left out."""
    seen = [copy(instance) for instance in instances]
    for instance, some in zip(seen, resps, strict=True):
        instance.resps, instance.filtered_resps = some, {}
    for ensemble in ensembles:
        try:
            ensemble.apply(seen)
        except Exception:  # whatever a task's own filters raise, which take all documents at once
            if not optional:
                _apply_alone(ensemble, seen)
    return [instance.filtered_resps for instance in seen]


def _apply_alone(ensemble: Any, instances: Sequence[Any]) -> None:
    """Filter each instance for itself; one that cannot be is left with the reason."""
    for instance in instances:
        try:
            ensemble.apply([instance])
        except Exception as error:
            instance.filtered_resps[ensemble.name] = failure_of("the filter", error)


def samples_of(responses: Sequence[Any]) -> list[Response]:
    """Return what was chosen from for a document: the candidates, or its repeats; else none."""
    known = [r for r in responses if isinstance(r, Response) and not r.details.padding]
    candidates = [candidate for r in known for candidate in r.details.candidates]
    return candidates or (known if len(known) > 1 else [])


def grading_of(task: Any) -> Callable[[Sequence[Pending], Any, Sequence[Any]], Metrics]:
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


def aggregate_also(task: Any, aggregations: Mapping[str, Callable[..., Any]]) -> None:
    """Make scorers aggregate metrics that are not theirs; 0.4 asks the task itself."""
    for scorer in getattr(task, "_scorers", None) or ():
        scorer.aggregate = partial(_aggregated, aggregations, scorer.aggregate)


def _aggregated(
    more: Mapping[str, Callable[..., Any]],
    aggregate: Callable[..., Any],
    reduced: Any,
    bootstrap_iters: Any = 100000,
    aggregation_overrides: Any = None,
) -> Any:
    return aggregate(reduced, bootstrap_iters, {**(aggregation_overrides or {}), **more})
