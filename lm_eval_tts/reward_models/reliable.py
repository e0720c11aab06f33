"""A reward model around another, in which a response that breaks it fails alone, with a journal."""

import logging
from collections.abc import Sequence

from lm_eval_tts.core.identity import json_key
from lm_eval_tts.core.journal import Journal
from lm_eval_tts.core.program import Score, StepScores
from lm_eval_tts.core.reward_model import LoadedRewardModel, Spent
from lm_eval_tts.errors import LmEvalTTSError, RequestError, failure_of

logger = logging.getLogger(__name__)


class ReliableRewardModel:
    """Wraps a reward model whose `score` may raise: then it is asked about one item at a time, so
    that a response that breaks it fails alone. Counts what could not be rated. Equal items are
    asked for once.
    journal: hands out what is in it, and takes what the reward model says before it counts.
    Failures are not kept: the next process tries them again. What is handed out counts in the
    reward model's `spent` as if it had been asked for: its cost is kept with it, so that a run
    which was stopped says, at its end, what all its scores cost."""

    def __init__(self, reward_model: LoadedRewardModel, journal: Journal | None = None) -> None:
        self._reward_model = reward_model
        self._journal = journal
        self._paid: set[str] = set()  # keys whose cost is in `spent`
        self._num_asked = 0
        self._unrated: list[str] = []

    def score(self, items: Sequence[Score]) -> list[StepScores | RequestError]:
        """Return the scores of each item, or why it has none, in order."""
        keys = [score_key(item) for item in items]
        known = {key: self._recall(key) for key in keys}
        asked = {key: item for key, item in zip(keys, items, strict=True) if known[key] is None}
        before = self._reward_model.spent
        said = dict(zip(asked, self._ask(list(asked.values())), strict=True))
        cost = zip(self._reward_model.spent, before, strict=True)
        share = [(new - old) / max(1, len(asked)) for new, old in cost]
        self._paid |= asked.keys()
        for key, result in said.items():
            if self._journal is not None and not isinstance(result, RequestError):
                self._journal.add(key, [result.scores, result.num_tokens, *share])
        results = [known[key] or said[key] for key in keys]
        self._num_asked += len(results)
        self._unrated += [str(result) for result in results if isinstance(result, RequestError)]
        return results

    def _ask(self, items: Sequence[Score]) -> list[StepScores | RequestError]:
        try:
            return self._reward_model.score(items) if items else []
        except LmEvalTTSError:
            raise
        except Exception as error:  # whatever a model's code raises
            failure = failure_of("the reward model", error)
        if len(items) == 1:
            return [failure]
        logger.warning("%s: %d responses are rated one by one", failure, len(items))
        return [result for item in items for result in self._ask([item])]

    def _recall(self, key: str) -> StepScores | None:
        """Return what is kept, and count its cost if this process has not done so."""
        if self._journal is None or (kept := self._journal.get(key)) is None:
            return None
        try:
            scores, num_tokens, *spent = kept
            cost = Spent(*spent)
            known = StepScores(tuple(map(float, scores)), int(num_tokens))
        except (TypeError, ValueError) as error:  # not as we write it: it is asked for again
            self._journal.forget(key, str(error))
            return None
        if key not in self._paid:
            self._paid.add(key)
            self._reward_model.spent = self._reward_model.spent.plus(cost)
        return known

    def warn(self) -> None:
        """Say how many responses could not be rated, if any."""
        if self._unrated:
            counts = f"{len(self._unrated)} of {self._num_asked}"
            logger.warning(
                f"the reward model could not rate {counts} responses, which count as not rated "
                f"(scorer_unrated); the first because {self._unrated[0]}"
            )


def score_key(item: Score) -> str:
    """Return what identifies a score within a run: a hash of question and steps."""
    return json_key(["score", item.question, *item.steps])
