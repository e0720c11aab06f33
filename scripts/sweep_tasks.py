"""Runs lm_eval's generative tasks on a scripted model and compares their metrics with stock's.

    python scripts/sweep_tasks.py [--all] [--tasks gsm8k,ifeval] [--json report.json]

Each task gets made-up documents with whatever fields its own file asks for, and is run three times:
by a stock model that answers with a text, and by a scripted model that thinks first and answers
with the same text, under `budget` with two budgets and under `self_consistency`. At the last point,
and for the vote, the task's own metrics must be the stock model's. Those of reasoning-gym make
their documents themselves. By default the tasks that state
`generate_until` in a file of their own and two of each folder; --all is thousands. What cannot be
made is listed with its reason. The exit code is 1 if a task disagrees.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib.metadata
import io
import json
import logging
import multiprocessing
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from lm_eval_tts.harness.names import task_configs

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
TEXT = "The answer is 4"
THOUGHT = "<think>\nLet me see.\n\n1) So it is B, or (C). #### 99"
RUNS = {
    "budget": {"strategy": "budget", "max_thinking_tokens": [8, 400], "delimiters": "qwen3"},
    "self_consistency": {
        "strategy": "self_consistency", "n": 3, "do_sample": True, "temperature": 1.0,
        "delimiters": "qwen3",
    },
}  # fmt: skip
TEMPLATES = ("doc_to_text", "doc_to_target", "doc_to_choice", "description", "gen_prefix")
SECONDS = 240  # for one task
NUM_DOCS = 40  # of each split, enough for few-shots
TAKEN_BACK = {"max_gen_toks": 4000}  # a task's own limit may be too short for the thought
LISTS = ("choice", "option", "ending", "answers", "targets", "aliases", "list", "turns", "examples")
NUMBERS = ("label", "idx", "index", "gold", "length", "level", "count", "year")


class Word(str):
    """A text that has every field and stands for a number too."""

    def __getitem__(self, key: Any) -> Any:
        return Word("4") if isinstance(key, str) else str.__getitem__(self, key)

    def get(self, key: Any, default: Any = None) -> Word:
        """Return a text for any field."""
        return Word("4")


class Words(list):
    """A list of texts that has every field too."""

    def get(self, key: Any, default: Any = None) -> Words:
        """Return the texts for any field."""
        return Words(self)

    def __getitem__(self, key: Any) -> Any:
        return Words(self) if isinstance(key, str) else list.__getitem__(self, key)


class Doc(dict):
    """A document that has whatever field it is asked for."""

    def __missing__(self, key: str) -> Any:
        self[key] = guess(key)
        return self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value for any field."""
        return self[key]


def guess(name: str) -> Any:
    """Return a value for a field of this name."""
    small = name.lower()
    if any(part in small for part in LISTS):
        return Words(Word(text) for text in ("4", "5", "6", "7"))
    if any(part in small for part in NUMBERS):
        return 0
    return Word("4")


class Rows(list):
    """As much of a `datasets.Dataset` as task files use."""

    @property
    def features(self) -> dict[str, None]:
        """Return the names of the columns."""
        return dict.fromkeys(self[0])

    column_names = property(lambda self: list(self[0]))
    num_rows = property(len)

    def __getitem__(self, key: Any) -> Any:
        return [row[key] for row in self] if isinstance(key, str) else list.__getitem__(self, key)

    def map(self, function: Any, **options: Any) -> Rows:
        """Return the rows with what a function makes of each."""
        if options.get("batched"):
            made = function({name: self[name] for name in self.features})
            columns = [made[name] for name in made]
            return Rows(Doc(zip(made, row, strict=True)) for row in zip(*columns, strict=False))
        indexed = options.get("with_indices")
        made = (function(row, i) if indexed else function(row) for i, row in enumerate(self))
        return Rows(Doc({**row, **new}) for row, new in zip(self, made, strict=True))

    def filter(self, function: Any, **options: Any) -> Rows:
        """Return the rows that pass; all, where none has the category that is asked for."""
        return Rows(row for row in self if function(row)) or self

    def select(self, numbers: Any) -> Rows:
        """Return the rows with these numbers, as far as there are so many."""
        return Rows(self[number] for number in numbers if number < len(self)) or self

    def _same(self, *args: Any, **options: Any) -> Rows:
        return self

    shuffle = sort = remove_columns = flatten_indices = cast_column = select_columns = _same

    def rename_column(self, old: str, new: str) -> Rows:
        """Return the rows with a column under another name too."""
        return Rows(Doc({**row, new: row[old]}) for row in self)

    def to_list(self) -> list[Doc]:
        """Return the rows."""
        return list(self)


class Splits(dict):
    """A data set with every split."""

    def __init__(self, fields: set[str]) -> None:
        super().__init__()
        self._fields = fields

    def __missing__(self, split: str) -> Rows:
        """Make the documents of a split."""
        docs = [Doc({name: guess(name) for name in sorted(self._fields)}) for _ in range(NUM_DOCS)]
        self[split] = Rows(Doc(doc, id=Word(str(i))) for i, doc in enumerate(docs))
        return self[split]


def fields_of(config: dict[str, Any]) -> set[str]:
    """Return the names that the templates of a task file read."""
    import jinja2

    found: set[str] = set()
    for value in config.values():
        if isinstance(value, str) and "{" in value:
            with contextlib.suppress(jinja2.TemplateError):
                parsed = jinja2.Environment(autoescape=False).parse(value)
                found |= jinja2.meta.find_undeclared_variables(parsed)
        elif isinstance(value, str) and re.fullmatch(r"\w+", value):
            found.add(value)
    return found


class ByText:
    """Stands in for a metric of the Hub, such as code_eval: right where the answer has a 4."""

    def compute(self, references: Any = None, predictions: Any = None, **options: Any) -> Any:
        """Return the share of predictions that are right."""
        right = sum("4" in str(prediction) for prediction in predictions) / len(predictions)
        named = {f"pass@{k}": right for k in options.get("k") or [1]}
        return (named, {}) if "k" in options else named


def load_metric(name: str, *args: Any, **options: Any) -> ByText:
    """Return a stand-in, since metrics are scripts on the Hub."""
    return ByText()


def install_documents() -> None:
    """Have every task make its documents, and take no network for a metric."""
    import evaluate
    import jinja2.meta  # noqa: F401
    from lm_eval import evaluator
    from lm_eval.api.task import ConfigurableTask

    download_own = ConfigurableTask.download

    def download(self: Any, *args: Any, **options: Any) -> None:
        if getattr(self.config.custom_dataset, "__module__", "").startswith("lm_eval_tts."):
            download_own(self, *args, **options)
        else:
            config = {name: getattr(self.config, name) for name in TEMPLATES}
            self.dataset = Splits(fields_of(config))

    ConfigurableTask.download = download
    evaluate.load = load_metric
    known = importlib.metadata.version  # minerva_math insists on one release of antlr
    importlib.metadata.version = lambda name: "4.11" if "antlr" in name else known(name)
    evaluator.add_env_info = lambda results: None
    evaluator.get_git_commit_hash = lambda: ""


def candidates_of_sweep(entries: list[Any], every: bool) -> list[str]:
    """Return the names of the tasks to run."""
    names, per_folder = [], collections.Counter()
    for entry in sorted(entries, key=lambda entry: entry.name):
        if (entry.cfg or {}).get("output_type") != "generate_until" or entry.yaml_path is None:
            continue
        generated = entry.name.startswith("reasoning_gym_")
        if Path(entry.yaml_path).is_relative_to(task_configs()) and not generated:
            continue
        folder = str(Path(entry.yaml_path).parent)
        own = generated or "generate_until" in Path(entry.yaml_path).read_text(encoding="utf-8")
        if every or own or per_folder[folder] < 2:
            per_folder[folder] += 1
            names.append(entry.name)
    return names


def run(lm: Any, name: str, manager: Any, gen_kwargs: dict[str, Any] | None) -> tuple[dict, list]:
    """Return the metrics and samples of a task under a model."""
    from lm_eval import simple_evaluate

    found = simple_evaluate(
        lm, tasks=[name], task_manager=manager, gen_kwargs=gen_kwargs, bootstrap_iters=0, limit=2,
        confirm_run_unsafe_code=True,
    )  # fmt: skip
    return found["results"][name], found["samples"][name]


def disagreements(stock: tuple[dict, list], ours: tuple[dict, list], points: bool) -> list[str]:
    """Return where the metrics or filtered answers of ours are not those of stock."""
    wrong = []
    for key, value in stock[0].items():
        if "," in key and "_stderr" not in key:
            name, _, filter_ = key.partition(",")
            for mine in [key, f"{name}@400,{filter_}"] if points else [key]:
                if str(ours[0].get(mine)) != str(value):
                    wrong.append(f"{mine}: {ours[0].get(mine)} and not {value}")
    for mine, theirs in zip(ours[1], stock[1], strict=True):
        if str(mine["filtered_resps"]) != str(theirs["filtered_resps"]):
            wrong.append(f"filtered: {mine['filtered_resps']} and not {theirs['filtered_resps']}")
    return wrong


def check(name: str, manager: Any) -> list[str]:
    """Run a task three times and return its disagreements; raises what cannot be made."""
    from lm_eval.api.model import LM

    from lm_eval_tts.models.scripted import ScriptedLM

    class Stock(LM):
        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            stops = [stop for stop in requests[0].args[1].get("until") or () if stop]
            return [re.split("|".join(map(re.escape, stops)) or "$^", TEXT)[0] for _ in requests]

        loglikelihood = loglikelihood_rolling = None

    def write(prompt: str, seed: int | None) -> str:
        if prompt.endswith("</think>\n\n") and not prompt.endswith(f"{THOUGHT}</think>\n\n"):
            return "no"  # the thought was cut
        whole = f"{THOUGHT}</think>\n\n{TEXT}"
        begun = next(k for k in range(len(whole), -1, -1) if prompt.endswith(whole[:k]))
        return whole[begun:]

    stock = run(Stock(), name, manager, None)
    wrong = []
    for strategy, settings in RUNS.items():
        ours = run(ScriptedLM(write), name, manager, {**TAKEN_BACK, **settings})
        found = disagreements(stock, ours, points=strategy == "budget")
        wrong += [f"{strategy}: {text}" for text in found]
    return wrong


def in_a_child(name: str, manager: Any) -> list[str] | str:
    """Check a task in a process of its own, which graders that run code may end."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=lambda: send.send(found_in(name, manager)))
    child.start()
    send.close()
    try:
        return receive.recv() if receive.poll(SECONDS) else f"took more than {SECONDS} s"
    except EOFError:
        return "its process ended"
    finally:
        child.kill()
        child.join()


def found_in(name: str, manager: Any) -> list[str] | str:
    """Return what `check` finds, or the reason why a task is left out."""
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            return check(name, manager)
    except Exception as error:  # a task may fail in any way on made-up documents
        return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def main() -> int:
    """Sweep and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every task, which is thousands")
    parser.add_argument("--tasks", help="names, separated by commas")
    parser.add_argument("--json", help="file for the report")
    args = parser.parse_args()
    logging.disable(logging.ERROR)
    from lm_eval.tasks import TaskManager

    import lm_eval_tts.harness.autoload  # noqa: F401

    install_documents()
    manager = TaskManager(metadata={"reasoning_gym": {"size": 2}})
    entries = list(manager.task_index.values())
    names = args.tasks.split(",") if args.tasks else candidates_of_sweep(entries, args.all)
    report: dict[str, list[str] | str] = {}
    for name in names:
        rates_in_a_worker = name.startswith("reasoning_gym_")  # one for all, as it starts slowly
        report[name] = (found_in if rates_in_a_worker else in_a_child)(name, manager)
        show(name, report[name])
    return tell(report, args.json)


def show(name: str, found: list[str] | str) -> None:
    """Print what is not well with a task."""
    if isinstance(found, str):
        print(f"left out {name}: {found}", flush=True)
    elif found:
        print(f"DISAGREES {name}: {'; '.join(found)[:600]}", flush=True)


def tell(report: dict[str, list[str] | str], path: str | None) -> int:
    """Print how many tasks ran; return 1 if one disagrees."""
    left_out = sum(isinstance(found, str) for found in report.values())
    wrong = sum(isinstance(found, list) and bool(found) for found in report.values())
    print(f"{len(report) - left_out} tasks ran, {wrong} disagree, {left_out} left out")
    if path:
        Path(path).write_text(json.dumps(report, indent=1), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # some tasks write files
        sys.exit(main())
