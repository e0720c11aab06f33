"""How a stock lm_eval finds this package: a hook that costs nothing until lm_eval is imported.

The released lm_eval (0.4.13) has no plug-in mechanism. `lm_eval_tts.pth`, which Python reads at
start-up, imports this module; it puts one finder on `sys.meta_path`. Where a module of lm_eval is
imported that `_PATCHES` names, the finder lets it load as usual and then extends it.

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
    """Add our models to lm_eval's registry, lazily and under names that are free: its next release
    reads them from the entry points in pyproject.toml."""
    from lm_eval.api.registry import model_registry

    for name, target in MODELS.items():
        if name not in model_registry:
            model_registry.register(name, target=target)


def _around(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Put a function in the place of an attribute, which it is given as its first argument."""
    import functools

    original = getattr(owner, name)

    def put(function: Callable[..., Any]) -> None:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(original, *args, **kwargs)

        call._is_ours = True  # type: ignore[attr-defined]
        setattr(owner, name, call)

    return put


def add_task_path(manager_module: ModuleType) -> None:
    """Make TaskManager look into our folder too, unless it is asked for no default tasks: before
    the user's own --include_path, which wins. Look there for the user's strategies. lm_eval's own
    files are left out where the command asks for none of them: reading all takes ten seconds."""
    import inspect

    from lm_eval_tts.harness.run_state import stock_tasks
    from lm_eval_tts.strategies.registry import search_also

    if hasattr(manager_module.TaskManager.__init__, "_is_ours"):
        return

    @_around(manager_module.TaskManager, "__init__")
    def init(original: Any, *args: Any, **kwargs: Any) -> None:
        bound = inspect.signature(original).bind(*args, **kwargs)
        given = bound.arguments.get("include_path") or []
        own = given if isinstance(given, (list, tuple)) else [given]
        search_also(own)
        if bound.arguments.get("include_defaults", True):
            bound.arguments["include_path"] = [task_configs(), *own]
            bound.arguments["include_defaults"] = stock_tasks.get() or bool(own)
        original(*bound.args, **bound.kwargs)


def grade_any_task(task_module: ModuleType) -> None:
    """Make every task grade what follows the thinking, where one of our models has answered."""
    import importlib

    @_around(task_module.Task, "build_all_requests")
    def build_all_requests(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.OUTPUT_TYPE == "generate_until":
            importlib.import_module(TASK_GRADING).attach(self)


def aggregate_points(group_module: ModuleType) -> None:
    """Make a group that aggregates a metric aggregate it at each point of its tasks too."""
    from dataclasses import replace

    @_around(group_module.Group, "aggregate")
    def aggregate(original: Any, self: Any, task_metrics: Any) -> Any:
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


def prepare_runs(evaluator_module: Any) -> None:
    """Check settings before a model is loaded, and make our tasks ready for any model."""
    import importlib

    from lm_eval_tts.core.identity import text_hash

    def prepare(lm: Any, task_dict: Any, samples: Any = None, **unused: Any) -> None:
        importlib.import_module(PREPARE_TASKS).prepare(lm, task_dict, samples)

    _before(evaluator_module, "simple_evaluate", _check_settings)
    _before(evaluator_module, "evaluate", prepare)
    evaluator_module.hash_string = text_hash  # its own cannot take halves of surrogate pairs


def _check_settings(model: Any, task_manager: Any = None, **given: Any) -> None:
    if not isinstance(model, str) or model not in MODELS:
        return
    from lm_eval.api.registry import get_model
    from lm_eval.utils import simple_parse_args_string

    from lm_eval_tts.harness.imports import without_collections
    from lm_eval_tts.harness.preflight import check_packages, check_samples, check_settings

    def parsed(name: str) -> Any:
        text = given.get(name)
        return simple_parse_args_string(text) if isinstance(text, str) else text or {}

    check_packages(model)
    later = getattr(task_manager, "_task_index", None)  # its name from lm_eval 0.5 on
    index, tasks = getattr(task_manager, "task_index", later), given.get("tasks") or ()
    check_settings(model, parsed("model_args"), parsed("gen_kwargs"), tasks, index)
    check_samples(given.get("samples") or (), tasks, index or {})
    with without_collections():
        get_model(model)


def _before(owner: Any, name: str, action: Callable[..., None]) -> None:
    """Make a function call the action with its arguments first."""
    import inspect

    @_around(owner, name)
    def call(original: Any, *args: Any, **kwargs: Any) -> Any:
        action(**inspect.signature(original).bind(*args, **kwargs).arguments)
        return original(*args, **kwargs)


def guard_runs(run_module: ModuleType) -> None:
    """Make runs of our models end in one line and a telling exit code."""
    from lm_eval_tts.harness.guard import guarded

    run_module.Run._execute = staticmethod(guarded(run_module.Run._execute))
    _let_argparse_tell(run_module.MergeDictAction)


def summarize_runs(utils_module: Any) -> None:
    """Put a summary above lm_eval's table for runs of our models."""

    @_around(utils_module, "make_table")
    def make_table(
        original: Any, result_dict: Any, column: str = "results", *more: Any, **options: Any
    ) -> Any:
        table = original(result_dict, column, *more, **options)
        if column != "results" or result_dict.get("config", {}).get("model") not in MODELS:
            return table
        from lm_eval_tts.harness.run_state import output_path
        from lm_eval_tts.harness.summary import summary

        return f"{summary(result_dict, output_path.get())}\n{table}"


def _let_argparse_tell(action: Any) -> None:
    """Make broken JSON in an argument end as argparse's own errors do, in one line."""

    @_around(action, "__call__")
    def call(original: Any, self: Any, parser: Any, *given: Any) -> None:
        try:
            original(self, parser, *given)
        except ValueError as error:
            parser.error(f"argument {given[-1]}: {' '.join(str(error).split())}")


def complain_in_one_line(harness_module: ModuleType) -> None:
    """Make lm_eval's parser say in one line what is wrong with a command for one of our models."""

    @_around(harness_module.HarnessCLI, "parse_args")
    def parse_args(original: Any, self: Any) -> Any:
        if any("tts-" in word for word in sys.argv):
            from lm_eval_tts.harness.complaints import in_one_line

            for parser in (self._parser, *self._subparsers.choices.values()):
                in_one_line(parser, self._subparsers.choices["run"]._option_string_actions)
        return original(self)


_PATCHES = {
    "lm_eval.models": register_models,
    "lm_eval.api.group": aggregate_points,
    "lm_eval.api.task": grade_any_task,
    "lm_eval.tasks.manager": add_task_path,
    "lm_eval.evaluator": prepare_runs,
    "lm_eval.utils": summarize_runs,
    "lm_eval._cli.run": guard_runs,
    "lm_eval._cli.harness": complain_in_one_line,
}


class _Finder:
    """Finds nothing itself; runs a patch after the module it belongs to was executed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _PATCHES:
            return None
        others = [f for f in sys.meta_path if f is not self and hasattr(f, "find_spec")]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            _patch_after(spec.loader, _PATCHES[name])
        return spec


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
