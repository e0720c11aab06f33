"""The test-time strategies: one small file each, pure generators over token ids.

A strategy is a frozen dataclass. Its fields are its settings, with the names that users type; its
`run` makes the program of one request. Strategies import `program`, `errors` and the arithmetic of
`voting` and `difficulty` only: no engine, no lm_eval, and nothing from which a reference answer
could be reached. Which answers are equal is told by `Request.classify`, which reads no reference.
"""

from typing import Protocol

from lm_eval_tts.core.program import Program, Sampling
from lm_eval_tts.core.trace import Delimiters, Request, Trace
from lm_eval_tts.strategies.beam import Beam
from lm_eval_tts.strategies.best_of_n import BestOfN
from lm_eval_tts.strategies.budget import Budget
from lm_eval_tts.strategies.compute_optimal import ComputeOptimal
from lm_eval_tts.strategies.deepconf import DeepConf
from lm_eval_tts.strategies.dvts import DVTS
from lm_eval_tts.strategies.particle import Particle
from lm_eval_tts.strategies.progressive import Progressive
from lm_eval_tts.strategies.rebase import Rebase
from lm_eval_tts.strategies.rejection import Rejection
from lm_eval_tts.strategies.self_consistency import SelfConsistency
from lm_eval_tts.strategies.single import Single


class Strategy(Protocol):
    """What all strategies have in common."""

    @property
    def point_labels(self) -> tuple[str, ...]:
        """Names of the points that a run reports on the way; none for a plain strategy."""

    @property
    def num_samples(self) -> int:
        """Candidates of a problem that are independent samples of one program, each as good as
        another; 0 where there are none."""

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the candidates' scores; "reward" is that of a reward model."""

    def check(self, delimiters: Delimiters, sampling: Sampling) -> None:
        """Raise SettingsError if the strategy cannot work with these."""

    def run(self, request: Request) -> Program[Trace]:
        """Return the program that answers one request."""


STRATEGIES: dict[str, type[Strategy]] = {
    "single": Single,
    "budget": Budget,
    "progressive": Progressive,
    "rejection": Rejection,
    "self_consistency": SelfConsistency,
    "best_of_n": BestOfN,
    "deepconf": DeepConf,
    "beam": Beam,
    "dvts": DVTS,
    "rebase": Rebase,
    "particle": Particle,
    "compute_optimal": ComputeOptimal,
}
