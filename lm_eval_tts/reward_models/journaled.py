"""A reward model that remembers: its scores go to a journal, and those it knows are not asked for.

A score is known by question and steps. What it cost is kept with it, so that a run which was
stopped says, at its end, what all its scores cost and not only the last ones."""

from collections.abc import Sequence

from lm_eval_tts.core.digests import json_key
from lm_eval_tts.core.journal import Journal
from lm_eval_tts.core.program import Score, StepScores
from lm_eval_tts.core.reward_model import LoadedRewardModel, Spent
from lm_eval_tts.errors import RequestError


class JournaledRewardModel:
    """Hands out what the journal has, and journals what the reward model says before it counts.
    Equal items are asked for once. Failures are not kept: the next process tries them again. What
    is handed out counts in the reward model's `spent` as if it had been asked for."""

    def __init__(self, reward_model: LoadedRewardModel, journal: Journal) -> None:
        self._reward_model = reward_model
        self._journal = journal
        self._paid: set[str] = set()  # keys whose cost is in `spent`

    def score(self, items: Sequence[Score]) -> list[StepScores | RequestError]:
        """Return the scores of each item, or why it has none, in order."""
        keys = [score_key(item) for item in items]
        recalled = {key: self._recall(key) for key in keys}
        asked = zip(keys, items, strict=True)
        said = self._ask({key: item for key, item in asked if recalled[key] is None})
        return [recalled[key] or said[key] for key in keys]

    def _recall(self, key: str) -> StepScores | None:
        """Return what is kept, and count its cost if this process has not done so."""
        if (kept := self._journal.get(key)) is None:
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

    def _ask(self, items: dict[str, Score]) -> dict[str, StepScores | RequestError]:
        """Ask for all in one call; each has an equal share of what the call cost."""
        if not items:
            return {}
        before = self._reward_model.spent
        results = self._reward_model.score(list(items.values()))
        after = self._reward_model.spent
        share = [(new - old) / len(items) for new, old in zip(after, before, strict=True)]
        for key, result in zip(items, results, strict=True):
            self._paid.add(key)
            if not isinstance(result, RequestError):
                self._journal.add(key, [result.scores, result.num_tokens, *share])
        return dict(zip(items, results, strict=True))


def score_key(item: Score) -> str:
    """Return what identifies a score within a run: a hash of question and steps."""
    return json_key(["score", item.question, *item.steps])
