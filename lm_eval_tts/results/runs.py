"""One run: a task, the setup that answered it, and its metrics, as a results file says.

Reads files of `tts-*` models and of stock ones, new and old; what a file does not say is None."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from lm_eval_tts.core.identity import mapping_in
from lm_eval_tts.core.metrics import METRIC
from lm_eval_tts.errors import MALFORMED, DataError
from lm_eval_tts.results.files import Content, UnreadFile, finite, read_results, samples_file
from lm_eval_tts.results.setups import Setup, as_text, setup_of

# The metric that is the accuracy of a task, in order of preference.
ACCURACIES = ("exact_match", "math_verify", "acc", "acc_norm", "pass@1")
_FAR = 4e9  # seconds since 1970; a file's date may be anything
_ByFilter = dict[str, dict[str, float]]  # the metrics of a task


@dataclass(frozen=True, slots=True)
class Run:
    """One task of one results file."""

    results_path: Path
    samples_path: Path | None
    task: str
    benchmark: str
    setup: Setup
    metrics: Mapping[str, float]  # means over the documents, by name, of `filter`; seconds
    metric: str  # what counts as accuracy
    filter: str
    num_docs: int | None  # documents that were run
    num_fewshot: int | None
    task_version: str | None
    grader: str | None  # version of this package's grading
    made: Mapping[str, Any]  # when and by what, as far as the file says

    @property
    def num_graded(self) -> int:
        """Documents that the accuracy is of: not those whose requests failed."""
        return round((self.num_docs or 0) * (1 - self.metrics.get("failed", 0.0)))

    @property
    def accuracy(self) -> float:
        """The metric that counts as accuracy."""
        return self.metrics[self.metric]

    @property
    def measure(self) -> dict[str, str | int | None]:
        """What two runs must share for their outcomes to mean the same, by name."""
        return {
            "task version": self.task_version,
            "grader version": self.grader,
            "metric": f"{self.metric},{self.filter}",
            "few-shot examples": self.num_fewshot,
        }

    @property
    def name(self) -> str:
        """A short name for messages: the task and the checkpoint."""
        return f"{self.task} of {self.setup.checkpoint}"


class Loaded(NamedTuple):
    """The runs of the files that could be read, and what was wrong with the others."""

    runs: list[Run]
    unread: list[UnreadFile]


def load_runs(paths: Iterable[str | Path], metric: str | None = None) -> Loaded:
    """Return all runs in results files and folders of them, oldest first.
    metric: what counts as accuracy, as `name` or `name,filter`; by default the first of ACCURACIES
    that a task has, else its first metric. Raises DataError where there is no run."""
    read, unread = read_results(paths)
    runs: list[Run] = []
    for path, content in read.items():
        try:
            found = list(runs_in(path, content, metric))
        except MALFORMED as error:
            unread.append(UnreadFile(path, f"not as lm-eval writes it: {error}"))
            continue
        if not found:
            what = f"metric {metric!r}" if metric else "metrics"
            there = ", ".join(sorted(_gains(content))) or "no other"
            unread.append(UnreadFile(path, f"no task in it has {what}; it has {there}"))
        runs += found
    if not runs:
        reasons = "; ".join(map(str, unread)) or "no results were named"
        raise DataError(f"no results to read: {reasons}")
    return Loaded(runs, unread)


def _gains(content: Content) -> set[str]:
    """Return the metrics of a file, without points and those of which less is better."""
    tasks = map(_by_filter, content["results"].values())
    names = {name for by_filter in tasks for found in by_filter.values() for name in found}
    return {n for n in names if "@" not in n and (n not in METRIC or METRIC[n].higher_is_better)}


def keep_largest(runs: Iterable[Run]) -> tuple[list[Run], list[str]]:
    """Return the newest of the largest runs of each setup and task (a trial replaces nothing), and
    a note on each that only repeats one of them. runs: oldest first."""
    kept: dict[tuple[Setup, str], Run] = {}
    notes = []
    for run in runs:
        best = kept.setdefault((run.setup, run.task), run)
        if best is run:
            continue
        larger = (best.num_docs or 0) > (run.num_docs or 0)
        best, other = (best, run) if larger else (run, best)
        word = "a newer" if best.num_docs == other.num_docs else f"a larger ({best.num_docs})"
        notes.append(f"{other.results_path}: {word} run of {run.name} is shown")
        kept[run.setup, run.task] = best
    return list(kept.values()), notes


def one_of_each_task(name: str, runs: Iterable[Run]) -> dict[str, Run]:
    """Return the run of each task that counts. Raises DataError where several setups ran one.
    name: what the runs are called in the error."""
    found: dict[str, Run] = {}
    for run in keep_largest(runs)[0]:
        other = found.setdefault(run.task, run)
        if other is not run:
            raise DataError(
                f"{name}: several setups ran {run.task}, in {other.results_path} and "
                f"{run.results_path}; name one results file"
            )
    return found


def runs_in(path: Path, content: Content, metric: str | None = None) -> Iterator[Run]:
    """Yield the runs of a results file, without groups. metric: as in `load_runs`."""
    groups = {name for name, some in mapping_in(content, "group_subtasks").items() if some}
    tasks = [task for task in content["results"] if task not in groups]
    for task in tasks:
        values = _by_filter(content["results"][task])
        if chosen := _choose(values, metric):
            if len(tasks) == 1:
                values[chosen[0]] |= _seconds(content)
            yield _run(path, content, task, values[chosen[0]], *chosen)


def _by_filter(entry: Any) -> _ByFilter:
    """Return metrics by filter from keys like `exact_match,none` (`acc` before 0.4)."""
    found: dict[str, dict[str, float]] = {}
    for key, value in entry.items() if isinstance(entry, dict) else ():
        name, _, filter_name = key.partition(",")
        if name.endswith("_stderr") or name in ("alias", "name", "sample_len", "samples"):
            continue
        if (number := finite(value)) is not None:
            found.setdefault(filter_name or "none", {})[name] = number
    return found


def _choose(values: _ByFilter, metric: str | None) -> tuple[str, str] | None:
    """Return (filter, metric) of the accuracy, or None if it is not among the values."""
    name, _, filter_name = (metric or "").partition(",")
    filters = [filter_name] if filter_name else list(values)
    wanted = [name] if name else [*ACCURACIES, *(m for f in filters for m in values.get(f, ()))]
    return next(((f, m) for m in wanted for f in filters if m in values.get(f, ())), None)


def _seconds(content: Content) -> dict[str, float]:
    """Return what the whole command took, which is of one task where it ran no other."""
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        seconds = finite(float(content["total_evaluation_time_seconds"]))  # a text
        return {} if seconds is None else {"seconds": seconds}
    return {}


def _run(
    path: Path, content: Content, task: str, metrics: dict[str, float], filter: str, metric: str
) -> Run:
    config = mapping_in(mapping_in(content, "configs"), task)
    counts = mapping_in(mapping_in(content, "n-samples"), task)
    num_fewshot = _int(mapping_in(content, "n-shot").get(task))
    return Run(
        results_path=path,
        samples_path=samples_file(path, task),
        task=task,
        benchmark=_benchmark(task, config),
        setup=setup_of(content, config, num_fewshot),
        metrics=metrics,
        metric=metric,
        filter=filter,
        num_docs=_int(counts.get("effective", content["results"][task].get("sample_len"))),
        num_fewshot=num_fewshot,
        task_version=as_text(mapping_in(content, "versions").get(task)),
        grader=as_text(mapping_in(config, "metadata").get("grader")),
        made=_made(content),
    )


def _benchmark(task: str, config: Content) -> str:
    """Return what the variants of a benchmark share; any other task is its own benchmark. A variant
    without a benchmark among its arguments comes from a folder of our task_configs."""
    if named := mapping_in(config, "dataset_kwargs").get("benchmark"):
        return str(named)
    source = PurePath(str(mapping_in(config, "metadata").get("config_source"))).parent
    return source.name if source.parent.name == "task_configs" else task


def _made(content: Content) -> dict[str, Any]:
    config, date = mapping_in(content, "config"), finite(content.get("date")) or 0
    names = ("lm_eval", "transformers")
    versions = [f"{n} {content[k]}" for n in names if content.get(k := f"{n}_version")]
    return {
        "date": f"{datetime.fromtimestamp(date, timezone.utc):%Y-%m-%d}" if 0 < date < _FAR else "",
        "weights_dtype": (as_text(config.get("model_dtype")) or "").removeprefix("torch."),
        "num_parameters": _int(config.get("model_num_parameters")),
        "versions": ", ".join(versions),
        "family": as_text(config.get("model_delimiters")),  # the preset of a model with its own
    }


def _int(value: Any) -> int | None:
    number = finite(value)
    return None if number is None else int(number)
