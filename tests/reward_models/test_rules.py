"""Rewards by rules: their ranges, and what each one pays for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.grading import DEFAULT_TAGS
from lm_eval_tts.reward_models.rules import REWARDS, reward_functions

GOOD = "<think>\n2+2=4\n</think>\n<answer>4</answer>"
RANGES = {
    "correctness": (0, 2),
    "untagged_correctness": (0, 2),
    "integer_answer": (0, 0.5),
    "strict_format": (0, 0.5),
    "soft_format": (0, 0.5),
    "tag_count": (-0.5, 0.5),
    "length_penalty": (-0.5, 0),
    "tag_repetition_penalty": (-0.5, 0),
}


def rewards(response: str, answer: str = "4") -> dict[str, float]:
    return {name: reward(response, answer, DEFAULT_TAGS) for name, reward in REWARDS.items()}


@pytest.mark.parametrize(
    ("response", "want"),
    [
        (GOOD, [2, 0.5, 0.5, 0.5, 0.5, 0, 0]),
        (GOOD.replace("<answer>4", "<answer>5"), [0, 0.5, 0.5, 0.5, 0.5, 0, 0]),
        (GOOD.replace("<answer>4", "<answer>four"), [2, 0, 0.5, 0.5, 0.5, 0, 0]),
        ("So: " + GOOD, [2, 0.5, 0, 0.5, 0.5, 0, 0]),
        (GOOD + "!" * 100, [2, 0.5, 0, 0.5, 0.4, 0, 0]),
        (GOOD + "!" * 9999, [2, 0.5, 0, 0.5, -0.5, -0.5, 0]),
        ("<think><think>" + GOOD, [2, 0.5, 0, 0.5, 0.375, 0, -0.25]),
        ("", [0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_each_reward_pays_for_one_thing(response, want):
    given = rewards(response)
    del given["untagged_correctness"]
    assert list(given.values()) == pytest.approx(want)


@pytest.mark.parametrize("response", ["4", "So it is 4.", r"\boxed{4}", "</think>4", "4</answer>"])
def test_an_answer_without_its_tags_is_right_only_where_tags_are_not_asked_for(response):
    assert rewards(response)["correctness"] == 0
    assert rewards(response.removesuffix("</answer>"))["untagged_correctness"] == 2


@settings(deadline=None, max_examples=40)  # a hostile text may take the grader its two seconds
@given(st.text(max_size=60) | st.sampled_from([GOOD * 3, "<answer>" * 9]))
def test_rewards_stay_in_their_documented_range(response):
    for name, value in rewards(response).items():
        low, high = RANGES[name]
        assert low <= value <= high


@pytest.mark.parametrize(
    ("response", "penalties"),
    [
        (GOOD, [0, 0]),
        ("x" * 2500, [0, 0]),
        ("x" * 2501, [-2, 0]),
        ("<think>" * 4 + "</answer>" * 2, [0, -2]),
        ("<think>" * 400, [-2, -199.5]),
    ],
)
def test_penalties_have_the_sizes_of_the_project_that_the_preset_names(response, penalties):
    functions = reward_functions(["test-time-compute-slms"])
    assert len(functions) == 7
    given = [reward(completions=[response], answer=["4"]) for reward in functions[-2:]]
    assert given == [[penalty] for penalty in penalties]


def test_an_answer_is_paid_for_once_by_default():
    names = [reward.__name__ for reward in reward_functions(["default"])]
    assert [name for name in names if "correctness" in name] == ["correctness"]
    assert set(names) == set(REWARDS) - {"untagged_correctness"}


def test_trl_gets_functions_over_a_batch_that_keep_their_names():
    first, second = reward_functions(["correctness", "tag_count"])
    assert (first.__name__, second.__name__) == ("correctness", "tag_count")
    chat = [[{"role": "assistant", "content": GOOD}], [{"role": "assistant", "content": "5"}]]
    assert first(completions=chat, answer=["4", "4"], prompts=[]) == [2.0, 0.0]
    assert first(completions=[GOOD], answer=["5"]) == [0.0]


def test_an_unknown_reward_is_told_with_the_nearest_name():
    with pytest.raises(SettingsError, match="did you mean 'correctness'"):
        reward_functions(["corectness"])
