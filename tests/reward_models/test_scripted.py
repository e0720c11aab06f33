"""The scripted reward model scores by a function, one step after the other."""

from lm_eval_tts.core.program import Score, StepScores
from lm_eval_tts.errors import RequestError
from lm_eval_tts.reward_models.scripted import ScriptedRewardModel


def count(question: str, steps: tuple[str, ...]) -> float:
    if "?" in steps[-1]:
        raise RequestError("a step asks")
    return len(steps) / 10


def test_each_step_is_judged_with_those_before_it():
    model = ScriptedRewardModel(count)
    assert model.score([Score("q", ("a", "b"))]) == [
        StepScores((0.1, 0.2), num_tokens=3),
    ]
    assert model.batches == [1]


def test_an_outcome_reward_model_gives_one_score():
    model = ScriptedRewardModel(count, outcome=True)
    assert model.score([Score("q", ("a", "b"))]) == [StepScores((0.2,), num_tokens=3)]


def test_a_failed_item_leaves_the_others_alone():
    failed, scored = ScriptedRewardModel(count).score([Score("q", ("?",)), Score("q", ("a",))])
    assert isinstance(failed, RequestError)
    assert scored == StepScores((0.1,), num_tokens=2)
