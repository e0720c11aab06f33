"""Any generative task of lm_eval under our strategies, graded by its own filters and metrics.

A task's filters and its `process_results` see what follows the thinking (`Response.answer`): once
for the response, which gives the task's metrics as usual, and once for each point of it and each
sample behind it, which gives `<metric>@<point>`, pass@k, maj@k and avg@n. What another model
answered, and tasks whose filter is `tts_grade`, are left alone.

In a task's `metadata`, `whole_response: true` grades the thinking too, and `vote_classes` may
name a function (document, filtered answers) -> keys, equal for answers that are, None for none."""

from collections.abc import Callable, Hashable, Sequence
from copy import deepcopy
from itertools import chain, product
from math import isfinite, nan
from operator import attrgetter
from statistics import fmean
from typing import Any

from lm_eval.api.metrics import mean

from lm_eval_tts.core.voting import Classes
from lm_eval_tts.errors import RequestError, reason_of
from lm_eval_tts.grading import has_loop
from lm_eval_tts.harness.response import Response, details_of
from lm_eval_tts.harness.run_state import watched_state
from lm_eval_tts.tasks import measures, views
from lm_eval_tts.tasks.processing import GradeFilter, note_ungraded, share_answered
from lm_eval_tts.tasks.views import Metrics, Pending, samples_of
from lm_eval_tts.tasks.votes import KeysOf, by_behaviour

UP, DOWN = True, False
UNSAID = (("max_gen_toks", 256), ("temperature", 0), ("do_sample", False))  # lm_eval's defaults
# What lm_eval's filters return where they find nothing.
NOTHING_FOUND = ("", "[invalid]", "None", "[]", "['invalid']", "['[invalid]']")
Records = list[dict[str, Any]]


def attach(task: Any) -> None:
    """Make a task grade the responses of our models, whose requests have just been built."""
    if views.has_step(task, GradeFilter):
        return
    grading = getattr(task.process_results, "__self__", None)
    if not isinstance(grading, AnyTask):
        grading = AnyTask(task)
    given = getattr(task.config, "generation_kwargs", None) or {}
    settings = {n: v for n, v in given.items() if (n, v) not in UNSAID and n != "until"}
    for instance in task._instances:
        instance.classify = grading.classes_of(instance)  # which answers to it are equal, for votes
        match instance.args:
            # The code of some tasks (swde, scrolls) says where to stop and leaves settings out.
            case (context, {"until": until, **own}) if own != (full := own | settings):
                instance.arguments = (context, {**full, "until": until})


class AnyTask:
    """Stands in front of a task's methods that lm_eval calls after generation."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self._apply, self._process = task.apply_filters, task.process_results
        self._grade = views.grading_of(task)
        self._aggregation, self._higher_is_better = task.aggregation, task.higher_is_better
        self._aggregations: dict[str, Callable[..., Any]] = {}
        self._directions: dict[str, bool] = {}
        metadata = getattr(task.config, "metadata", None)
        metadata = metadata if isinstance(metadata, dict) else {}  # of stock tasks also a list
        self._part = str if metadata.get("whole_response") else attrgetter("answer")
        # lm_eval has ended before now unless the user allows such a task to execute code.
        keys_of = by_behaviour(task.doc_to_text) if hasattr(task, "UNSAFE_CODE") else None
        self._keys_of: KeysOf | None = metadata.get("vote_classes", keys_of)
        views.aggregate_also(task, self._aggregations)
        task.apply_filters = self.apply_filters
        task.process_results = self.process_results
        task.aggregation = lambda: {
            name: _safe(name, aggregate)
            for name, aggregate in (self._aggregations | self._aggregation()).items()
        }
        task.higher_is_better = lambda: {**self._directions, **self._higher_is_better()}

    def apply_filters(self) -> Any:
        """Filter every part of the responses that is graded; the whole ones stay for the log."""
        instances = self._task._instances
        responses = [r for instance in instances for r in instance.resps]
        if not any(isinstance(response, Response) for response in responses):
            return self._apply()
        self._labels = dict.fromkeys(chain.from_iterable(details_of(r).points for r in responses))
        joined = not hasattr(self._task, "_filters")  # lm_eval 0.5 joins a list of each instance
        for instance, ensemble in product(instances, views.ensembles_of(self._task)):
            pending = Pending(instance, ensemble, self._part)
            instance.filtered_resps[ensemble.name] = [pending] if joined else pending
        return None

    def classes_of(self, instance: Any) -> Callable[[Sequence[str]], Classes]:
        """Return what finds the classes of answers to an instance: by the first of the task's
        filters that takes a single response."""
        filters = [Pending(instance, some, str) for some in views.ensembles_of(self._task)]

        def value(answer: str) -> Any:
            found = (some.value([answer]) for some in filters)
            return next((one for one in found if not isinstance(one, RequestError)), answer)

        return lambda answers: self._classes(instance.doc, list(map(value, answers)))

    def _classes(self, doc: Any, values: Sequence[Any]) -> list[int | None]:
        """Return the classes of filtered answers, None for none."""
        keys = self._keys_of and self._keys_of(doc, list(values))
        if keys is None:
            texts = [str(value).strip() for value in values]
            keys = (None if text in NOTHING_FOUND else text for text in texts)
        numbers: dict[Hashable, int] = {}
        return [None if key is None else numbers.setdefault(key, len(numbers)) for key in keys]

    def process_results(self, doc: Any, results: Sequence[Any]) -> Any:
        """Return the task's own metrics of a document, with those of points and samples. A request
        that failed is neither right nor wrong: a document whose requests all failed has `failed`
        and `answered` alone, and so has one that cannot be graded."""
        if not results or not all(isinstance(result, Pending) for result in results):
            return self._process(doc, results)
        for pending in results:
            instance, name = pending.instance, pending.ensemble.name
            instance.filtered_resps[name] = pending.value(instance.resps)
        responses = [r for p in results for r in p.instance.resps if isinstance(r, Response)]
        responses = [response for response in responses if not response.details.padding]
        served = [response for response in responses if response.details.failure is None]
        metrics: dict[str, Any] = {}
        records = [self._record(response) for response in responses]
        try:
            metrics = self._graded(doc, results, served, records) if served else {}
        except Exception as error:  # whatever a task's own filters and metrics raise
            failure, served = note_ungraded(error), []
            records = [{"answer": None, "failure": failure} for _ in records]
        metrics |= self._noted({"failed": 1 - len(served) / len(responses)}, DOWN)
        found = {"answered": measures.answered(records, responses[0])}
        return metrics | self._noted(found, UP, share_answered)

    def _graded(
        self, doc: Any, results: Sequence[Pending], served: Sequence[Response], records: Records
    ) -> dict[str, Any]:
        """Return the task's own metrics, with those of points, samples and responses. Raises
        ValueError for what has no mean, which would cost the figures of all documents."""
        values = [p.instance.filtered_resps[p.ensemble.name] for p in results]
        if refused := next((value for value in values if isinstance(value, RequestError)), None):
            raise refused
        metrics = dict(self._grade(results, doc, values))
        aggregations = self._aggregation()
        for name, value in metrics.items():
            if aggregations.get(name, mean) is mean and not _is_number(value):
                raise ValueError(f"the metric {name} is {value!r}, which is not a number")
        more = self._at_points(doc, results, metrics)
        more |= self._noted(self._of_samples(doc, results, served, metrics, records), UP)
        # What the responses say about themselves, averaged over repeats.
        each = [{"loop": float(has_loop(r)), **measures.usage_metrics(r)} for r in served]
        more |= self._noted({n: fmean(some[n] for some in each) for n in each[0]}, DOWN)
        return metrics | {name: more[name] for name in more if name not in metrics}

    def _at_points(self, doc: Any, results: Sequence[Pending], own: Metrics) -> dict[str, Any]:
        metrics: dict[str, Any] = {}
        aggregations, directions = self._aggregation(), self._higher_is_better()
        for label in self._labels:
            values = [
                p.value(details_of(r).points.get(label, r) for r in p.instance.resps)
                for p in results
            ]
            at = self._grade(results, deepcopy(doc), values)
            for name in (name for name in own if name in at):
                how = directions.get(name, UP), aggregations.get(name, mean)
                metrics |= self._noted({f"{name}@{label}": at[name]}, *how)
        return metrics

    def _of_samples(
        self,
        doc: Any,
        results: Sequence[Pending],
        served: Sequence[Response],
        own: Metrics,
        records: Records,
    ) -> dict[str, float]:
        """Return pass@k and the like of each numeric metric; the first one's have short names."""
        found = ([p.value([s]) for s in samples_of(p.instance.resps)] for p in results)
        # A filter that cannot take one, such as one that needs k responses, has none.
        taken = ([one for one in some if not isinstance(one, RequestError)] for some in found)
        drawn = [list(values) for values in zip(*taken, strict=False)]
        if not drawn:
            return {}
        graded = [self._grade(results, deepcopy(doc), values) for values in drawn]
        classes = self._classes(doc, [values[0] for values in drawn])
        candidates = samples_of(served)
        independent = served[0].details.independent or not served[0].details.candidates
        rated = independent and len(candidates) == len(drawn)
        scores = measures.scores_of(candidates) if rated else {}
        metrics: dict[str, float] = {}
        for place, name in enumerate(self._numeric(own, graded)):
            values = [float(some[name]) for some in graded]
            of_name = {"coverage": max(values), "candidates": float(len(values))}
            if independent:
                of_name = {f"avg@{len(values)}": fmean(values)}
                of_name |= measures.sample_metrics(values, classes, scores)
            if place == 0 and served[0].details.candidates and len(records) == 1:
                firsts = zip(classes, (some[0] for some in drawn), strict=True)
                answers = [None if c is None else str(first) for c, first in firsts]
                records[0]["candidates"] = measures.candidate_records(
                    served[0], answers, values, classes
                )
            metrics |= {(f"{name}_" if place else "") + n: value for n, value in of_name.items()}
        return metrics

    def _numeric(self, own: Metrics, graded: Sequence[Metrics]) -> list[str]:
        """Return the metrics that are numbers of which more is better, in the task's order."""
        directions = self._higher_is_better()
        order = [*(name for name in self._aggregation() if name in own), *own]
        rising = [name for name in dict.fromkeys(order) if directions.get(name, UP)]
        return [name for name in rising if all(_is_number(some.get(name)) for some in graded)]

    def _noted(
        self, metrics: dict[str, Any], direction: bool, aggregate: Any = mean
    ) -> dict[str, Any]:
        """Note how metrics are aggregated, and return them."""
        self._aggregations |= dict.fromkeys(metrics, aggregate)
        self._directions |= dict.fromkeys(metrics, direction)
        return metrics

    def _record(self, response: Response) -> dict[str, Any]:
        """Return what is to be read in the samples file: which part of a response was graded."""
        part = self._part(response)
        record: dict[str, Any] = {"answer": part if part.strip() else None}
        if points := response.details.points:
            record["points"] = {label: self._part(point) for label, point in points.items()}
        record |= measures.text_record(response)
        if response.details.failure is not None:
            record["failure"] = response.details.failure
        return record


def _is_number(value: Any) -> bool:
    """Whether a metric's value is a finite number of any library, not a list or a pair of them."""
    try:
        return not isinstance(value, str) and isfinite(value) and float(value) == value
    except (TypeError, ValueError, OverflowError):
        return False


def _safe(name: str, aggregate: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a task's own aggregation that raises into a missing figure, and report it, where a run
    of ours is watched. Those of lm-eval stay themselves: standard errors go by them."""
    if aggregate.__module__.startswith("lm_eval."):
        return aggregate

    def aggregated(items: Any) -> Any:
        try:
            return aggregate(items)
        except Exception as error:
            if (state := watched_state()) is None:
                raise
            state.lost = f"the metric {name} cannot be aggregated ({reason_of(error)})"
            return nan

    return aggregated
