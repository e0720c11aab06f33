"""One run: a task, the setup that answered it, and its metrics, as a results file tells them.

Reads files of `tts-*` models and of stock ones, new and old; what a file does not tell is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from lm_eval_tts.errors import DataError
from lm_eval_tts.results.files import Problem, ResultsFile, read_results, samples_file

# The metric that is the accuracy of a task, in order of preference.
ACCURACY = ("exact_match", "math_verify", "acc", "acc_norm", "pass@1")
# Arguments that say where a model runs or how it is loaded, not what it answers.
_WHERE = frozenset(
    (
        "pretrained", "path", "model", "peft", "revision", "tokenizer", "batch_size",
        "max_batch_size", "device", "parallelize", "trust_remote_code", "max_memory_per_gpu",
        "max_cpu_memory", "offload_folder", "device_map", "cache_dir", "response_column",
        "merge_peft", "base_url", "num_concurrent", "tensor_parallel_size",
        "gpu_memory_utilization", "max_num_seqs", "journal", "api_key",
    )
)  # fmt: skip
_OWN_COLUMNS = frozenset(("prompt_style", "strategy", "seed", "until"))
_SAY_NOTHING = {"do_sample": (False, None), "temperature": (0, None), "top_p": (1, None)}


@dataclass(frozen=True, slots=True)
class Setup:
    """What answered: a checkpoint with its adapter, a prompt style and a strategy.

    model: lm-eval's --model. prompt_style, strategy: None for models that have none. settings:
    everything else that was set, as (name, value) in order of name. seed: of the run.
    """

    model: str
    checkpoint: str
    adapter: str | None = None
    revision: str | None = None
    prompt_style: str | None = None
    strategy: str | None = None
    settings: tuple[tuple[str, str], ...] = ()
    seed: str | None = None

    @property
    def settings_text(self) -> str:
        """The settings in one line."""
        return ", ".join(f"{name}={value}" for name, value in self.settings)


@dataclass(frozen=True, slots=True)
class Run:
    """One task of one results file.

    metrics: means over the documents, by name, of the filter `filter`. num_docs, num_all:
    documents that were run and that the task has. seconds: of the whole command, which ran
    `num_tasks` tasks. grader: version of this package's grading. date: in seconds since 1970.
    """

    results_path: Path
    samples_path: Path | None
    task: str
    benchmark: str
    setup: Setup
    metrics: Mapping[str, float]
    metric: str
    filter: str
    num_docs: int | None = None
    num_all: int | None = None
    num_fewshot: int | None = None
    task_version: str | None = None
    grader: str | None = None
    seconds: float | None = None
    num_tasks: int = 1
    date: float = 0.0

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
    problems: list[Problem]


def load_runs(paths: Iterable[str | Path], metric: str | None = None) -> Loaded:
    """Return all runs in results files and folders of them, oldest first.

    metric: what counts as accuracy, as `name` or `name,filter`; by default the first of ACCURACY
    that a task has, else its first metric.
    """
    files, problems = read_results(paths)
    runs: list[Run] = []
    for file in files:
        try:
            found = list(_runs_of(file, metric))
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            problems.append(Problem(file.path, f"not as lm-eval writes it: {error}"))
            continue
        if not found:
            what = f"metric {metric!r}" if metric else "metrics"
            problems.append(Problem(file.path, f"no task in it has {what}"))
        runs += found
    return Loaded(runs, problems)


def require_runs(loaded: Loaded) -> list[Run]:
    """Return the runs. Raises DataError where there is none, with what was wrong."""
    if not loaded.runs:
        reasons = "; ".join(map(str, loaded.problems)) or "no results were named"
        raise DataError(f"no results to read: {reasons}")
    return loaded.runs


def newest_of_each_task(name: str, runs: Iterable[Run]) -> dict[str, Run]:
    """Return the newest run of each task. Raises DataError where several setups ran one.

    name: what the runs are called in the error.
    """
    newest: dict[str, Run] = {}
    for run in runs:
        if run.task in newest and newest[run.task].setup != run.setup:
            raise DataError(
                f"{name}: several setups ran {run.task}, in {newest[run.task].results_path} and "
                f"{run.results_path}; name one results file"
            )
        newest[run.task] = run
    return newest


def _runs_of(file: ResultsFile, metric: str | None) -> Iterable[Run]:
    content = file.content
    groups = {name for name, some in _mapping(content, "group_subtasks").items() if some}
    tasks = [task for task in content["results"] if task not in groups]
    for task in tasks:
        values = _by_filter(content["results"][task])
        chosen = _choose(values, metric)
        if chosen is None:
            continue
        filter_name, name = chosen
        config = _mapping(_mapping(content, "configs"), task)
        counts = _mapping(_mapping(content, "n-samples"), task)
        metadata = _mapping(config, "metadata")
        own = isinstance(config.get("generation_kwargs"), dict) and (
            "strategy" in config["generation_kwargs"]
        )
        yield Run(
            results_path=file.path,
            samples_path=samples_file(file.path, task),
            task=task,
            benchmark=_benchmark(task, config, own),
            setup=_setup(content, config, _int(_mapping(content, "n-shot").get(task))),
            metrics=values[filter_name],
            metric=name,
            filter=filter_name,
            num_docs=_int(counts.get("effective", content["results"][task].get("sample_len"))),
            num_all=_int(counts.get("original")),
            num_fewshot=_int(_mapping(content, "n-shot").get(task)),
            task_version=_text(_mapping(content, "versions").get(task)),
            grader=_text(metadata.get("grader")),
            seconds=_float(content.get("total_evaluation_time_seconds")),
            num_tasks=len(tasks),
            date=_float(content.get("date")) or 0.0,
        )


def _by_filter(entry: Any) -> dict[str, dict[str, float]]:
    """Return metrics by filter from keys like `exact_match,none` (`acc` before 0.4)."""
    found: dict[str, dict[str, float]] = {}
    for key, value in entry.items() if isinstance(entry, dict) else ():
        name, _, filter_name = key.partition(",")
        if name.endswith("_stderr") or name in ("alias", "name", "sample_len", "samples"):
            continue
        if isinstance(value, (int, float)) and math.isfinite(value):
            found.setdefault(filter_name or "none", {})[name] = float(value)
    return found


def _choose(values: Mapping[str, Mapping[str, float]], metric: str | None) -> Any:
    """Return (filter, metric) of the accuracy, or None if it is not among the values."""
    name, _, filter_name = (metric or "").partition(",")
    filters = [filter_name] if filter_name else list(values)
    wanted = [name] if name else [*ACCURACY, *(m for f in filters for m in values.get(f, ()))]
    return next(((f, m) for m in wanted for f in filters if m in values.get(f, ())), None)


def _benchmark(task: str, config: Mapping[str, Any], own: bool) -> str:
    """Return what the variants of a benchmark share; a stock task is its own benchmark."""
    named = _mapping(config, "dataset_kwargs").get("benchmark")
    if named:
        return str(named)
    return task.rpartition("_")[0] if own and "_" in task else task


def _setup(content: Mapping[str, Any], config: Mapping[str, Any], num_fewshot: int | None) -> Setup:
    run = _mapping(content, "config")
    model = str(run.get("model") or content.get("model_source") or "unknown")
    arguments = _arguments(run.get("model_args"))
    kwargs = _mapping(config, "generation_kwargs")
    ours = model.startswith("tts-")
    settings = {**{k: v for k, v in arguments.items() if k not in _WHERE}, **kwargs}
    told = {k: v for k, v in settings.items() if k not in _OWN_COLUMNS and not _says_nothing(k, v)}
    told |= {"num_fewshot": num_fewshot} if num_fewshot else {}
    told |= {name: content[name] for name in ("system_instruction_sha",) if content.get(name)}
    if content.get("chat_template_sha") and not ours:  # ours apply it without being told
        told["chat_template"] = "applied"
    recorded = model == "tts-replay"  # what was set then is not known
    strategy = settings.get("strategy", "single") if ours else None
    peft = run.get("peft") or arguments.get("peft") or arguments.get("lora_local_path")
    return Setup(
        model=model,
        checkpoint=_checkpoint(content, run, arguments),
        adapter=_text(peft),
        revision=_text(arguments.get("revision") or _text(run.get("model_sha"))),
        prompt_style=_text(settings.get("prompt_style")) if ours else None,
        strategy="recorded" if recorded else _text(strategy),
        settings=() if recorded else tuple(sorted((k, _plain(v)) for k, v in told.items())),
        seed=_text(settings.get("seed", run.get("torch_seed"))),
    )


def _says_nothing(name: str, value: Any) -> bool:
    return value in _SAY_NOTHING.get(name, ())


def _checkpoint(
    content: Mapping[str, Any], run: Mapping[str, Any], arguments: Mapping[str, Any]
) -> str:
    """Return the checkpoint; a recording has no name of one, so its file stands for it."""
    names = (run.get("pretrained"), arguments.get("pretrained"), arguments.get("path"))
    named = (*names, arguments.get("model"), content.get("model_name"))
    return next((str(name) for name in named if name), "unknown")


def _arguments(given: Any) -> dict[str, Any]:
    """Return model arguments: a mapping, or before 0.4.9 a text `a=1,b=[2,3]`."""
    if isinstance(given, dict):
        return dict(given)
    parts: list[str] = []
    for part in str(given or "").split(","):
        if "=" in part.partition("[")[0] or not parts:
            parts.append(part)
        else:  # a comma within a value
            parts[-1] += f",{part}"
    return {name: value for name, _, value in (p.partition("=") for p in parts) if name}


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return each path or Hub name by its last parts, as many as tell them apart.

    A Hub name (`owner/name`) stays whole.
    """
    unique = sorted(set(names))
    parts = {name: PurePosixPath(name.replace("\\", "/")).parts or (name,) for name in unique}
    short = {n: n if len(parts[n]) == 2 and n[0] not in "./~" else parts[n][-1] for n in unique}
    for length in range(2, max(map(len, parts.values()), default=0) + 1):
        taken = list(short.values())
        for name in unique:
            if taken.count(short[name]) > 1:
                short[name] = "/".join(parts[name][-length:])
    return short


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).replace(" ", "") if isinstance(value, (list, tuple)) else str(value)
    return text.replace("\n", r"\n")  # a step_delimiter, in one line


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return None if value in (None, "", False) else _plain(value)


def _int(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) else None


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
