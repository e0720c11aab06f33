"""Choosing among responses: the arithmetic alone."""

from math import isnan, nan
from random import Random

import pytest

from lm_eval_tts.core.voting import aggregate, most_voted, pick_best, pick_voted, vote_weights


@pytest.mark.parametrize(
    ("how", "want"), [("last", 0.5), ("min", 0.2), ("prod", 0.08), ("mean", 0.5)]
)
def test_step_scores_become_one_score(how, want):
    assert aggregate([0.8, 0.2, 0.5], how) == pytest.approx(want)


def test_no_steps_have_no_score_and_not_zero():
    assert isnan(aggregate([], "prod"))


def test_weights_are_the_scores_and_never_negative():
    assert vote_weights([0.5, nan, 2.0]) == [0.5, 0.0, 2.0]
    assert vote_weights([-1.0, nan, -1.0]) == [1.0, 0.0, 1.0]
    assert vote_weights([nan]) == [0.0]


def test_responses_without_an_answer_have_no_vote():
    assert most_voted([None, None, 1, None], [1, 1, 1, 1]) == [1]
    assert most_voted([None], [1]) == []


def test_scores_outvote_numbers():
    assert most_voted([0, 0, 1], [0.2, 0.2, 0.5]) == [1]
    assert pick_voted([0, 0, 1], [0.4, 0.4, 0.5], [0.4, 0.4, 0.5], Random(0)) in (0, 1)


def test_a_tie_is_drawn_and_does_not_go_to_the_first():
    picks = {pick_voted([0, 1], [1, 1], [1, 1], Random(seed)) for seed in range(20)}
    assert picks == {0, 1}
    assert {pick_best([0.5, 0.5, 0.1], Random(seed)) for seed in range(20)} == {0, 1}


def test_what_could_not_be_rated_comes_last():
    assert pick_best([nan, -9.0, nan], Random(0)) == 1


def test_the_best_rated_member_of_the_winning_class_is_given():
    assert pick_voted([0, 1, 1], [1, 1, 1], [0.9, 0.1, 0.3], Random(0)) == 2
