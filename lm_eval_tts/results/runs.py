"""One run: a task, the setup that answered it, and its metrics, as a results file says.

Setups are equal for runs that only repeat each other. Reads files of `tts-*` models and of stock
ones, new and old; what a file does not say is None."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from lm_eval_tts.core.identity import decides, mapping_in
from lm_eval_tts.core.metrics import METRIC
from lm_eval_tts.errors import MALFORMED, DataError
from lm_eval_tts.results.files import Content, UnreadFile, finite, read_results, samples_file

# The metric that is the accuracy of a task, in order of preference.
ACCURACIES = ("exact_match", "math_verify", "acc", "acc_norm", "pass@1")
_FAR = 4e9  # seconds since 1970; a file's date may be anything
_ByFilter = dict[str, dict[str, float]]  # the metrics of a task
# What a setup has a field for; `until` is the task's, and says nothing of who answers.
_CHECKPOINT = ("pretrained", "path", "model", "peft", "lora_local_path", "revision")
_FIELDS = frozenset((*_CHECKPOINT, "prompt_style", "strategy", "seed", "until"))
# Values that are what a run does without the setting.
_DEFAULTS = {"do_sample": (False, None), "temperature": (0, None), "top_p": (1, None)}


@dataclass(frozen=True, slots=True)
class Setup:
    """What answered: a checkpoint with its adapter, a prompt style and a strategy."""

    model: str  # lm-eval's --model
    checkpoint: str
    adapter: str | None = None
    revision: str | None = None
    prompt_style: str | None = None  # None for models that have none
    strategy: str | None = None  # None for models that have none
    settings: tuple[tuple[str, str], ...] = ()  # all else that decides what is answered, by name
    seed: str | None = None  # of the run

    @property
    def settings_text(self) -> str:
        """The settings in one line."""
        return ", ".join(f"{name}={value}" for name, value in self.settings)

    def record(self) -> dict[str, Any]:
        """The setup as plain data, its settings in one line."""
        return {**asdict(self), "settings": self.settings_text}

    @property
    def method(self) -> str:
        """The strategy; the model's kind where it has none."""
        return self.strategy or self.model

    def weights(self, checkpoint: str | None = None) -> str:
        """The checkpoint with its adapter and revision. checkpoint: a shorter name of it."""
        adapter = f" + {self.adapter}" if self.adapter else ""
        revision = f" @ {self.revision[:8]}" if self.revision else ""
        return (checkpoint or self.checkpoint) + adapter + revision


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
    measure: Mapping[str, Any]  # what two runs must share for their outcomes to mean the same
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
        if not (chosen := _choose(values, metric)):
            continue
        filter_name, name = chosen
        config = mapping_in(mapping_in(content, "configs"), task)
        counts = mapping_in(mapping_in(content, "n-samples"), task)
        num_fewshot = _int(mapping_in(content, "n-shot").get(task))
        yield Run(
            results_path=path,
            samples_path=samples_file(path, task),
            task=task,
            benchmark=_benchmark(task, config),
            setup=_setup_of(content, config, num_fewshot),
            # What the whole command took is of one task where it ran no other.
            metrics=values[filter_name] | (_seconds(content) if len(tasks) == 1 else {}),
            metric=name,
            filter=filter_name,
            num_docs=_int(counts.get("effective", content["results"][task].get("sample_len"))),
            measure={
                "task version": _text(mapping_in(content, "versions").get(task)),
                "grader version": _text(mapping_in(config, "metadata").get("grader")),
                "metric": f"{name},{filter_name}",
                "few-shot examples": num_fewshot,
            },
            made=_made(content),
        )


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
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        if (seconds := finite(float(content["total_evaluation_time_seconds"]))) is not None:
            return {"seconds": seconds}  # a text in the file
    return {}


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
        "weights_dtype": (_text(config.get("model_dtype")) or "").removeprefix("torch."),
        "num_parameters": _int(config.get("model_num_parameters")),
        "versions": ", ".join(versions),
        "family": _text(config.get("model_delimiters")),  # the preset of a model with its own
    }


def _int(value: Any) -> int | None:
    number = finite(value)
    return None if number is None else int(number)


def _setup_of(content: Content, config: Content, num_fewshot: int | None) -> Setup:
    run = mapping_in(content, "config")
    model = str(run.get("model") or content.get("model_source") or "unknown")
    arguments = run.get("model_args") or ""
    if not isinstance(arguments, dict):  # before 0.4.9 a text `a=1,b=[2,3]`
        parts = re.split(r",(?=[^,\[]*=)", str(arguments))  # other commas are within a value
        pairs = (part.partition("=") for part in parts)
        arguments = {name: value for name, _, value in pairs if name}
    ours, recorded = model.startswith("tts-"), model == "tts-replay"
    given = {k: v for k, v in arguments.items() if decides(k)}
    given |= mapping_in(config, "generation_kwargs")
    settings = {k: given[k] for k in given.keys() - _FIELDS if given[k] not in _DEFAULTS.get(k, ())}
    of_prompt = {  # what the command line made of the prompts; ours apply the template anyway
        "num_fewshot": num_fewshot,
        "chat_template": "applied" if content.get("chat_template_sha") and not ours else None,
        "system_instruction_sha": content.get("system_instruction_sha"),
    }
    settings |= {name: value for name, value in of_prompt.items() if value}
    if recorded:  # what was set then is not known
        given, settings = {"strategy": "recorded"}, {}
    # A recording names no checkpoint, so its file (path) stands for it.
    named = run.get("pretrained"), *map(arguments.get, ("pretrained", "path", "model"))
    return Setup(
        model=model,
        checkpoint=str(next(filter(None, (*named, content.get("model_name"), "unknown")))),
        adapter=_text(run.get("peft") or arguments.get("peft") or arguments.get("lora_local_path")),
        revision=_text(arguments.get("revision") or _text(run.get("model_sha"))),
        prompt_style=_text(given.get("prompt_style")) if ours else None,
        strategy=_text(given.get("strategy", "single")) if ours else None,
        settings=tuple(sorted((name, _plain(value)) for name, value in settings.items())),
        seed=_text(given.get("seed", run.get("torch_seed"))),
    )


def _text(value: Any) -> str | None:
    return None if value in (None, "", False) else _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).replace(" ", "") if isinstance(value, (list, tuple)) else str(value)
    return text.replace("\n", r"\n")  # a step_delimiter, in one line
