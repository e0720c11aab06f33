"""Requests of one problem find each other by their prompt."""

from lm_eval_tts.engines.asynchronous import Ranks, Sessions


def test_whatever_begins_with_an_earlier_prompt_belongs_to_it():
    sessions = Sessions()
    assert sessions.of([1, 2, 3]) == 0
    assert sessions.of([1, 2, 4]) == 1
    assert sessions.of([1, 2, 3, 9, 9]) == 0
    assert sessions.of([1, 2, 4, 3, 9]) == 1
    assert sessions.of([1, 2, 3]) == 0
    assert sessions.of([1, 2]) == 2


def test_a_long_prompt_is_found_among_short_ones():
    sessions = Sessions()
    long = list(range(500))
    assert [sessions.of([7, 8]), sessions.of(long), sessions.of([*long, 1])] == [0, 1, 1]


def test_new_problems_go_where_least_is_under_way_and_stay_there():
    ranks = Ranks(2)
    first, second = ranks.take([1, 2]), ranks.take([3, 4])
    assert {first, second} == {0, 1}
    assert ranks.take([1, 2, 5]) == first
    assert ranks.take([8]) == second
    for _ in range(2):
        ranks.release(first)
    assert ranks.take([9]) == first
    assert ranks.take([3, 4, 6]) == second
