"""Test-time scaling strategies for EleutherAI's lm-evaluation-harness.

Importing this package costs next to nothing: torch, transformers and lm_eval are imported only by
the subpackages that need them (`engines`, `models`, `tasks`), and the names below at first use."""

__version__ = "0.1.0"

# What people who write strategies need: the public name of each, and the module that has it.
_PUBLIC = {
    "core.program": (
        "Completion",
        "Program",
        "Sampling",
        "gather",
        "generate",
        "join",
        "score",
        "spawn",
    ),
    "core.trace": ("Candidate", "Delimiters", "Request", "Trace"),
    "core.scheduler": ("Job", "run"),
    "engines.scripted": ("ScriptedEngine",),
    "errors": ("DataError", "LmEvalTTSError", "RequestError", "SettingsError"),
    "results.frames": ("runs_df", "samples_df"),
    "reward_models.scripted": ("ScriptedRewardModel",),
    "strategies.base": ("Strategy",),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
