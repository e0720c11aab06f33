"""What the tiny reasoner is trained on: right where it says so, and never a test problem."""

import random
from itertools import islice, pairwise

import arith_texts
import pytest
from arith_problems import benchmark_documents

from lm_eval_tts.grading import grade

RESPONSES = arith_texts.NUM_EQUATION_ROWS  # rows of steps before the first response


def rows(kind: str, count: int = 200, skip: int = 0):
    return list(islice(arith_texts.ROWS[kind](random.Random(0)), skip, skip + count))


def test_no_text_has_a_question_of_the_benchmark():
    questions = {doc["question"] for doc in benchmark_documents()}
    texts = arith_texts.pretraining(random.Random(0))
    assert not {next(texts).given.removeprefix("User: ") for _ in range(2000)} & questions
    assert not {row["question"] for row in rows("sft")} & questions
    assert not {row["question"] for row in rows("steps", skip=RESPONSES)} & questions


def test_a_working_is_right_and_ends_with_the_answer():
    rng = random.Random(0)
    for level in range(1, 9):
        told = arith_texts.tell(level, rng)
        lines = arith_texts.working(told, rng)
        assert arith_texts.check_lines(told.problem, lines) == [True] * level
        assert lines[-1].endswith(f"={told.problem.answer}")


def test_what_sft_learns_is_right_whatever_was_wrong_before_it():
    for row in rows("sft"):
        response = row["prefix"] + row["completion"]
        assert grade(response, row["answer"]).correct
        assert response.startswith("<think>\n")
        assert row["completion"].endswith(f"</think>\n<answer>{row['answer']}</answer>")


def test_half_of_the_rows_for_steps_have_a_wrong_one_and_labels_fit():
    made = rows("steps", 400, skip=RESPONSES)
    assert all(len(row["steps"]) == len(row["labels"]) for row in made)
    assert 0.3 < sum(0 in row["labels"] for row in made) / len(made) < 0.7


def test_a_wrong_step_is_right_before_the_character_at_which_it_is_said_to_be_wrong():
    for row in rows("steps", 100) + rows("steps", 400, skip=RESPONSES):
        for step, label, start in zip(row["steps"], row["labels"], row["wrong_from"], strict=True):
            assert start is None or 0 <= start <= len(step)
            assert label == 1 if start is None else label in (0, None)


def test_what_follows_an_error_is_not_labelled():
    for row in rows("steps", 400, skip=RESPONSES):
        for before, label in pairwise(row["labels"]):
            assert (label in (0, 1)) if before == 1 else (label in (1, None))


def test_where_a_result_is_wrong_is_its_first_wrong_digit():
    step = arith_texts.Step("+", 27)
    wrong = ["38+27=66", "38+27=58+7=66", "38+27=55", "38+28=66"]
    starts = [arith_texts._first_error(line, step, 38) for line in wrong]
    assert [line[:start] for line, start in zip(wrong, starts, strict=True)] == [
        "38+27=6",
        "38+27=58+7=6",
        "38+27=5",
        "38+2",
    ]


@pytest.mark.parametrize("kind", arith_texts.ROWS)
def test_the_same_seed_makes_the_same_rows(kind):
    assert rows(kind, 20) == rows(kind, 20)
