"""What a stock lm_eval does otherwise where this package is installed: functions around its own.

Each is given the original as its first argument, see `autoload` for which is which."""

import difflib
import re
import sys
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial, wraps
from importlib import import_module
from inspect import signature
from operator import attrgetter
from types import ModuleType
from typing import Any, NoReturn, TypeAlias

from lm_eval_tts.core.identity import text_hash
from lm_eval_tts.harness import preflight
from lm_eval_tts.harness.names import MODELS, task_configs
from lm_eval_tts.harness.run_state import output_path, stock_tasks
from lm_eval_tts.strategies.registry import search_also

Original: TypeAlias = Callable[..., Any]


def register_models() -> None:
    """Add our models to lm_eval's registry, lazily and under names that are free: its next release
    reads them from the entry points in pyproject.toml."""
    from lm_eval.api.registry import model_registry

    for name, target in MODELS.items():
        if name not in model_registry:
            model_registry.register(name, target=target)


def find_tasks(original: Original, *args: Any, **kwargs: Any) -> None:
    """Make TaskManager look into our folder too, unless it is asked for no default tasks: before
    the user's own --include_path, which wins. Look there for the user's strategies. lm_eval's own
    files are left out where the command asks for none of them: reading all takes ten seconds."""
    bound = signature(original).bind(*args, **kwargs)
    given = bound.arguments.get("include_path") or []
    own = given if isinstance(given, (list, tuple)) else [given]
    search_also(own)
    if bound.arguments.get("include_defaults", True):
        bound.arguments["include_path"] = [task_configs(), *own]
        bound.arguments["include_defaults"] = stock_tasks.get() or bool(own)
    original(*bound.args, **bound.kwargs)


def grade_any_task(original: Original, self: Any, *args: Any, **kwargs: Any) -> None:
    """Make a task grade what follows the thinking, where one of our models has answered."""
    original(self, *args, **kwargs)
    if self.OUTPUT_TYPE == "generate_until":
        import_module("lm_eval_tts.tasks.anytask").attach(self)


def aggregate_points(original: Original, self: Any, task_metrics: Any) -> Any:
    """Make a group that aggregates a metric aggregate it at each point of its tasks too."""
    leaves = [task_metrics.get(task.task_name, {}) for task in self.get_all_tasks()]
    known = {key.partition(",")[0] for found in leaves for key in found}
    listed = self.aggregate_metric_list or []
    points = [
        replace(config, metric=name)
        for config in listed
        for name in sorted(known)
        if name.startswith(f"{config.metric}@") and "_stderr" not in name
    ]
    group = replace(self, aggregate_metric_list=[*listed, *points]) if points else self
    return original(group, task_metrics)


def check_first(original: Original, *args: Any, **kwargs: Any) -> Any:
    """Check the settings of a run of ours before a model is loaded."""
    from lm_eval.api.registry import get_model
    from lm_eval.utils import simple_parse_args_string

    given = defaultdict(lambda: None, signature(original).bind(*args, **kwargs).arguments)
    if (model := str(given["model"])) in MODELS:
        preflight.check_packages(model)
        manager, tasks = given["task_manager"], given["tasks"] or ()
        later = getattr(manager, "_task_index", None)  # its name from lm_eval 0.5 on
        index = getattr(manager, "task_index", later)
        model_args, gen_kwargs = (
            simple_parse_args_string(text) if isinstance(text, str) else text or {}
            for text in (given["model_args"], given["gen_kwargs"])
        )
        preflight.check_settings(model, model_args, gen_kwargs, tasks, index)
        preflight.check_samples(given["samples"] or (), tasks, index or {})
        with preflight.without_collections():
            get_model(model)
    return original(*args, **kwargs)


def prepare_first(original: Original, *args: Any, **kwargs: Any) -> Any:
    """Make our tasks ready for any model."""
    given = signature(original).bind(*args, **kwargs).arguments
    tasks = import_module("lm_eval_tts.tasks.views")
    tasks.prepare(given["lm"], given["task_dict"], given.get("samples"))
    return original(*args, **kwargs)


def hash_any(original: Original, text: str) -> str:
    """Hash texts with halves of surrogate pairs too, which lm_eval's own function cannot take."""
    return text_hash(text)


def guard_run(original: Original, *given: Any) -> None:
    """Make runs of our models end in one line and a telling exit code."""
    from lm_eval_tts.harness.guard import guarded

    guarded(original, given[-1])  # it is a static method


def summarize(
    original: Original, result_dict: Any, column: str = "results", *more: Any, **options: Any
) -> Any:
    """Put a summary above lm_eval's table for runs of our models."""
    table = original(result_dict, column, *more, **options)
    if column != "results" or result_dict.get("config", {}).get("model") not in MODELS:
        return table
    from lm_eval_tts.harness.summary import summary

    return f"{summary(result_dict, output_path.get())}\n{table}"


def let_argparse_tell(original: Original, self: Any, parser: ArgumentParser, *given: Any) -> None:
    """Make broken JSON in an argument end as argparse's own errors do, in one line."""
    try:
        original(self, parser, *given)
    except ValueError as error:
        parser.error(f"argument {given[-1]}: {' '.join(str(error).split())}")


def complain_in_one_line(original: Original, self: Any) -> Any:
    """Make lm_eval's parser say in one line what is wrong with a command for one of our models."""
    if any("tts-" in word for word in sys.argv):
        options = self._subparsers.choices["run"]._option_string_actions
        for parser in (self._parser, *self._subparsers.choices.values()):
            parser.error = partial(_complain, parser, options)
    return original(self)


def _complain(parser: ArgumentParser, options: Iterable[str], message: str) -> NoReturn:
    """Say what is wrong, without a usage and with the options that may be meant by unknown ones."""
    unknown = re.findall(r"(?<!\S)--[\w-]+", message.partition("unrecognized arguments: ")[2])
    near = [n for w in unknown for n in difflib.get_close_matches(w, options, n=1)]
    hint = f": did you mean {near[0]}?" if near else ""
    what = re.sub(r"invalid functools\.partial\(.*\) value", "invalid value", message)
    parser.exit(2, f"lm_eval_tts: {what}{hint} (lm_eval run --help shows all)\n")


def _around(original: Original, function: Callable[..., Any]) -> Original:
    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(original, *args, **kwargs)

    return call


def extend(module: ModuleType, around: Mapping[str, str]) -> None:
    """Put functions of this file around those of a module of lm_eval that was just loaded.
    around: the path of its own within it, such as Class.method, to the name of ours."""
    if module.__name__ == "lm_eval.models":
        register_models()
    for path, ours in around.items():
        place, _, name = path.rpartition(".")
        owner = attrgetter(place)(module) if place else module
        setattr(owner, name, _around(getattr(owner, name), globals()[ours]))
