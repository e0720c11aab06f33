"""The test-time strategies: one small file each, pure generators over token ids.

A strategy is a frozen dataclass with the base `Strategy`. Its fields are its settings, with the
names that users type; its `run` makes the program of one request. Strategies import `core` and
`errors` only: no engine, no lm_eval, and nothing from which a reference answer could be reached.
Which answers are equal is known by `Request.classify`, which reads no reference.

A file is a strategy of its name; the classes are imported at first use."""

from lm_eval_tts.strategies.base import Abilities, LogprobKind, Strategy
from lm_eval_tts.strategies.registry import BUILT_IN, find_strategy

__all__ = ["BUILT_IN", "Abilities", "LogprobKind", "Strategy", "find_strategy"]


def __getattr__(name: str) -> type[Strategy]:
    for strategy in BUILT_IN:
        if (kind := find_strategy(strategy)).__name__ == name:
            return kind
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
