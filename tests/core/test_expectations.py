"""Expectations over subsets, against the enumeration of all subsets."""

from itertools import combinations
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_tts.core import voting
from lm_eval_tts.core.voting import best_at, maj_at, most_voted, pass_at, weighted_at

SAMPLES = st.lists(
    st.tuples(st.sampled_from([None, 0, 1, 2, 3]), st.sampled_from([0.1, 0.2, 0.7, nan])),
    min_size=1,
    max_size=8,
)


def mean_over_subsets(n: int, k: int, value) -> float:
    subsets = list(combinations(range(n), k))
    return sum(map(value, subsets)) / len(subsets)


def vote(classes, weights, right):
    def of(subset):
        leading = most_voted([classes[i] for i in subset], [weights[i] for i in subset])
        return sum(number == right for number in leading) / max(1, len(leading))

    return of


@given(SAMPLES, st.integers(0, 3))
def test_closed_forms_are_the_means_over_all_subsets(samples, right):
    classes = [number for number, _ in samples]
    scores = [score for _, score in samples]
    correct = [float(number == right) for number in classes]
    n = len(samples)

    def best(subset):
        rated = [(-1 if scores[i] != scores[i] else scores[i], correct[i]) for i in subset]
        top = [c for score, c in rated if score == max(rated)[0]]
        return sum(top) / len(top)

    weights = [0.0 if score != score else score for score in scores]
    for k in range(1, n + 1):
        want = mean_over_subsets(n, k, lambda s: max(correct[i] for i in s))
        assert pass_at(n, sum(correct), k) == pytest.approx(want)
        want = mean_over_subsets(n, k, vote(classes, [1.0] * n, right))
        assert maj_at(correct, classes, k) == pytest.approx(want)
        assert best_at(correct, scores, k) == pytest.approx(mean_over_subsets(n, k, best))
        want = mean_over_subsets(n, k, vote(classes, weights, right))
        assert weighted_at(correct, classes, scores, k) == pytest.approx(want)


def test_two_classes_that_tie_count_half():
    assert maj_at([1, 0], [0, 1], 2) == 0.5
    assert maj_at([1, 1, 0, 0], [0, 0, 1, 1], 4) == 0.5


def test_the_largest_of_many_samples_wins_for_sure():
    correct = [1.0] * 33 + [0.0] * 31
    classes = [0] * 33 + [1] * 31
    assert maj_at(correct, classes, 64) == 1
    assert 0.5 < maj_at(correct, classes, 8) < maj_at(correct, classes, 32) < 1


def test_draws_of_subsets_are_the_same_each_time_and_near_the_exact_value():
    correct, classes = [1.0] * 6 + [0.0] * 10, [0] * 6 + [1, 1, 1, 2, 2, 2, 3, 3, 4, 5]
    exact = maj_at(correct, classes, 8)
    drawn = weighted_at(correct, classes, [1.0] * 16, 8)
    assert drawn == weighted_at(correct, classes, [1.0] * 16, 8)
    assert drawn == pytest.approx(exact, abs=0.04)
    assert voting._subsets_of(16, 8).shape == (voting.MAX_SUBSETS, 16)
