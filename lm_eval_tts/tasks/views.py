"""What of lm_eval's tasks grades responses, in lm_eval 0.4 and in 0.5, whose tasks have scorers: a
filter, its metrics, and what reduces the scores of repeats to one. The one place that knows both.

A task's filters see one view of the responses after the other: the answers, those at a point, or
those of the k-th sample. Tasks whose filter is `tts_grade` are graded by us, under any model, a
user's own on our `_base` among them: `prepare` is what lm_eval learns of them before it runs."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from lm_eval_tts.errors import failure_of, looked_up
from lm_eval_tts.harness.response import Response, details_of
from lm_eval_tts.settings import setting_names
from lm_eval_tts.tasks.processing import GradeFilter

logger = logging.getLogger(__name__)

# Generation kwargs that every generative model of lm_eval takes.
_SAMPLING = ("do_sample", "temperature", "top_p", "top_k", "min_p", "repetition_penalty")
COMMON = frozenset(("until", "max_gen_toks", *_SAMPLING))
Part = Callable[[Response], str]
Metrics = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pending:
    """A filter's turn on an instance, which `process_results` is to take."""

    instance: Any
    ensemble: Any
    part: Part  # what is graded of a response

    def value(self, responses: Iterable[Any]) -> Any:
        """Return what the filter makes of a view of the instance; a RequestError if it raises."""
        seen = copy(self.instance)
        whole = (r for r in responses if not details_of(r).padding)
        seen.resps = [self.part(r) if isinstance(r, Response) else r for r in whole]
        seen.filtered_resps = found = dict[str, Any]()
        try:
            self.ensemble.apply([seen])
        except Exception as error:  # whatever a task's own filters raise
            return failure_of("the filter", error)
        return found[self.ensemble.name]


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
        scorer, instances = scorers[pendings[0].ensemble.name], [copy(p.instance) for p in pendings]
        for instance, value in zip(instances, values, strict=True):
            instance.doc, instance.filtered_resps = doc, {scorer.name: value}
        own = process(doc, list(chain.from_iterable(values)))
        if own is None:
            scored = scorer.score_doc(0, instances)
        else:
            from lm_eval.scorers._types import ScoredDoc

            lists = {n: value if isinstance(value, list) else [value] for n, value in own.items()}
            scored = ScoredDoc(doc_id=0, reference=instances[0].target, scores=lists)
        return scorer.reduce({0: scored})[0]  # type: ignore[no-any-return]  # untyped in lm_eval

    return grade


def aggregate_also(task: Any, aggregations: Mapping[str, Callable[..., Any]]) -> None:
    """Make scorers aggregate metrics that are not theirs; 0.4 asks the task itself."""

    def knowing(own: Callable[..., Any]) -> Callable[..., Any]:
        return lambda reduced, bootstrap_iters=100000, aggregation_overrides=None: own(
            reduced, bootstrap_iters, {**(aggregation_overrides or {}), **aggregations}
        )

    for scorer in getattr(task, "_scorers", None) or ():
        scorer.aggregate = knowing(scorer.aggregate)


def prepare(
    lm: Any, task_dict: Mapping[str, Any], samples: Mapping[str, Any] | None = None
) -> None:
    """Make tasks of ours ready for a model. Raises SettingsError for samples of no task.
    task_dict: as `lm_eval.evaluate` takes it. samples: document numbers by task."""
    tasks = dict(_tasks_in(task_dict))
    for name in samples or {}:
        looked_up("task in --samples", name, tasks)
    for task in tasks.values():
        if has_step(task, GradeFilter):
            # Graded against `doc_to_target`, which is `answer` in the tasks we bring.
            make = partial(GradeFilter, target_of=task.doc_to_target)
            for some in ensembles_of(task) if task.config.doc_to_target != "answer" else ():
                some.filters = [make if kind_of(s) is GradeFilter else s for s in some.filters]
            _name_split_of_examples(task)
        given = getattr(task.config, "generation_kwargs", None) or {}
        if not hasattr(lm, "session") and ("strategy" in given or "prompt_style" in given):
            _leave_out_strategy(task, dict(given))


def _tasks_in(task_dict: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the tasks by name; before 0.4.12 they stood in nested dicts of groups."""
    for name, task in task_dict.get("tasks", task_dict).items():
        yield from _tasks_in(task) if isinstance(task, Mapping) else [(str(name), task)]


def _name_split_of_examples(task: Any) -> None:
    """Make lm_eval leave a document out of its own examples, as it does if their split is named."""
    found = (getattr(task, name, None) for name in ("fewshot_cfg", "_fewshot_cfg"))  # 0.4, 0.5
    config = next(filter(None, found), None)
    has_others = task.has_training_docs() or task.has_validation_docs()
    if config is not None and config.split is None and not config.samples and not has_others:
        config.split = task.config.test_split


def _leave_out_strategy(task: Any, given: Mapping[str, Any]) -> None:
    """Leave a model that has no strategies what it understands: a plain response, as a baseline."""
    ours = setting_names(given.get("strategy", "single")) - COMMON
    kept = {name: value for name, value in given.items() if name not in ours}
    if thinking := given.get("max_thinking_tokens"):
        most = max(thinking) if isinstance(thinking, (list, tuple)) else thinking
        kept.setdefault("max_gen_toks", most + given.get("max_answer_tokens", 512))
    if kept != given:
        task.set_config("generation_kwargs", kept)
        logger.warning(
            "%s runs as a baseline: this model has no strategies or prompt styles, so %s left out",
            task.config.task,
            ", ".join(f"{name}={given[name]}" for name in given if name not in kept) + " are",
        )
