"""A deterministic reward model without a network, for tests and for people who write strategies.

What it thinks of a step is a Python function of the question and the steps up to and including it:

    reward_model = ScriptedRewardModel(lambda question, steps: 0.9 if "4" in steps[-1] else 0.1)
"""

from collections.abc import Callable, Sequence

from lm_eval_tts.core.program import Score, StepScores
from lm_eval_tts.core.reward_model import Spent
from lm_eval_tts.errors import RequestError

Rater = Callable[[str, tuple[str, ...]], float]


class ScriptedRewardModel:
    """Scores each step by what `rate(question, steps so far)` returns; reads a token a character.
    outcome: score the whole response alone, as an outcome reward model does.
    batches: the number of items of each call so far."""

    def __init__(self, rate: Rater, *, outcome: bool = False) -> None:
        self.batches: list[int] = []
        self.spent = Spent()
        self._rate = rate
        self._outcome = outcome

    def facts(self) -> dict[str, str]:
        """Return nothing: a function has nothing that identifies it."""
        return {}

    def score(self, items: Sequence[Score]) -> list[StepScores | RequestError]:
        """Return the scores of each item; a RequestError that `rate` raises is its result."""
        self.batches.append(len(items))
        results = [self._score(item) for item in items]
        read = (r.num_tokens for r in results if not isinstance(r, RequestError))
        self.spent = self.spent.plus(Spent(num_tokens=sum(read)))
        return results

    def _score(self, item: Score) -> StepScores | RequestError:
        first = len(item.steps) if self._outcome else 1
        seen = [item.steps[:end] for end in range(first, len(item.steps) + 1)]
        try:
            scores = tuple(self._rate(item.question, steps) for steps in seen)
        except RequestError as error:
            return error
        return StepScores(scores, len(item.question) + sum(map(len, item.steps)))
