"""What every reward model does: read the steps of responses and say how good each one is."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from lm_eval_tts.core.program import Score, StepScores
from lm_eval_tts.errors import RequestError

# Decimals of a rating that count. What a reward model reads together, and what it has read before,
# moves the seventh; no choice may depend on that. Those that are equal to here tie, and ties have
# rules of their own: the earlier path, or a draw by the document's seed.
PRECISION = 4


class Spent(NamedTuple):
    """What scores cost: seconds of wall-clock time, and tokens that the model read for them.
    A prefix that was read before is not read again, so the tokens read are fewer than those of the
    texts (`StepScores.num_tokens`); like the time, they depend on what else was asked, and when."""

    seconds: float = 0.0
    num_tokens: float = 0

    def plus(self, *others: "Spent") -> "Spent":
        """Return the sum."""
        return Spent(*map(sum, zip(self, *others, strict=True)))


class RewardModel(Protocol):
    """Answers `Score` ops; a model with weights or a Python function."""

    def score(self, items: Sequence[Score]) -> list[StepScores | RequestError]:
        """Return the scores of each item, in order. An item that cannot be scored (too long, no
        text) is a RequestError in its place; the others are not affected. Scores do not depend
        on what else is scored, now or before."""


class LoadedRewardModel(RewardModel, Protocol):
    """One that a model argument names. spent: on all scores so far."""

    spent: Spent

    def facts(self) -> dict[str, str]:
        """Return by name what makes its scores differ from another's of the same name."""


def settled(result: StepScores | RequestError) -> StepScores | RequestError:
    """Return ratings as strategies see them: rounded to `PRECISION`, a failure if not finite."""
    if isinstance(result, RequestError):
        return result
    if not all(map(math.isfinite, result.scores)):
        return RequestError(f"the reward model's scores {result.scores} are not numbers")
    return StepScores(tuple(round(score, PRECISION) for score in result.scores), result.num_tokens)
