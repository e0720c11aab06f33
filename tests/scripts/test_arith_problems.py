"""The generated benchmark: exact, disjoint from what is trained on, the same everywhere."""

import random

import pytest
from arith_problems import (
    FOLDER,
    LEVELS,
    VALUES,
    Problem,
    Step,
    benchmark_documents,
    draw_problem,
    written,
)
from arith_texts import check_lines

from lm_eval_tts.grading import grade
from lm_eval_tts.tasks.data import load_generated

PROBLEM = Problem(38, (Step("+", 27), Step("-", 6), Step("*", 1)))


def question(problem: Problem, seed: int) -> str:
    rng = random.Random(seed)
    return problem.question(problem.tell(rng), rng)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("test", [True, False])
def test_every_value_has_two_digits_and_the_split_is_kept(level, test):
    rng = random.Random(level)
    for _ in range(50):
        problem = draw_problem(level, rng, test=test)
        assert len(problem.steps) == level
        assert set(problem.values) <= set(VALUES)
        assert problem.is_test == test


def test_the_split_depends_on_the_numbers_and_not_on_the_wording():
    told = {question(PROBLEM, seed) for seed in range(20)}
    assert len(told) > 10
    assert Problem(38, PROBLEM.steps).is_test == PROBLEM.is_test


def test_a_question_tells_start_and_steps_in_order():
    told = question(Problem(38, (Step("+", 27), Step("-", 6))), seed=0)
    numbers = [word.strip(".") for word in told.split() if word.strip(".").isdigit()]
    assert numbers == ["38", "27", "6"]


def test_the_package_has_what_is_generated():
    assert (FOLDER / "arith_test.jsonl").read_text() == written(benchmark_documents())


def test_the_documents_are_of_all_levels_and_none_is_there_twice():
    docs = list(load_generated("arith")["test"])
    assert len({doc["question"] for doc in docs}) == len(docs) == 200
    assert {doc["level"] for doc in docs} == set(LEVELS)
    assert all(grade(f"<answer>{doc['answer']}</answer>", doc["answer"]).correct for doc in docs)


@pytest.mark.parametrize(
    ("lines", "want"),
    [
        (["1) Finds 27. 38+27=65", "2) Sells 6. 65-6=59"], [True, True]),
        (["1) Finds 27. 38+27=58+7=65", "2) 65-6=59"], [True, True]),
        (["1) Finds 27. 38+27=64", "2) Sells 6. 64-6=58"], [False, False]),
        (["1) 38+27=65", "3) 65-6=59"], [True, False]),
        (["1) 38+27=65", "2) 65-6=58", "Wait, check again.", "1) 38+27=65"], [1, 0, 1, 1]),
        (["1) 38+27=65", "2) 65-6=59", "3) 59*1=59", "4) 59*1=59"], [1, 1, 1, 0]),
        (["38+27=65"], [False]),
        ([""], [False]),
        ([], []),
    ],
)
def test_each_line_of_a_working_is_right_only_if_all_before_it_are(lines, want):
    assert check_lines(PROBLEM, lines) == want
