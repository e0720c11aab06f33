"""A reward model in which a response that breaks it fails alone, and which counts what it left."""

import logging
from collections.abc import Sequence

from lm_eval_tts.core.faults import failure_of
from lm_eval_tts.core.program import Score, StepScores
from lm_eval_tts.core.reward_model import RewardModel
from lm_eval_tts.errors import LmEvalTTSError, RequestError

logger = logging.getLogger(__name__)


class IsolatedRewardModel:
    """Wraps a reward model whose `score` may raise: then it is asked about one item at a time."""

    def __init__(self, reward_model: RewardModel) -> None:
        self._reward_model = reward_model
        self._num_asked = 0
        self._unrated: list[str] = []

    def score(self, items: Sequence[Score]) -> list[StepScores | RequestError]:
        """Return the scores of each item, or why it has none, in order."""
        results = self._ask(items)
        self._num_asked += len(results)
        self._unrated += [str(result) for result in results if isinstance(result, RequestError)]
        return results

    def _ask(self, items: Sequence[Score]) -> list[StepScores | RequestError]:
        try:
            return self._reward_model.score(items)
        except LmEvalTTSError:
            raise
        except Exception as error:  # whatever a model's code raises
            failure = failure_of("the reward model", error)
        if len(items) == 1:
            return [failure]
        logger.warning("%s: %d responses are rated one by one", failure, len(items))
        return [result for item in items for result in self._ask([item])]

    def warn(self) -> None:
        """Say how many responses could not be rated, if any."""
        if self._unrated:
            counts = f"{len(self._unrated)} of {self._num_asked}"
            logger.warning(
                f"the reward model could not rate {counts} responses, which count as not rated "
                f"(scorer_unrated); the first because {self._unrated[0]}"
            )
