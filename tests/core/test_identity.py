"""What a problem is known by, whatever has it."""

import pytest

from lm_eval_tts.core.identity import (
    document_key,
    document_label,
    id_of,
    problem_of,
    question_key,
    question_of,
    recording_keys,
    seed_key,
)


@pytest.mark.parametrize(
    ("doc", "prompt", "want"),
    [
        ({"id": "q1", "question": "1+1?"}, "p", "q1"),
        ({"id": "", "question": "1+1?"}, "p", "1+1?"),
        ({"unique_id": 0, "problem": "1+1?"}, "p", "0"),
        ({"other": 1}, "p", "p"),
        ("a text", "p", "p"),
    ],
)
def test_a_problem_is_its_id_else_its_question_else_its_prompt(doc, prompt, want):
    assert problem_of(doc, prompt) == want


def test_columns_of_every_benchmark_are_read():
    assert id_of({"Record ID": "r1", "Question": "Why?"}) == "r1"
    assert question_of({"Record ID": "r1", "Question": "Why?"}) == "Why?"
    assert (id_of({}), question_of({"question": None})) == (None, None)


def test_a_document_is_seeded_by_its_text_and_its_id_as_ever():
    """Other seeds would be other samples: a journal of an older version would not go on."""
    assert seed_key({"id": "q1"}, "1+1?") == "1+1?\x1fq1"
    assert seed_key({}, "1+1?") == seed_key("no mapping", "1+1?") == "1+1?\x1f"


def test_a_recording_is_found_by_its_question_whatever_the_white_space_then_by_its_id():
    assert recording_keys(" 1 +\n1? ", "q1") == ["question 1 + 1?", "id q1"]
    assert recording_keys(None, None) == []


def test_a_row_is_known_by_lm_evals_hash_else_by_its_number_and_answer():
    assert document_key({"doc_hash": "abcdef0123456789xyz"}) == "abcdef0123456789"
    assert document_key({"doc_id": 3, "target": "4"}) != document_key({"doc_id": 3, "target": "5"})


def test_a_question_stays_the_same_with_other_options():
    rows = [
        {"doc": {"id": "q", "question": "?", "options": {"A": a}}, "doc_hash": a * 16} for a in "xy"
    ]
    assert question_key(rows[0]) == question_key(rows[1])
    assert question_key({"doc_hash": "x"}) == "x"


@pytest.mark.parametrize(
    ("row", "want"),
    [({"doc": {"id": "q1"}, "doc_id": 3}, "q1"), ({"doc": None, "doc_id": 0}, "0"), ({}, "?")],
)
def test_people_know_a_document_by_its_id_else_by_its_number(row, want):
    assert document_label(row) == want
