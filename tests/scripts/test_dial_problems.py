"""The benchmark `dial`: its problems are what they say, of five levels, and of one split each."""

import random
from collections import Counter

import pytest
from arith_problems import FOLDER, written
from dial_problems import (
    SPLITS,
    STEPS,
    DialProblem,
    Turn,
    dial_documents,
    draw_dial,
)

from lm_eval_tts.tasks.data import load_generated


def test_a_dial_goes_on_from_0_past_its_last_position():
    problem = DialProblem(97, (Turn("+", 7), Turn("-", 9)))
    assert problem.values == (97, 4, 95)
    assert problem.question == "dial=97 a)+7 b)-9 dial?"


def test_documents_have_all_levels_and_none_is_there_twice():
    documents = list(load_generated("dial")["test"])
    assert all(len(document["answer"]) == 2 for document in documents)
    assert len({document["question"] for document in documents}) == len(documents) == 500
    assert Counter(d["level"] for d in documents) == dict.fromkeys(STEPS, 100)


@pytest.mark.parametrize("split", SPLITS)
def test_the_package_has_what_is_generated(split):
    assert (FOLDER / f"dial_{split}.jsonl").read_text() == written(dial_documents(split))


@pytest.mark.parametrize("level", STEPS)
def test_a_level_has_as_many_steps_as_it_says(level):
    fewest, most = STEPS[level]
    sizes = {len(draw_dial(level, random.Random(i)).turns) for i in range(99)}
    assert (min(sizes), max(sizes)) == (fewest, most)


def test_splits_have_no_problem_in_common():
    found = {split: {d["question"] for d in dial_documents(split, 200)} for split in SPLITS}
    rng = random.Random(0)
    found["train"] = {draw_dial(level, rng).question for level in STEPS for _ in range(200)}
    assert sum(map(len, found.values())) == len(set.union(*found.values()))
