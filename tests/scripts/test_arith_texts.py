"""What the tiny reasoner is trained on: right where it says so, and never a test problem."""

import random

import arith_texts
import pytest

from lm_eval_tts.grading import grade
from lm_eval_tts.tasks.arith import benchmark_documents, check_lines


def rows(kind, count: int = 200):
    rng = random.Random(0)
    return [kind(rng) for _ in range(count)]


def test_no_text_has_a_question_of_the_benchmark():
    questions = {doc["question"] for doc in benchmark_documents()}
    texts = arith_texts.pretraining(random.Random(0))
    assert not {next(texts).given.removeprefix("User: ") for _ in range(2000)} & questions
    assert not {row["question"] for row in rows(arith_texts.sft)} & questions
    assert not {row["question"] for row in rows(arith_texts.steps)} & questions


def test_a_working_is_right_and_ends_with_the_answer():
    rng = random.Random(0)
    for level in range(1, 9):
        told = arith_texts.tell(level, rng)
        lines = arith_texts.working(told, rng)
        assert check_lines(told.problem, lines) == [True] * level
        assert lines[-1].endswith(f"={told.problem.answer}")


def test_what_sft_learns_is_right_whatever_was_wrong_before_it():
    for row in rows(arith_texts.sft):
        response = row["prefix"] + row["completion"]
        assert grade(response, row["answer"]).correct
        assert response.startswith("<think>\n")
        assert row["completion"].endswith(f"</think>\n<answer>{row['answer']}</answer>")


def test_half_of_the_rows_for_steps_have_a_wrong_one_and_labels_fit():
    made = rows(arith_texts.steps, 400)
    assert all(len(row["steps"]) == len(row["labels"]) for row in made)
    assert 0.3 < sum(0 in row["labels"] for row in made) / len(made) < 0.7


@pytest.mark.parametrize("kind", arith_texts.ROWS.values())
def test_the_same_seed_makes_the_same_rows(kind):
    assert rows(kind, 20) == rows(kind, 20)
