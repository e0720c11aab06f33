"""A response that breaks a reward model is not rated; the others are, and all is counted."""

import pytest

from lm_eval_tts.core.program import Score
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.reward_models.reliable import ReliableRewardModel
from lm_eval_tts.reward_models.scripted import ScriptedRewardModel


def rate(question: str, steps: tuple[str, ...]) -> float:
    if "poison" in steps[-1]:
        raise IndexError("index out of range\nand a stack")
    return 0.5


def asked(*texts: str) -> list[Score]:
    return [Score("q", (text,)) for text in texts]


def test_the_one_that_breaks_it_is_not_rated_and_the_others_are(caplog):
    model = ReliableRewardModel(ScriptedRewardModel(rate))
    first, poison, last = model.score(asked("a", "poison", "b"))
    assert first.scores == last.scores == (0.5,)
    assert isinstance(poison, RequestError)
    assert str(poison) == "the reward model failed on it: IndexError: index out of range"
    model.warn()
    assert "could not rate 1 of 3 responses" in caplog.text
    assert "index out of range" in caplog.text


def test_nothing_is_said_where_all_were_rated(caplog):
    model = ReliableRewardModel(ScriptedRewardModel(rate))
    model.score(asked("a"))
    model.warn()
    assert not caplog.text


def test_a_wrong_setting_is_not_taken_for_a_fault():
    def wrong(question: str, steps: tuple[str, ...]) -> float:
        raise SettingsError("no such head")

    with pytest.raises(SettingsError):
        ReliableRewardModel(ScriptedRewardModel(wrong)).score(asked("a", "b"))
