"""Measures of confidence, against numbers worked by hand."""

import math

import pytest

from lm_eval_tts.core.program import TokenLogprob
from lm_eval_tts.strategies.best_of_n import mean_logprob, self_certainty
from lm_eval_tts.strategies.deepconf import (
    CONFIDENCES,
    bottom_confidence,
    group_confidences,
    token_confidences,
)

LOGPROBS = [TokenLogprob(-1.0, (-1.0, -3.0), -5.0), TokenLogprob(-2.0, (-0.5, -1.5), -7.0)]


def test_the_mean_log_probability_is_that_of_the_sampled_tokens():
    assert mean_logprob(LOGPROBS) == -1.5
    assert math.isnan(mean_logprob([]))


def test_self_certainty_is_the_divergence_from_a_uniform_choice():
    assert self_certainty(LOGPROBS, 100) == pytest.approx(6 - math.log(100))
    uniform = TokenLogprob(-math.log(50), (), -math.log(50))
    assert self_certainty([uniform], 50) == pytest.approx(0)
    peaked = [0.97, 0.01, 0.01, 0.01]
    kl = sum(0.25 * math.log(0.25 / p) for p in peaked)
    mean = sum(map(math.log, peaked)) / 4
    assert self_certainty([TokenLogprob(math.log(0.97), (), mean)], 4) == pytest.approx(kl)


def test_a_tokens_confidence_is_over_its_likeliest_alternatives():
    assert token_confidences(LOGPROBS) == [2.0, 1.0]


def test_groups_are_the_means_of_a_sliding_window():
    assert group_confidences([1, 2, 3, 4], 2) == [1.5, 2.5, 3.5]
    assert group_confidences([1, 2], 5) == [1.5]
    assert group_confidences([], 5) == []


def test_the_weakest_tenth_and_the_tail():
    groups = [float(i) for i in range(20)]
    assert bottom_confidence(groups) == 0.5
    assert bottom_confidence([3.0, 1.0]) == 1.0
    assert CONFIDENCES["tail"]([1, 2, 3, 5], 2) == 4
