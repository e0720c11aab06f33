"""Statistics against published or hand-worked values."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from lm_eval_tts.core.voting import pass_at
from lm_eval_tts.results import statistics


def zeros_and_ones(num_ones: int, size: int) -> np.ndarray:
    return np.array([1.0] * num_ones + [0.0] * (size - num_ones))


@pytest.mark.parametrize(
    ("right", "size", "low", "high"),
    [
        (0, 30, 0.0, 0.1135),  # Wilson: z^2 / (n + z^2) = 3.8415 / 33.8415
        (30, 30, 0.8865, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), table I, method 3
        (15, 148, 0.0624, 0.1605),
    ],
)
def test_the_wilson_interval_is_right_at_the_ends_and_where_newcombe_tabled_it(
    right, size, low, high
):
    have = statistics.proportion_interval(zeros_and_ones(right, size))
    assert have == pytest.approx((low, high), abs=1e-4)


@given(st.floats(0, 1), st.floats(1, 1e6), st.floats(0.5, 0.999))
def test_the_intervals_that_need_no_statsmodels_are_those_of_statsmodels(mean, size, confidence):
    have = statistics.count_interval(mean, size, confidence)
    want = proportion_confint(mean * size, size, 1 - confidence, method="wilson")
    assert have == pytest.approx(want, abs=1e-9)
    none = statistics.bootstrap_interval(np.zeros(int(size) % 999 + 1), confidence)
    exact = proportion_confint(0, int(size) % 999 + 1, 1 - confidence, method="beta")
    assert none.high == -none.low == pytest.approx(exact[1])


def test_repeats_of_a_document_do_not_count_as_further_documents():
    """All repeats alike: as wide as without repeats. No variance between: as many as samples."""
    alike = statistics.proportion_interval(zeros_and_ones(15, 30), repeats=64)
    assert alike == pytest.approx(statistics.proportion_interval(zeros_and_ones(15, 30)))
    spread = statistics.proportion_interval(np.tile([0.4, 0.6], 15), repeats=64)
    assert spread.high - spread.low < 0.3 * (alike.high - alike.low)


def test_scores_that_were_not_recorded_are_left_out():
    scores = np.array([1.0, np.nan, 0.0])
    assert statistics.proportion_interval(scores) == statistics.count_interval(0.5, 2)
    assert math.isnan(statistics.proportion_interval(np.array([np.nan])).low)


@settings(deadline=None)
@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one(n: int, data: st.DataObject):
    """Against all draws of k of n, counted."""
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    draws = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at(n, float(c), k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_pass_at_more_than_was_sampled_is_undefined():
    assert math.isnan(pass_at(4, 2.0, 8))
    assert math.isnan(pass_at(4, math.nan, 2))


def test_mcnemars_test_counts_only_documents_that_flipped():
    """6 to 0: 2 / 2^6; further documents that agree change nothing."""
    a, b = zeros_and_ones(0, 6), np.ones(6)
    assert statistics.paired_p_value(a, b) == pytest.approx(2 / 2**6)
    agree = zeros_and_ones(50, 100)
    longer = statistics.paired_p_value(np.append(a, agree), np.append(b, agree))
    assert longer == pytest.approx(2 / 2**6)
    assert statistics.paired_p_value(a, a) == 1.0
    fewer = statistics.FEWEST_FLIPS - 1
    assert statistics.paired_p_value(np.zeros(fewer), np.ones(fewer)) > 0.05
    assert statistics.paired_p_value(np.zeros(fewer + 1), np.ones(fewer + 1)) < 0.05


@pytest.mark.parametrize("size", [1, 5, 6, 20])
def test_where_every_mean_over_repeats_gains_the_same_the_p_value_is_that_of_the_sign_test(size):
    """A t-test has no variance there; 2^(1-n) is what n heads in a row have, both sides counted."""
    a = np.full(size, 0.25)
    assert statistics.paired_p_value(a, a + 0.5) == pytest.approx(2.0 ** (1 - size))
    assert statistics.paired_p_value(a + 0.5, a) == pytest.approx(2.0 ** (1 - size))


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemars_p_value_is_that_of_the_binomial_test(wins: int, losses: int):
    a = np.array([0.0] * wins + [1.0] * losses + [1.0])
    b = np.array([1.0] * wins + [0.0] * losses + [1.0])
    want = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert statistics.paired_p_value(a, b) == pytest.approx(want)


def test_totals_alone_are_compared_by_fishers_test():
    # Fisher's tea: 3 of 4 against 1 of 4, two-sided 34/70.
    assert statistics.unpaired_p_value(0.75, 4, 0.25, 4) == pytest.approx(34 / 70)


def test_the_bootstrap_interval_covers_the_normal_one_and_has_a_width_without_any_flip():
    rng = np.random.default_rng(1)
    differences = rng.choice([-1.0, 0.0, 1.0], 500, p=[0.1, 0.7, 0.2])
    low, high = statistics.bootstrap_interval(differences)
    half = 1.96 * differences.std() / math.sqrt(500)
    assert (low, high) == pytest.approx(
        (differences.mean() - half, differences.mean() + half), abs=0.01
    )
    low, high = statistics.bootstrap_interval(np.zeros(30))
    assert high == -low == pytest.approx(1 - 0.025 ** (1 / 30), abs=1e-4)  # Clopper-Pearson of 0/30
    assert statistics.bootstrap_interval(differences) == statistics.bootstrap_interval(differences)


def test_the_matched_interval_is_that_of_agresti_and_min():
    """Their adjusted Wald interval: half a count more in each of the four cells."""
    wins, losses, size = 12, 3, 60
    differences = np.array([1.0] * wins + [-1.0] * losses + [0.0] * (size - wins - losses))
    b, c, n = wins + 0.5, losses + 0.5, size + 2
    half = 1.96 * math.sqrt((b + c) - (b - c) ** 2 / n) / n
    want = ((b - c) / n - half, (b - c) / n + half)
    assert statistics.matched_interval(differences) == pytest.approx(want, abs=0.003)


def test_a_ratio_of_means_has_an_interval_around_it():
    rng = np.random.default_rng(2)
    a = rng.gamma(2, 100, 400)
    low, high = statistics.ratio_interval(a, a * rng.uniform(1.1, 1.3, 400))
    assert 1.15 < low < 1.2 < high < 1.25
    assert statistics.ratio_interval(a, a) == (1.0, 1.0)


def test_rows_that_cannot_be_told_apart_share_a_rank():
    """a and b differ by chance; c is worse than both; the smallest p is held against alpha / 3."""
    differences = np.array([[0, -0.01, -0.3], [0.01, 0, -0.29], [0.3, 0.29, 0]])
    p_values = np.array([[1, 0.6, 0.001], [0.6, 1, 0.002], [0.001, 0.002, 1]])
    assert statistics.ranks(differences, p_values) == [1, 1, 3]
    weak = np.where(p_values < 0.01, 0.02, p_values)  # 0.02 > 0.05 / 3: Holm finds nothing
    assert statistics.ranks(differences, weak) == [1, 1, 1]
    assert statistics.ranks(np.zeros((1, 1)), np.ones((1, 1))) == [1]


def test_the_correction_of_ranks_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    random = np.random.default_rng(0)
    for size in (2, 6, 11):
        p_values = np.triu(random.random((size, size)) ** 4 / 10, k=1)
        p_values += p_values.T
        better = np.triu(np.ones((size, size)), k=1)  # each row is better than those before it
        upper = np.triu_indices(size, k=1)
        worse = np.zeros((size, size), bool)
        worse[upper] = multipletests(p_values[upper], alpha=0.05, method="holm")[0]
        assert statistics.ranks(better, p_values) == [1 + int(row.sum()) for row in worse]


def test_the_pareto_front_keeps_what_nothing_beats():
    costs, scores = [10, 20, 20, 40, 5], [0.3, 0.5, 0.4, 0.5, 0.3]
    assert statistics.pareto_front(costs, scores) == [False, True, False, False, True]
