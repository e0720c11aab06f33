"""Compute-optimal choices: how hard a problem is, and the table that says what is best for it.

Three bins of difficulty with fixed bounds on pass@1 (Liu et al. 2025, arXiv:2502.06703), not
quantiles, so that a bin means the same for every policy."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lm_eval_tts.errors import SettingsError, unknown_name

BINS = {"easy": 0.5, "medium": 0.1, "hard": 0.0}  # least pass@1 of each, in this order

# What the difficulty of a problem can be estimated by; the oracle is pass@1 itself.
ESTIMATES = ("agreement", "reward", "both", "oracle")

DEFAULT_TABLE = Path(__file__).parents[1] / "compute_optimal.yaml"
CONDITIONS = ("policy_below", "difficulty", "min_n")


def bin_of(rate: float) -> str:
    """Return the bin of a pass@1, or of an estimate of it in [0, 1]."""
    return next((name for name, least in BINS.items() if rate >= least), "hard")


def agreement(classes: Sequence[int | None]) -> float:
    """Return the share of the other samples that agree with the most frequent answer, in [0, 1]. 1
    if all samples have one answer, 0 if no two have, which a share of all samples could not be.
    Says how sure the policy is, not whether it is right: no reference is needed."""
    if len(classes) < 2:
        raise ValueError("agreement takes at least two samples")
    counts = Counter(number for number in classes if number is not None)
    return (max(counts.values(), default=1) - 1) / (len(classes) - 1)


def mean_reward(rewards: Sequence[float | None]) -> float:
    """Return the mean of the rewards that are known, neither None nor NaN; 0 without any."""
    known = [reward for reward in rewards if reward is not None and not math.isnan(reward)]
    return math.fsum(known) / len(known) if known else 0.0


@dataclass(frozen=True, slots=True)
class TableRule:
    """Run `strategy` with `settings` where the conditions hold; see compute_optimal.yaml."""

    strategy: str
    policy_below: float = math.inf  # holds for policies of fewer parameters, in billions
    difficulty: tuple[str, ...] = tuple(BINS)  # holds for problems of these bins
    min_n: int = 1  # holds from this budget of samples on
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
