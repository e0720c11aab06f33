"""What is extracted from a response and whether it is right; the cases are data."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from grading.equivalence_cases import ALIKE, ANSWERS, DIFFERENT, EQUAL
from grading.response_cases import CHOICE, MATH, OPTIONS

from lm_eval_tts.grading import (
    Item,
    equivalent,
    format_adherence,
    grade,
    grade_many,
    has_loop,
)
from lm_eval_tts.grading.extraction import SOURCES

THINK = ("<think>", "</think>", "<answer>", "</answer>")


@pytest.mark.parametrize(
    ("response", "reference", "correct", "source"),
    [case[1:] for case in MATH],
    ids=[case[0] for case in MATH],
)
def test_a_response_is_graded_by_the_answer_it_commits_to(
    response: str, reference: str, correct: bool, source: str | None
) -> None:
    verdict = grade(response, reference)
    assert (verdict.correct, verdict.source) == (correct, source), verdict
    assert source is None or source in SOURCES
    assert (verdict.answer is None) == (source is None)


@pytest.mark.parametrize(
    ("response", "letter"), [case[1:] for case in CHOICE], ids=[case[0] for case in CHOICE]
)
def test_a_letter_counts_only_where_it_is_committed_to(response: str, letter: str | None) -> None:
    verdict = grade(response, letter or "A", "choice", OPTIONS)
    assert verdict.answer == letter
    assert verdict.correct == (letter is not None)


def test_one_option_text_is_enough_to_recognise_it() -> None:
    assert grade("<answer>42 km</answer>", "B", "choice", {"B": "42 km"}).correct
    assert not grade("<answer>41 km</answer>", "B", "choice", {"B": "42 km"}).correct


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match='"math" or "choice"'):
        grade("4", "4", "essay")  # type: ignore[arg-type]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal_answers_are_equal_in_both_directions(a: str, b: str) -> None:
    assert equivalent(a, b)
    assert equivalent(b, a)


@pytest.mark.parametrize(("a", "b"), ALIKE)
def test_what_a_reading_allows_is_right_as_an_answer_and_as_a_reference(a: str, b: str) -> None:
    assert grade(f"<answer>{a}</answer>", b).correct
    assert grade(f"<answer>{b}</answer>", a).correct
    assert not equivalent(a, b)


@pytest.mark.parametrize(("answer", "reference"), ANSWERS)
def test_some_readings_are_for_answers_alone(answer: str, reference: str) -> None:
    assert grade(f"<answer>{answer}</answer>", reference).correct
    assert not grade(f"<answer>{reference}</answer>", answer).correct


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different_answers_differ_in_both_directions(a: str, b: str) -> None:
    assert not equivalent(a, b)
    assert not equivalent(b, a)


@pytest.mark.parametrize(
    ("response", "state"),
    [
        ("<think>a</think>b", "both"),
        ("a</think>b", "end_only"),
        ("<think>a", "start_only"),
        ("a", "none"),
        ("<reasoning>a< /reasoning>b", "both"),
        ("<|begin_of_thought|>a<|end_of_thought|>b", "both"),
    ],
)
def test_four_states_are_told_apart(response: str, state: str) -> None:
    assert grade(response, "1").state == state


def test_tags_that_are_given_come_before_the_usual_families() -> None:
    tags = ("<|im_start|>think", "<|im_start|>answer", "", "")
    verdict = grade("<|im_start|>think\n\\boxed{3}<|im_start|>answer\n4", "4", tags=tags)
    assert (verdict.correct, verdict.state) == (True, "both")
    own = ("[[work]]", "[[/work]]", "[[result]]", "[[/result]]")
    text = "[[work]]1+1 = 2[[/work]] [[result]]2[[/result]]"
    assert grade(text, "2", tags=own).source == "answer_tag"
    final = ("", "Final Answer:", "", "")
    assert grade("1 + 1 is 2, so\n\nFinal Answer: 2", "2", tags=final).state == "end_only"


@pytest.mark.parametrize(
    ("response", "tags", "want"),
    [
        ("<think>a</think>\n<answer>b</answer>\n", THINK, (1, 1, 1)),
        ("Well. <think>a</think>\n<answer>b</answer>", THINK, (0, 1, 1)),
        ("<think>a</think> so <answer>b</answer>", THINK, (0, 1, 1)),
        ("<think>a</think><think>a</think><answer>b</answer>", THINK, (0, 1, 0.5)),
        ("<answer>b</answer><think>a</think>", THINK, (0, 0, 1)),
        ("<think>a", THINK, (0, 0, 0.25)),
        ("<think>a</think>b", ("<think>", "</think>", "", ""), (1, 1, 1)),
        ("hm <think>a</think>b", ("<think>", "</think>", "", ""), (0, 1, 1)),
        ("a</think>b", ("", "</think>", "", ""), (1, 1, 1)),
    ],
)
def test_format_is_strict_soft_or_counted(
    response: str, tags: tuple[str, str, str, str], want: tuple[float, float, float]
) -> None:
    assert tuple(format_adherence(response, tags)) == want


def test_format_without_tags_is_undefined() -> None:
    assert all(math.isnan(figure) for figure in format_adherence("a", ("", "", "", "")))


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("So x = 1. " * 50, True),
        ("We count. " + "= \\sqrt{\\frac{2}{3}} " * 60 + "= \\sqrt{\\fr", True),
        ("".join(f"If n = {n}, {n * n} is too large. " for n in range(60)), True),
        ("".join(f"If n = {n}, {n * n} is too large. " for n in range(12)), False),  # cases
        ("ab" * 60, False),  # too short to say
        (" ".join(f"Step {i}: {i} times {i + 7} is {i * (i + 7)}." for i in range(9)), False),
        ("1000000", False),
        ("", False),
    ],
)
def test_a_loop_repeats_up_to_the_end(text: str, loop: bool) -> None:
    assert has_loop(text) is loop


def _items() -> list[Item]:
    items = [Item(response, reference) for _, response, reference, _, _ in MATH]
    items += [Item(response, "C", "choice", OPTIONS) for _, response, _ in CHOICE]
    hard = [
        Item(f"\\boxed{{\\sqrt{{{n + 1}+2\\sqrt{{{n}}}}}}}", f"1+\\sqrt{{{n}}}") for n in (2, 3)
    ]
    return [*items, *hard]


def test_many_items_get_the_verdicts_of_one_in_any_order() -> None:
    items = _items()
    want = [grade(*item) for item in items]
    assert all(verdict.correct for verdict in want[-2:])
    assert grade_many(items) == want
    assert grade_many(items[::-1]) == want[::-1]
    assert grade_many([]) == []


def test_it_works_in_any_thread() -> None:
    results: list[bool] = []

    def run() -> None:
        results.append(equivalent("\\sqrt{11+2\\sqrt{10}}", "1+\\sqrt{10}"))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True, True]


def test_grading_needs_no_computer_algebra() -> None:
    script = (
        "import sys; from lm_eval_tts.grading import grade; "
        "assert grade('<answer>1/2</answer>', '0.5').correct; "
        "assert not {'sympy', 'math_verify'} & set(sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True, timeout=60)


UNFINISHED = ["\\int_0^1 x^2 dx", "\\sum_{k=1}^{\\infty} 2^{-k}", "\\lim_{x \\to 0} \\frac{|x|}{x}"]


@pytest.mark.parametrize("formula", UNFINISHED)
def test_what_would_have_to_be_worked_out_is_undecided_unless_it_is_the_same(formula: str) -> None:
    assert grade("\\boxed{1/3}", formula).undecided
    assert not grade("\\boxed{1/3}", formula).correct
    assert grade(f"\\boxed{{ {formula} }}", formula).correct
    assert not grade(f"\\boxed{{{formula}}}", "7").correct


def test_verdicts_are_the_same_beside_busy_processes() -> None:
    items = _items()
    quiet = grade_many(items)
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        assert grade_many(items) == quiet
    finally:
        for process in load:
            process.kill()
            process.wait()


def test_a_loop_is_seen_inside_the_thinking_and_before_closing_tags():
    loop = "So the sum is 12 and the rest is 3. " * 20
    assert grade(f"<think>{loop}</think><answer>3</answer>", "3").loop
    assert grade(f"<think>short</think>\n<answer>{loop}</answer>", "3").loop
    assert not grade("<think>short</think>\n<answer>3</answer>", "3").loop
