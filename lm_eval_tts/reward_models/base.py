"""What every reward model does: read the steps of responses and say how good each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lm_eval_tts.errors import RequestError
from lm_eval_tts.program import Score, StepScores


class RewardModel(Protocol):
    """Answers `Score` ops; a model with weights and a Python function do it alike."""

    def score(self, items: Sequence[Score]) -> list[StepScores | RequestError]:
        """Return the scores of each item, in order.

        An item that cannot be scored (too long, no text) is a RequestError in its place; the
        others are not touched by it. Scores do not depend on what else is scored, now or before.
        """
