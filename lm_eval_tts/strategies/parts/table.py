"""The table of compute-optimal choices: reading it, checking it, and finding the rule that fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lm_eval_tts.core.difficulty import BINS
from lm_eval_tts.errors import SettingsError, unknown_name

DEFAULT_TABLE = Path(__file__).parents[1] / "compute_optimal.yaml"
CONDITIONS = ("policy_below", "difficulty", "min_n")


@dataclass(frozen=True, slots=True)
class TableRule:
    """Run `strategy` with `settings` where the conditions hold; see compute_optimal.yaml."""

    strategy: str
    policy_below: float = math.inf
    """Holds for policies of fewer parameters, in billions."""
    difficulty: tuple[str, ...] = tuple(BINS)
    """Holds for problems of these bins."""
    min_n: int = 1
    """Holds from this budget of samples on."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def fits(self, policy_size: float, difficulty: str, n: int) -> bool:
        """Say whether the rule holds. policy_size: in billions of parameters; n: the budget."""
        return policy_size < self.policy_below and difficulty in self.difficulty and n >= self.min_n


def load_table(path: str | None) -> tuple[TableRule, ...]:
    """Return the rules of a file, or of a published table by its name. Raises SettingsError."""
    published = _read(DEFAULT_TABLE)
    key = "rules" if path is None else path
    rules = published[key] if key in published else _read(Path(key).expanduser()).get("rules")
    if not isinstance(rules, list) or not rules:
        raise SettingsError(
            f"table={path!r}: it must have a list `rules`, see {DEFAULT_TABLE.name}"
        )
    return tuple(_rule(rule, f"table={path!r}, rule {i}") for i, rule in enumerate(rules, 1))


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"table={str(file)!r} cannot be read: {reason}") from error
    return content if isinstance(content, dict) else {}


def _rule(given: Any, where: str) -> TableRule:
    if not isinstance(given, dict) or "strategy" not in given:
        raise SettingsError(f"{where}: it must name a strategy")
    conditions = {name: given[name] for name in CONDITIONS if name in given}
    bins = conditions.get("difficulty", list(BINS))
    conditions["difficulty"] = tuple(bins if isinstance(bins, list) else [bins])
    for name in conditions["difficulty"]:
        if name not in BINS:
            raise unknown_name(f"difficulty in {where}", str(name), BINS)
    for name in ("policy_below", "min_n"):
        if not isinstance(conditions.get(name, 1), (int, float)):
            raise SettingsError(f"{where}: {name}={conditions[name]!r}: allowed is a number")
    settings = {k: v for k, v in given.items() if k not in (*CONDITIONS, "strategy")}
    return TableRule(str(given["strategy"]), settings=settings, **conditions)
