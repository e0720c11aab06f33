"""The progress line of a run."""

from types import SimpleNamespace

import pytest

from lm_eval_tts.harness.progress import MAX_QUICK, Progress, quick_check

ARITH = {"id": "a", "question": "2+2?", "answer": "4"}


def problem(task: str = "arith_cot", **doc: str) -> SimpleNamespace:
    return SimpleNamespace(task_name=task, doc={**ARITH, **doc})


def test_the_line_tells_tokens_and_accuracy_as_far_as_it_is_decided(capsys):
    with Progress(4, disable=False) as progress:
        progress.count(problem(), "<answer>4</answer>", 10)
        assert progress.accuracy() == "accuracy 100%"
        progress.count(problem(), "<answer>5</answer>", 10)
        assert progress.accuracy() == "accuracy 50%"
        progress.count(problem(), "so " * MAX_QUICK, 10)
        assert progress.accuracy() == "accuracy 33-67%"  # a long one is graded at the end
    said = capsys.readouterr().err
    assert "tokens/s" in said
    assert "3/4" in said


def test_of_several_ranks_the_first_says_that_it_shows_its_own(capsys):
    with Progress(1, disable=False, world_size=2) as progress:
        progress.count(problem(), "", 1)
    assert "share of rank 0 of 2" in capsys.readouterr().err


def test_all_of_it_is_seen_in_a_terminal_of_80_columns(capsys):
    with Progress(2_000, disable=False) as progress:
        for _ in range(1_000):
            progress.count(problem(), "", 1)
    lines = capsys.readouterr().err.strip().split("\r")
    assert max(map(len, lines)) <= 80
    assert "tokens/s, accuracy 0%]" in lines[-1]


def test_tasks_of_others_show_no_accuracy(capsys):
    """Their `answer` may mean something else, as gsm8k's does: a worked solution."""
    with Progress(1, disable=False) as progress:
        progress.count(problem("gsm8k"), "<answer>4</answer>", 1)
        assert progress.accuracy() == ""


@pytest.mark.parametrize("doc", [{}, {"answer": None}, "text", None])
def test_a_document_that_cannot_be_read_is_undecided(doc):
    assert quick_check("arith_cot", doc, "4") is None


def test_a_line_that_is_off_grades_nothing(capsys):
    with Progress(1, disable=True) as progress:
        progress.count(problem(), "<answer>4</answer>", 1)
        assert progress.accuracy() == ""
    assert capsys.readouterr().err == ""
