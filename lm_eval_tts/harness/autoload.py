"""How a stock lm_eval finds this package: a hook that costs nothing until lm_eval is imported.

The released lm_eval (0.4.13) has no plug-in mechanism. `lm_eval_tts.pth`, which Python reads at
start-up, imports this module; it puts one finder on `sys.meta_path`. That lets the modules of
lm_eval that are to be extended load as usual, and then has `extensions` do so.

LM_EVAL_TTS_DISABLE=1 switches it off. It never raises."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost start-up time
    from types import ModuleType
    from typing import Any

# Modules of lm_eval, and what `extensions` puts around which of their functions; with the first of
# them our models are registered.
_EXTENDED = {
    "lm_eval.models": {},
    "lm_eval.api.group": {"Group.aggregate": "aggregate_points"},
    "lm_eval.api.task": {"Task.build_all_requests": "grade_any_task"},
    "lm_eval.tasks.manager": {"TaskManager.__init__": "find_tasks"},
    "lm_eval.evaluator": {
        "simple_evaluate": "check_first",
        "evaluate": "prepare_first",
    },
    "lm_eval.utils": {"make_table": "summarize", "hash_string": "hash_any"},
    "lm_eval._cli.run": {
        "Run._execute": "guard_run",
        "MergeDictAction.__call__": "let_argparse_tell",
    },
    "lm_eval._cli.harness": {"HarnessCLI.parse_args": "complain_in_one_line"},
}


def _extend(module: ModuleType) -> None:
    try:
        from lm_eval_tts.harness.extensions import extend

        extend(module, _EXTENDED[module.__name__])
    except Exception as error:  # a changed lm_eval must still work without us
        sys.stderr.write(f"lm_eval_tts: could not extend {module.__name__}: {error}\n")


class _Finder:
    """Finds nothing itself; extends a module after it was executed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _EXTENDED:
            return None
        others = [f for f in sys.meta_path if f is not self and hasattr(f, "find_spec")]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        loader: Any = spec and spec.loader
        if loader is not None:
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _extend(module)

            loader.exec_module = exec_module
        return spec


def install() -> None:
    """Put the finder in place; modules that are already loaded are extended at once."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
    for name in _EXTENDED.keys() & sys.modules.keys():
        _extend(sys.modules[name])


if os.environ.get("LM_EVAL_TTS_DISABLE", "0") in ("", "0"):
    install()
