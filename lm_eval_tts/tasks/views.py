"""The parts of responses that a task grades, each through the task's filters.

A view is what the filters are to see of an instance's responses: the answers, those at a point, or
those of the k-th sample."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from lm_eval_tts.core.faults import failure_of
from lm_eval_tts.harness.response import Response, details_of

Part = Callable[[Response], str]
View = Callable[[Sequence[Any]], list[Any]]


@dataclass(frozen=True, slots=True)
class Pending:
    """What a filter made of an instance's responses, on its way to `process_results`."""

    instance: Any
    filter: str
    value: Any
    points: Mapping[str, Any]
    samples: Sequence[Any]


def whole_response(response: Response) -> str:
    """Return the response with its thinking."""
    return str(response)


def answer_of(response: Response) -> str:
    """Return what follows the thinking."""
    return response.answer


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


def hold(instances: Sequence[Any], ensembles: Sequence[Any], part: Part) -> None:
    """Filter every view and leave in `filtered_resps` what `process_results` is to find there."""
    main = filtered(instances, ensembles, _answers(part))
    responses = [response for instance in instances for response in instance.resps]
    labels = dict.fromkeys(label for r in responses for label in details_of(r).points)
    points = {label: filtered(instances, ensembles, _at(label, part)) for label in labels}
    most = max(len(samples_of(instance.resps)) for instance in instances)
    samples = [filtered(instances, ensembles, _sample(k, part), optional=True) for k in range(most)]
    for index, instance in enumerate(instances):
        count = len(samples_of(instance.resps))
        for name, value in main[index].items():
            at = {label: some[index][name] for label, some in points.items()}
            drawn = [some[index][name] for some in samples[:count] if name in some[index]]
            instance.filtered_resps[name] = Pending(instance, name, value, at, drawn)


def filtered(
    instances: Sequence[Any], ensembles: Sequence[Any], view: View, *, optional: bool = False
) -> list[dict[str, Any]]:
    """Return by filter what a task's filters make of a view of each instance.
    optional: a filter that cannot take it, such as one that needs k responses, is left out."""
    seen = [copy(instance) for instance in instances]
    for instance in seen:
        instance.resps, instance.filtered_resps = view(instance.resps), {}
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


def _answers(part: Part) -> View:
    return lambda responses: [
        part(response) if isinstance(response, Response) else response
        for response in responses
        if not details_of(response).padding
    ]


def _at(label: str, part: Part) -> View:
    answers = _answers(part)
    return lambda responses: answers([details_of(r).points.get(label, r) for r in responses])


def _sample(number: int, part: Part) -> View:
    def view(responses: Sequence[Any]) -> list[Any]:
        samples = samples_of(responses) or responses
        return _answers(part)([samples[min(number, len(samples) - 1)]])

    return view
