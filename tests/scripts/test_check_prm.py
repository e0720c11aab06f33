"""What a reward model is asked about, and which lines it should tell apart."""

import json

from arith_problems import benchmark_documents
from check_prm import made_up, of_the_policy, parse


def test_a_question_is_read_back_into_its_problem():
    for document in benchmark_documents():
        assert str(parse(document["question"]).answer) == document["answer"]


def test_only_right_lines_and_the_first_wrong_one_count(tmp_path):
    question = "Mia has 38 pens. 1) Finds 27. 2) Loses 6. How many pens?"
    text = "<think>\n1) Finds 27. 38+27=65\n2) Loses 6. 65-6=58\n3) Loses 6. 58-6=52\n</think>"
    sample = {"doc": {"question": question}, "answered": {"candidates": [{"text": text}] * 2}}
    path = tmp_path / "samples_arith_bon_x.jsonl"
    path.write_text(json.dumps(sample))
    (rated,) = of_the_policy([path])
    assert rated.right == [None, True, False, None]


def test_made_up_responses_have_both_kinds_of_lines():
    rights = [right for rated in made_up(100) for right in rated.right]
    assert {True, False} <= set(rights)
