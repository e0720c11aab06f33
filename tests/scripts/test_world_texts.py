"""What the small world is trained on: right where it says so, and no problem that is measured."""

import random
import re
from itertools import chain, islice

import pytest
import world_samples
import world_texts
from dial_problems import SPLITS, STEPS, DialProblem, Turn, dial_documents, draw_dial
from world_models import SIZES, world_llama, world_tokenizer

from lm_eval_tts.engines.tokenizer import HFTokenizer
from lm_eval_tts.grading import grade

PROBLEM = DialProblem(38, (Turn("+", 7), Turn("-", 9)))


@pytest.fixture(scope="module")
def tokenizer():
    return world_tokenizer()


def rows(kind: str, count: int = 200):
    rng = random.Random(0)
    return [world_texts.ROWS[kind](rng) for _ in range(count)]


def test_no_text_has_a_question_that_is_measured():
    measured = {d["question"] for split in SPLITS for d in dial_documents(split)}
    texts = world_texts.pretraining(random.Random(0), num_short=10)
    assert not {text[0] for text in islice(texts, 2000)} & measured
    assert not {row["question"] for kind in world_texts.ROWS for row in rows(kind)} & measured


def test_a_problem_is_worked_out_in_three_ways():
    assert world_texts.quick_lines(PROBLEM, PROBLEM.values) == "=38\na)+7=45\nb)-9=36\n"
    assert world_texts.value_lines(PROBLEM, PROBLEM.values) == "=38\na)45\nb)36\n"
    spelled = "=38\nStep a)+7 then 38+7=45\nStep b)-9 then 45-9=36\n"
    assert world_texts.spelled_lines(PROBLEM, PROBLEM.values) == spelled


def test_pretraining_knows_no_prompt_style():
    texts = list(islice(world_texts.pretraining(random.Random(0), num_short=10), 2000))
    worked = [text for text in texts if text[0].startswith("dial=")]
    assert len(worked) > 500
    assert not any("<think>" in learned for _, learned in worked)


def test_what_is_checked_ends_right_whatever_was_wrong_before_it():
    checked = [row for row in rows("checking") if row["prefix"]]
    assert len(checked) > 80
    for row in checked:
        assert grade(row["prefix"] + row["completion"], row["answer"]).correct


def test_what_is_not_checked_is_mostly_right():
    right = [grade(row["completion"], row["answer"]).correct for row in rows("answering", 500)]
    assert 0.65 < sum(right) / len(right) < 0.9


def test_only_a_policy_that_checks_is_told_to_wait():
    assert not any("Wait" in row["prefix"] + row["completion"] for row in rows("answering"))
    waits = [row["prefix"].count("Wait") for row in rows("checking")]
    assert set(waits) >= {0, 1, 2, 3}
    assert all("Wait" not in row["completion"] for row in rows("checking"))


def test_a_check_says_of_each_line_whether_it_was_right():
    assert world_texts.check_lines(PROBLEM, [38, 46, 36]) == "=38\na)+7=45 no\nb)-9=36 ok\n"


def test_slips_are_gone_on_with():
    for seed in range(50):
        start, first, second = world_texts.slipped_values(PROBLEM, random.Random(seed), num_slips=1)
        assert start == PROBLEM.start
        assert (first != 45) != ((first - 9) % 100 != second)


@pytest.mark.parametrize("slips", [world_texts.CARELESS, world_texts.HASTY])
def test_in_haste_a_carry_is_forgotten_mostly_at_the_end_of_the_dial(slips):
    rng = random.Random(0)
    shares, told = {}, {}
    for name, start in {"past the end": 97, "carry": 47, "": 41}.items():
        drawn = [
            world_texts.careless(DialProblem(start, (Turn("+", 7),)), rng, slips)
            for _ in range(2000)
        ]
        wrong = [last for _, last in drawn if last != (start + 7) % 100]
        shares[name], told[name] = len(wrong) / len(drawn), set(wrong)
    assert shares == pytest.approx(slips, abs=0.04)
    assert told == {"past the end": {94}, "carry": {44}, "": {47, 49}}


def test_roll_outs_rate_a_step_by_how_what_goes_on_from_it_ends(monkeypatch):
    def sample(model, tokenizer, problems, begun=()):
        for problem, head in zip(problems, begun or [""] * len(problems), strict=True):
            right = world_samples.right_steps(problem)
            wrong = [*right[:2], "no line", *right[3:]]
            yield right if begun and set(head.splitlines()) <= set(right) else [*wrong[:-1], "no"]

    monkeypatch.setattr(world_samples, "sample", sample)
    rows = world_samples.rolled_out(None, None, num_problems=2)
    assert len(rows) == 2 * len(STEPS)
    assert all(row["labels"][:2] == [1, 1] and not any(row["labels"][2:]) for row in rows)


def test_what_is_spoiled_has_one_wrong_step_and_right_sums():
    rng = random.Random(0)
    rows = [world_samples.spoiled(rng) for _ in range(60)]
    assert all(row["labels"].count(0) == 1 for row in rows)
    assert any(row["steps"][0].startswith("\\boxed{") for row in rows)
    assert any(row["steps"][-1].startswith("<answer>") for row in rows)


def test_of_a_working_full_of_slips_each_line_is_rated_by_itself():
    rng = random.Random(0)
    for _ in range(50):
        row = world_samples.slipped(rng, 4)
        _, start, *lines = row["steps"]
        value = int(start[1:])
        for line, label in zip(lines, row["labels"][2:], strict=True):
            name, written = line.split("=")
            turn = dict(re.findall(r"([a-p]\))([+-]\d)", row["question"]))[name[:2]]
            assert label == ((value + int(turn)) % 100 == int(written) and turn == name[2:])
            value = int(written)


def test_labels_end_with_the_first_wrong_line_and_say_where_it_is_wrong():
    right = ["<think>", "=38", "a)+7=45", "b)-9=36", "</think>", "<answer>36</answer>"]
    none = [None] * 6
    assert world_samples.label_steps(PROBLEM, right) == ([1, 1, 1, 1, 1, 1], none)
    wrong = ["<think>", "=38", "a)+7=45", "b)-9=37", "</think>", "<answer>37</answer>"]
    labels, wrong_from = world_samples.label_steps(PROBLEM, wrong)
    assert labels == [1, 1, 1, 0, None, None]
    assert wrong_from == [None, None, None, len("b)-9=3"), None, None]
    labels, _ = world_samples.label_steps(PROBLEM, [*right, "<think>"])
    assert labels == [1, 1, 1, 1, 1, 1, 0]


def test_each_instruction_is_one_token_and_any_text_survives(tokenizer):
    for instruction in chain(*world_texts.instructions().values()):
        assert len(tokenizer.encode(instruction)) == 1
    text = "<think>\na)+7=45\nWait, check again.\nb)-9=36 ok\n</think>\n<answer>36</answer> é?"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode("a)+7=45\n")) == 7


def test_forced_texts_have_the_tokens_that_were_trained(tokenizer):
    begun = tokenizer.encode("<think>\na)+7=45\n")
    for forced in ("Wait", "</think>\n<answer>"):
        assert list(HFTokenizer(tokenizer).encode_after(begun, forced)) == tokenizer.encode(forced)


def test_the_large_policy_has_ten_times_the_parameters(tokenizer):
    small, large = (world_llama(size, tokenizer).num_parameters() for size in SIZES)
    assert large >= 10 * small


def test_levels_are_all_in_reach_of_the_labels():
    rng = random.Random(0)
    longest = draw_dial(max(STEPS), rng)
    assert world_texts.quick_lines(longest, longest.values).count("\n") == 1 + len(longest.turns)
