"""Compute-optimal choice: the strategy that is best for this policy, problem and budget.

Snell et al. 2024 (arXiv:2408.03314); Liu et al. 2025 (arXiv:2502.06703). The choice is a table
(compute_optimal.yaml). The difficulty of a problem is estimated from a few samples, which then
compete with what the chosen strategy finds; no reference answer is needed. The one exception is
named `oracle` and takes pass@1 from the samples file of an earlier run."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lm_eval_tts.core.fields import at_least, setting
from lm_eval_tts.core.identity import problem_of
from lm_eval_tts.core.program import Program, Sampling, gather
from lm_eval_tts.core.trace import Candidate, Delimiters, Request, Trace
from lm_eval_tts.errors import MALFORMED, RequestError, SettingsError, unknown_name
from lm_eval_tts.strategies.base import Abilities, LogprobKind
from lm_eval_tts.strategies.parts.candidates import RatedStrategy, SampleStrategy, classes_of
from lm_eval_tts.strategies.parts.tree import BeamSettings
from lm_eval_tts.strategies.registry import find_strategy, names_within_n

# Least pass@1 of each bin of difficulty: fixed bounds (Liu et al. 2025), not quantiles, so that a
# bin means the same for every policy.
BINS = {"easy": 0.5, "medium": 0.1, "hard": 0.0}
# What the difficulty of a problem can be estimated by; the oracle is pass@1 itself.
ESTIMATES = ("agreement", "reward", "both", "oracle")
DEFAULT_TABLE = Path(__file__).with_suffix(".yaml")
CONDITIONS = ("policy_below", "difficulty", "min_n")


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


@dataclass(frozen=True, kw_only=True)
class ComputeOptimal(BeamSettings):
    """Estimate the difficulty of a problem by probes and run what a table chooses.

    The settings of sampling, rating and search apply to the probes, and are passed on to the
    strategy of the rule, if it has them. `n` is the budget of samples."""

    # A YAML file like compute_optimal.yaml, or a table in it: "aime24" or "r1-distill"; None: its
    # first.
    table: str | None = None
    policy_size: float | None = None  # In billions of parameters; None is what the model reports.
    probes: int = setting(4, at_least(2))  # Samples that the difficulty is estimated from, >= 2.
    # Of the probes' answers, their mean "reward", "both" (the mean of the two), or "oracle".
    difficulty_by: str = setting("agreement", ESTIMATES)
    # For the oracle: a samples file of lm-eval, whose pass@1 is the difficulty.
    oracle_file: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.difficulty_by == "oracle") != (self.oracle_file is not None):
            raise SettingsError(
                f"difficulty_by={self.difficulty_by!r}, oracle_file={self.oracle_file!r}: "
                "the oracle, and nothing else, needs the samples file of an earlier run"
            )
        if self.oracle_file and not self.rates_by_problem:
            raise SettingsError(f"oracle_file={self.oracle_file!r} has no rows")
        if self.rules and self.policy_size is not None:  # reading the rules checks each of them
            self._check_rules(self.policy_size)

    @cached_property
    def rules(self) -> tuple[tuple[TableRule, SampleStrategy], ...]:
        """The table as first read, with the strategy of each rule."""
        return tuple((rule, self.strategy(rule)) for rule in load_table(self.table))

    @cached_property
    def rates_by_problem(self) -> dict[str, float]:
        """The oracle's knowledge: pass@1 of each problem in a samples file of lm-eval."""
        try:
            with Path(self.oracle_file or "").expanduser().open(encoding="utf-8") as lines:
                rows = [json.loads(line) for line in lines]
            return {problem_of(r["doc"]): float(r.get("pass@1", r["exact_match"])) for r in rows}
        except (OSError, *MALFORMED) as error:
            raise SettingsError(
                f"oracle_file={self.oracle_file!r} is not a samples file of our tasks: {error!r}"
            ) from error

    @property
    def score_names(self) -> tuple[str, ...]:
        """Those of the strategies in the table, and the reward if difficulty is estimated by it."""
        names = ["reward"] if self._rates_probes else []
        for _, strategy in self.rules:
            names += strategy.score_names
        return tuple(dict.fromkeys(names))

    @property
    def needs_logprobs(self) -> LogprobKind:
        """What a strategy in the table needs."""
        return max(strategy.needs_logprobs for _, strategy in self.rules)

    @property
    def needs_continuation(self) -> bool:
        """Whether a strategy in the table, or a probe, does."""
        return any(s.needs_continuation for _, s in self.rules) or super().needs_continuation

    def check(self, delimiters: Delimiters, sampling: Sampling) -> None:
        """Raise SettingsError if it, or a strategy in the table, cannot work with these."""
        super().check(delimiters, sampling)
        for _, strategy in self.rules:
            strategy.check(delimiters, sampling)

    def check_model(self, model: Abilities) -> None:
        """Raise SettingsError if the table has no rule for a problem of this model."""
        super().check_model(model)
        self._check_rules(self._size(model.policy_size))

    def strategy(self, rule: TableRule) -> SampleStrategy:
        """Return the strategy of a rule. Raises SettingsError if it has no such settings."""
        name, known = rule.strategy, names_within_n()
        kind = find_strategy(name) if name in known or ":" in name else None
        if not (kind and issubclass(kind, SampleStrategy) and kind.answers_within_n):
            raise unknown_name("strategy in the table", name, known)
        names = [field.name for field in fields(kind)]
        for name in rule.settings:
            if name not in names:
                raise unknown_name(f"setting of {rule.strategy} in the table", name, names)
        ours = {name: getattr(self, name) for name in names if hasattr(self, name)}
        return kind(**{**ours, **rule.settings})

    def run(self, request: Request) -> Program[Trace]:
        """Return the chosen trace; the probes are among its candidates."""
        size, probes = self._size(request.policy_size), list[Candidate]()
        if self.difficulty_by != "oracle":
            probes = yield from gather(self._probe(request) for _ in range(self.probes))
            rate = self._estimate(request, probes)
        elif request.problem in self.rates_by_problem:
            rate = self.rates_by_problem[request.problem]
        else:
            raise RequestError(f"problem {request.problem!r} is not in {self.oracle_file}")
        strategy = self._strategy_for(size, bin_of(rate))
        found = yield from strategy.propose(request, num_known=len(probes))
        probes = yield from gather(self._rated_by(strategy, request, probe) for probe in probes)
        return strategy.select(request, [*probes, *found])

    @property
    def _rates_probes(self) -> bool:
        return self.difficulty_by in ("reward", "both")

    def _probe(self, request: Request) -> Program[Candidate]:
        """Write a sample, with whatever a strategy in the table may want to know of it."""
        asked = replace(request, logprobs=0) if self.needs_logprobs else request
        trace = yield from self.write(asked)
        if not self._rates_probes:
            return Candidate(trace)
        return replace((yield from self.rate(request, trace)), trace=trace)

    def _rated_by(
        self, strategy: SampleStrategy, request: Request, probe: Candidate
    ) -> Program[Candidate]:
        """Rate a probe as the strategy that follows does, asking nothing twice."""
        if (
            isinstance(strategy, RatedStrategy)
            and strategy.needs_reward_model
            and strategy.step_delimiter == self.step_delimiter
            and probe.scores
        ):
            return strategy.rated(probe.trace, probe.step_scores)
        return (yield from strategy.rate(request, probe.trace))

    def _estimate(self, request: Request, probes: Sequence[Candidate]) -> float:
        values = []
        if self.difficulty_by != "reward":
            values.append(agreement(classes_of(request, probes)))
        if self._rates_probes:
            values.append(mean_reward([dict(probe.scores)["reward"] for probe in probes]))
        return sum(values) / len(values)

    def _size(self, reported: float | None) -> float:
        size = reported if self.policy_size is None else self.policy_size
        if size is None:
            raise SettingsError("compute_optimal needs policy_size= in billions of parameters")
        return size

    def _check_rules(self, size: float) -> None:
        for difficulty in BINS:
            self._strategy_for(size, difficulty)

    def _strategy_for(self, size: float, difficulty: str) -> SampleStrategy:
        for rule, strategy in self.rules:
            if rule.fits(size, difficulty, self.n):
                return strategy
        raise SettingsError(
            f"table={self.table!r} has no rule for policy_size={size}, {difficulty} problems "
            f"and n={self.n}: add one without conditions at its end"
        )


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
