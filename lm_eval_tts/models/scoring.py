"""What a model does about its reward model: loads it, tells it from others, says what it cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lm_eval_tts.checkpoints import find_checkpoint
from lm_eval_tts.core.reward_model import LoadedRewardModel, Spent
from lm_eval_tts.reward_models.loading import take_reward_model


class Scoring:
    """Mixin for model classes. reward_model: None if the user named none."""

    reward_model: LoadedRewardModel | None = None
    _reward_name: str | None = None
    _spent_on_all_ranks: Spent | None = None

    def load_reward_model(self, kwargs: dict[str, Any]) -> None:
        """Take the reward model's arguments out of model arguments and load it, if one is named.

        It may be a checkpoint that comes with the package. Raises SettingsError.
        """
        if (settings := take_reward_model(kwargs)) is None:
            return
        self._reward_name = settings.reward_model
        settings = replace(settings, reward_model=find_checkpoint(settings.reward_model))
        trusted = bool(kwargs.get("trust_remote_code"))
        self.reward_model = settings.load(trust_remote_code=trusted)

    def reward_facts(self) -> dict[str, str]:
        """Return what tells the reward model from any other, weights in the same place included."""
        if self.reward_model is None:
            return {"reward_model": str(None)}
        return {"reward_model": str(self._reward_name), **self.reward_model.facts()}

    def reward_info(self) -> dict[str, Any]:
        """Return the reward model's entries in the results: what all scores of the run cost.

        Time and tokens read depend on what is asked together, so no sample has a part of them.
        """
        if self.reward_model is None:
            return {"reward_model": None}
        spent = self._spent_on_all_ranks or self.reward_model.spent
        return {
            "reward_model": self._reward_name,
            "scorer_seconds": round(spent.seconds, 3),
            "scorer_tokens_read": round(spent.num_tokens),
        }

    @property
    def _spent(self) -> Spent:
        return Spent() if self.reward_model is None else self.reward_model.spent
