"""How a stock lm_eval finds this package: a hook that costs nothing until lm_eval is imported.

The released lm_eval (0.4.13) has no plug-in mechanism. `lm_eval_tts.pth`, which Python reads at
start-up, imports this module; it puts one finder on `sys.meta_path`. When lm_eval's model registry,
task manager or command is imported, the finder lets it load as usual and then

- registers our models lazily, except names that lm_eval already knows (its next release reads them
  from the entry points in pyproject.toml),
- adds our task folder to TaskManager's paths, before the user's own --include_path, which wins,
  and looks for the user's strategies there,
- has settings checked before a model is loaded, and our tasks made ready for any model,
- has tasks grade what follows the thinking, where one of our models has answered,
- puts a summary above the table of results,
- puts `guard` around the command's runs: a user's error is one line, an exit code tells failures.

LM_EVAL_TTS_DISABLE=1 switches it off. It never raises."""

from __future__ import annotations

import os
import sys

from lm_eval_tts.harness.names import MODELS, PREPARE_TASKS, TASK_GRADING, task_configs

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost start-up time
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def register_models(models_module: ModuleType) -> None:
    """Add our models to lm_eval's registry, under names that are free."""
    from lm_eval.api.registry import model_registry

    for name, target in MODELS.items():
        if name not in model_registry:
            model_registry.register(name, target=target)


def add_task_path(manager_module: ModuleType) -> None:
    """Make TaskManager look into our folder too, unless it is asked for no default tasks."""
    import functools
    import inspect

    from lm_eval_tts.strategies.registry import search_also

    task_manager = manager_module.TaskManager
    original = task_manager.__init__
    if getattr(original, "_has_tts_tasks", False):
        return
    signature = inspect.signature(original)

    @functools.wraps(original)
    def init(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments.get("include_path") or []
        own = given if isinstance(given, (list, tuple)) else [given]
        search_also(own)
        if bound.arguments.get("include_defaults", True):
            bound.arguments["include_path"] = [task_configs(), *own]
        original(*bound.args, **bound.kwargs)

    init._has_tts_tasks = True  # type: ignore[attr-defined]
    task_manager.__init__ = init


def grade_any_task(task_module: ModuleType) -> None:
    """Have every task grade what follows the thinking, where one of our models has answered."""
    import functools
    import importlib

    original = task_module.Task.build_all_requests

    @functools.wraps(original)
    def build_all_requests(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.OUTPUT_TYPE == "generate_until":
            importlib.import_module(TASK_GRADING).attach(self)

    task_module.Task.build_all_requests = build_all_requests


def aggregate_points(group_module: ModuleType) -> None:
    """Have a group that aggregates a metric aggregate it at each point of its tasks too."""
    import dataclasses
    import functools

    original = group_module.Group.aggregate

    @functools.wraps(original)
    def aggregate(self: Any, task_metrics: Any) -> Any:
        leaves = [task_metrics.get(task.task_name, {}) for task in self.get_all_tasks()]
        known = {key.partition(",")[0] for found in leaves for key in found}
        listed = self.aggregate_metric_list or []
        points = [
            dataclasses.replace(config, metric=name)
            for config in listed
            for name in sorted(known)
            if name.startswith(f"{config.metric}@") and "_stderr" not in name
        ]
        if not points:
            return original(self, task_metrics)
        return original(
            dataclasses.replace(self, aggregate_metric_list=[*listed, *points]), task_metrics
        )

    group_module.Group.aggregate = aggregate


def prepare_runs(evaluator_module: Any) -> None:
    """Have settings checked before a model is loaded, and our tasks made ready for any model."""
    import importlib

    def prepare(lm: Any, task_dict: Any, samples: Any = None, **unused: Any) -> None:
        importlib.import_module(PREPARE_TASKS).prepare(lm, task_dict, samples)

    evaluator_module.simple_evaluate = _after(_check_settings, evaluator_module.simple_evaluate)
    evaluator_module.evaluate = _after(prepare, evaluator_module.evaluate)


def _check_settings(
    model: Any,
    model_args: Any = None,
    tasks: Any = None,
    gen_kwargs: Any = None,
    task_manager: Any = None,
    **unused: Any,
) -> None:
    if not isinstance(model, str) or model not in MODELS:
        return
    from lm_eval.utils import simple_parse_args_string

    from lm_eval_tts.harness.preflight import check_packages, check_settings

    def parsed(given: Any) -> Any:
        return simple_parse_args_string(given) if isinstance(given, str) else given or {}

    check_packages(model)
    index = getattr(task_manager, "task_index", None)
    check_settings(model, parsed(model_args), parsed(gen_kwargs), tasks or (), index)


def _after(action: Callable[..., None], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, which calls the action with its arguments first."""
    import functools
    import inspect

    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        action(**signature.bind(*args, **kwargs).arguments)
        return function(*args, **kwargs)

    return call


def guard_runs(run_module: ModuleType) -> None:
    """Have runs of our models end in one line and an exit code that tells."""
    from lm_eval_tts.harness.guard import guarded

    run_module.Run._execute = staticmethod(guarded(run_module.Run._execute))
    _let_argparse_tell(run_module.MergeDictAction)


def summarize_runs(utils_module: Any) -> None:
    """Have a summary above lm_eval's table of a run of our models."""
    import functools

    original = utils_module.make_table

    @functools.wraps(original)
    def make_table(result_dict: Any, column: str = "results", *args: Any, **kwargs: Any) -> Any:
        table = original(result_dict, column, *args, **kwargs)
        if column != "results" or result_dict.get("config", {}).get("model") not in MODELS:
            return table
        from lm_eval_tts.harness.run_state import output_path
        from lm_eval_tts.harness.summary import summary

        return f"{summary(result_dict, output_path.get())}\n{table}"

    utils_module.make_table = make_table


def _let_argparse_tell(action: Any) -> None:
    """Have broken JSON in an argument end as argparse's own errors do, in one line."""
    import functools

    original = action.__call__

    @functools.wraps(original)
    def call(self: Any, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        try:
            original(self, parser, namespace, values, option)
        except ValueError as error:
            parser.error(f"argument {option}: {' '.join(str(error).split())}")

    action.__call__ = call


_PATCHES = {
    "lm_eval.models": register_models,
    "lm_eval.api.group": aggregate_points,
    "lm_eval.api.task": grade_any_task,
    "lm_eval.tasks.manager": add_task_path,
    "lm_eval.evaluator": prepare_runs,
    "lm_eval.utils": summarize_runs,
    "lm_eval._cli.run": guard_runs,
}


class _Finder:
    """Finds nothing itself; runs a patch after the module it belongs to was executed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _PATCHES:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    _patch_after(spec.loader, _PATCHES[name])
                return spec
        return None


def _patch_after(loader: Any, patch: Callable[[ModuleType], None]) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        try:
            patch(module)
        except Exception as error:  # a changed lm_eval must still work without us
            sys.stderr.write(f"lm_eval_tts: could not extend {module.__name__}: {error}\n")

    loader.exec_module = exec_module


def install() -> None:
    """Put the finder in place; modules that are already loaded are extended at once."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
    for name, patch in _PATCHES.items():
        if name in sys.modules:
            patch(sys.modules[name])


if os.environ.get("LM_EVAL_TTS_DISABLE", "0") in ("", "0"):
    install()
