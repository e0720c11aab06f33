"""Compute-optimal choice: the strategy that is best for this policy, problem and budget.

Snell et al. 2024 (arXiv:2408.03314); Liu et al. 2025 (arXiv:2502.06703). The choice is
a table (compute_optimal.yaml). How hard a problem is, is estimated from a few samples, which then
compete with what the chosen strategy finds; no reference answer is needed. The one exception is
named `oracle` and takes pass@1 from the samples file of an earlier run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from lm_eval_tts.core.difficulty import ESTIMATES, agreement, bin_of, mean_reward
from lm_eval_tts.core.identity import problem_of
from lm_eval_tts.core.program import Program, gather
from lm_eval_tts.core.trace import Candidate, Request, Trace
from lm_eval_tts.core.voting import pick_voted
from lm_eval_tts.errors import RequestError, SettingsError, unknown_name
from lm_eval_tts.strategies.beam import Beam
from lm_eval_tts.strategies.best_of_n import BestOfN, choose
from lm_eval_tts.strategies.dvts import DVTS
from lm_eval_tts.strategies.particle import Particle
from lm_eval_tts.strategies.parts.candidates import (
    at_least,
    chosen,
    classes_of,
    generator_of,
)
from lm_eval_tts.strategies.parts.table import Rule, load_table
from lm_eval_tts.strategies.rebase import Rebase
from lm_eval_tts.strategies.self_consistency import SelfConsistency

KINDS: dict[str, Any] = {
    "self_consistency": SelfConsistency,
    "best_of_n": BestOfN,
    "beam": Beam,
    "dvts": DVTS,
    "rebase": Rebase,
    "particle": Particle,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeOptimal(Beam):
    """Estimate the difficulty of a problem and run what the table says.

    n: the budget of samples. table: a YAML file like compute_optimal.yaml; None is the published
    rule. policy_size: in billions of parameters; None is what the model tells. probes: samples
    that the difficulty is estimated from, >= 2. difficulty_by: "agreement" of their answers, their
    mean "reward", "both" (the mean of the two), or "oracle": pass@1 in `oracle_file`, a samples
    file of lm-eval. The other settings are handed to the strategy, if it has them.
    """

    table: str | None = None
    policy_size: float | None = None
    probes: int = 4
    difficulty_by: str = "agreement"
    oracle_file: str | None = None

    def __post_init__(self) -> None:
        Beam.__post_init__(self)
        at_least(self, 2, "probes")
        if self.difficulty_by not in ESTIMATES:
            raise unknown_name("difficulty_by", self.difficulty_by, ESTIMATES)
        if (self.difficulty_by == "oracle") != (self.oracle_file is not None):
            raise SettingsError(
                f"difficulty_by={self.difficulty_by!r}, oracle_file={self.oracle_file!r}: "
                "the oracle, and nothing else, needs the samples file of an earlier run"
            )
        for rule in load_table(self.table):
            self.strategy(rule)
        if self.oracle_file:
            pass_rates(self.oracle_file)

    @property
    def score_names(self) -> tuple[str, ...]:
        """The reward model's, if a rule or the estimate of difficulty asks it."""
        kinds = {rule.strategy for rule in load_table(self.table)}
        asked = self.difficulty_by in ("reward", "both") or kinds != {"self_consistency"}
        return ("reward",) if asked else ()

    def strategy(self, rule: Rule) -> Any:
        """Return the strategy of a rule. Raises SettingsError if it has no such settings."""
        if rule.strategy not in KINDS:
            raise unknown_name("strategy in the table", rule.strategy, KINDS)
        kind = KINDS[rule.strategy]
        names = [field.name for field in fields(kind)]
        for name in rule.settings:
            if name not in names:
                raise unknown_name(f"setting of {rule.strategy} in the table", name, names)
        ours = {name: getattr(self, name) for name in names if hasattr(self, name)}
        return kind(**{**ours, **rule.settings})

    def run(self, request: Request) -> Program[Trace]:
        """Return the chosen trace; the probes are among its candidates."""
        size = request.policy_size if self.policy_size is None else self.policy_size
        if size is None:
            raise SettingsError("compute_optimal needs policy_size= in billions of parameters")
        if self.difficulty_by == "oracle":
            return (yield from self._solve(request, size, self._oracle(request), []))
        probes = yield from gather(self._probe(request) for _ in range(self.probes))
        rate = self._estimate(request, probes)
        return (yield from self._solve(request, size, bin_of(rate), probes))

    def _probe(self, request: Request) -> Program[Candidate]:
        if self.score_names:
            best_of_n: BestOfN = self.strategy(Rule("best_of_n"))
            return (yield from best_of_n.candidate(request))
        return Candidate((yield from self.write(request)))

    def _estimate(self, request: Request, probes: Sequence[Candidate]) -> float:
        values = []
        if self.difficulty_by != "reward":
            values.append(agreement(classes_of(request, probes)))
        if self.difficulty_by != "agreement":
            values.append(mean_reward([dict(probe.scores)["reward"] for probe in probes]))
        return sum(values) / len(values)

    def _oracle(self, request: Request) -> str:
        rates = pass_rates(self.oracle_file or "")
        if request.problem not in rates:
            raise RequestError(f"problem {request.problem!r} is not in {self.oracle_file}")
        return bin_of(rates[request.problem])

    def _solve(
        self, request: Request, size: float, difficulty: str, probes: list[Candidate]
    ) -> Program[Trace]:
        """Run the strategy of the first rule that fits; probes compete with what it finds."""
        rule = next((r for r in load_table(self.table) if r.fits(size, difficulty, self.n)), None)
        if rule is None:
            raise SettingsError(
                f"table={self.table!r} has no rule for policy_size={size}, {difficulty} problems "
                f"and n={self.n}: add one without conditions at its end"
            )
        strategy = self.strategy(rule)
        candidates = list(probes)
        if isinstance(strategy, (SelfConsistency, BestOfN)):  # probes are samples as good as any
            more = range(max(0, strategy.n - len(probes)))
            candidates += yield from gather(self._probe(request) for _ in more)
        else:
            trace = yield from strategy.run(request)
            candidates += trace.candidates
        if not isinstance(strategy, SelfConsistency):
            return choose(request, candidates, "reward", strategy.weighted)
        equal = [1.0] * len(candidates)
        random = generator_of(request, "vote")
        picked = pick_voted(classes_of(request, candidates), equal, equal, random)
        return chosen(candidates, picked)


@lru_cache(maxsize=4)
def pass_rates(path: str) -> dict[str, float]:
    """Return pass@1 of each problem in a samples file of lm-eval. Raises SettingsError."""
    rates: dict[str, float] = {}
    try:
        with Path(path).expanduser().open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                rates[problem_of(row["doc"])] = float(row.get("pass@1", row["exact_match"]))
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"oracle_file={path!r} is no samples file of our tasks: {error!r}"
        ) from error
    return rates
