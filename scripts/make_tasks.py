"""Writes the task files: every benchmark with every strategy, those of reasoning-gym, and groups,
and in task_configs/_base the list of metrics and the version of the grader.

    python scripts/make_tasks.py

The lists are task_configs/_benchmarks, _strategies and _reasoning_gym. The group of a benchmark has
the strategies that write one response; those that sample several (`n`) cost a multiple and are
asked for by name.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from lm_eval_tts.core.metrics import METRICS
from lm_eval_tts.grading import GRADER_VERSION

FOLDER = Path(__file__).resolve().parents[1] / "task_configs"
AGGREGATIONS = {"answered": "!function lm_eval_tts.tasks.processing.share_answered"}
HEADER = "# Written by scripts/make_tasks.py: change {}.\n"
LISTS = "../_benchmarks or ../_strategies"


class Function(str):
    """What a `!function` of a task file names."""


class Loader(yaml.SafeLoader):
    """Reads the lists."""


class Dumper(yaml.SafeDumper):
    """Writes task files."""


def text_node(dumper: Dumper, text: str) -> yaml.Node:
    """Return a text as one would write it by hand, line breaks too."""
    style = '"' if text.isspace() else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


Loader.add_constructor("!function", lambda loader, node: Function(node.value))
Dumper.add_representer(Function, lambda dumper, name: dumper.represent_scalar("!function", name))
Dumper.add_representer(str, text_node)


def read_list(path: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a list by their names."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader)


def task_files(folder: Path = FOLDER) -> dict[str, str]:
    """Return the text of each task file, by its path in `folder`, which has the lists."""
    strategies = read_list(folder / "_strategies")
    configs = {
        benchmark: configs_of(benchmark, entry, strategies)
        for benchmark, entry in read_list(folder / "_benchmarks").items()
    }
    configs["reasoning_gym"] = configs_of_generators(read_list(folder / "_reasoning_gym"))
    files = {}
    for benchmark, some in configs.items():
        lists = "../_reasoning_gym" if benchmark == "reasoning_gym" else LISTS
        for config in some:
            name = config["group"] if "group" in config else config["task"]
            text = yaml.dump(
                config, Dumper=Dumper, sort_keys=False, width=100, default_flow_style=None
            )
            files[f"{benchmark}/{name}.yaml"] = HEADER.format(lists) + text
    return files


def configs_of_generators(groups: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return the tasks of reasoning-gym and their groups. groups: names in it, by group."""
    configs: list[dict[str, Any]] = []
    for group, names in groups.items():
        unsafe = {"unsafe_code": True} if group.endswith("_unsafe") else {}
        for name in names:
            head = {"include": "../_reasoning_gym_base", "task": f"reasoning_gym_{name}"}
            configs.append({**head, "dataset_kwargs": {"name": name}, **unsafe})
        mean = [{"metric": "score", "aggregation": "mean", "weight_by_size": True}]
        tasks = [f"reasoning_gym_{name}" for name in names]
        configs.append({"group": group, "task": tasks, "aggregate_metric_list": mean})
    return configs


def configs_of(
    benchmark: str, entry: dict[str, Any], strategies: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the tasks of a benchmark and, last, their group."""
    stock = entry.pop("stock", [])
    tasks, group = [], []
    for strategy, settings in strategies.items():
        changes = settings.get(benchmark, {})
        if changes is None:
            continue
        kwargs = {k: v for k, v in {**settings["all"], **changes}.items() if v is not None}
        name = f"tts_{benchmark}_{strategy}" if strategy in stock else f"{benchmark}_{strategy}"
        head = {"include": "../_base", "task": name, "tag": f"tts_{strategy}"}
        tasks.append({**head, **entry, "generation_kwargs": kwargs})
        if "n" not in kwargs:
            group.append(name)
    return [*tasks, {"group": f"tts_{benchmark}", "task": group}]


def with_facts(base: str) -> str:
    """Return the text of _base with the metrics that our tasks record and the grader's version."""
    head, _, rest = base.partition("metric_list:\n")
    rows = [
        f"  - {{metric: {m.name}, aggregation: {AGGREGATIONS.get(m.name, 'mean')}, "
        f"higher_is_better: {str(m.higher_is_better).lower()}}}\n"
        for m in METRICS
        if m.recorded
    ]
    metadata = re.sub(r"grader: \d+", f"grader: {GRADER_VERSION}", rest[rest.index("metadata:") :])
    return f"{head}metric_list:\n{''.join(rows)}{metadata}"


def write(folder: Path = FOLDER) -> None:
    """Have the folders of `folder` hold the task files and nothing else."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    for name, text in task_files(folder).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    base = folder / "_base"
    base.write_text(with_facts(base.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
