"""Model output is hostile: no exception, no hang, no second opinion."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lm_eval_tts.grading import Tolerance, equivalent, format_adherence, grade, has_loop

LIMIT_SECONDS = 2.0  # of processor time: a busy machine is no fault of the grader
MANY = 300_000
TAGS = ("<think>", "</think>", "<answer>", "</answer>")

HOSTILE = {
    "tower": "9^{9^{9^{9}}}",
    "factorial": "10^{10^{10}}!",
    "factorials": "3!" * 1000,
    "braces": "{" * MANY,
    "balanced braces": "{" * MANY + "}" * MANY,
    "boxes": "\\boxed{" * (MANY // 7),
    "fractions": "\\frac{1}{" * 1000 + "2" + "}" * 1000,
    "nulls": "\x00" * 1000 + "4",
    "right to left": "\u202e4\u202c",
    "import": "__import__('os').system('exit 1')",
    "dollars": "$" * MANY,
    "white space": " " * MANY,
    "lines": "\n" * MANY,
    "digits": "1" * MANY,
    "list": "1," * (MANY // 2),
    "phrases": "the answer is " * (MANY // 14),
    "tags": "<answer>" * (MANY // 8),
    "angles": "<" * MANY,
    "formulas": "\\[x " * (MANY // 4),
    "bold": "**a" * (MANY // 3),
    "options": "(A) " * (MANY // 4),
    "calls": "f(" * MANY,
    "towers": "2^" * (MANY // 2),
    "surrogates": "\ud800" * 100,
    "decimal": "0." + "9" * MANY,
    "scientific": "1e999999999",
    "root": "\\sqrt[99999999]{2}^{99999999}",
    "big root": f"\\sqrt{{{10**400 + 1}}}",
    "power of sum": "(a+b+c+d)^{99}",
    "no points": "x \\neq 0, y",
    "long sum": "+".join(f"x_{{{i}}}" for i in range(400)),
}


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No garbage of other tests is collected meanwhile, which may take seconds."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize(
    "form", ["{}", "<answer>{}", "<think>{}</think>{}", "\\boxed{{{}}}", "{} is 3"]
)
def test_each_hostile_text_gets_a_verdict_in_time(text: str, form: str) -> None:
    response = form.format(text, text)
    for arguments in (("7",), ("B", "choice", {"B": "seven"})):
        start = time.process_time()
        verdict = grade(response, *arguments)  # type: ignore[arg-type]
        assert time.process_time() - start < LIMIT_SECONDS
        assert not verdict.correct
    start = time.process_time()
    assert not equivalent(text, "7")
    has_loop(text)
    format_adherence(response, TAGS)
    assert time.process_time() - start < LIMIT_SECONDS


WORDS = (
    "\\frac \\sqrt { } ( ) [ ] | $ \\( \\) \\[ \\] \\boxed{ ^ _ ! % , ; = + - * / . : < > # ** & "
    "\\\\ \\pm \\cup \\text{ \\begin{pmatrix} \\end{pmatrix} <think> </think> <answer> </answer> "
    "√ ² π ∞ ° − \x00 \u202e the answer is A (B) option not x y i e 0 1 2 10 999999 1e9 \\pi \\sin "
    "\\log \\int \\sum \\infty \\left( \\right) 3.5 1,000 \\circ cm and or \\le \\in User: #### "
    "\\overline{3} half base base_5 9^9^9^9 1e999 May"
)
PIECES = st.sampled_from(WORDS.split())
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(PIECES, max_size=14).map(" ".join),
    st.lists(PIECES, max_size=9).map("".join),
)
CALM = settings(max_examples=300, deadline=10_000, suppress_health_check=list(HealthCheck))


@CALM
@given(TEXTS, TEXTS, TEXTS)
def test_any_response_gets_the_same_verdict_twice(
    response: str, reference: str, question: str
) -> None:
    verdict = grade(response, reference)
    assert verdict == grade(response, reference)
    asked = {"question": question, "tolerance": Tolerance(0.1, digits=True, units=True)}
    assert grade(response, reference, **asked) == grade(response, reference, **asked)
    grade(f"\\boxed{{{response}}}", reference, **asked)
    grade(response, "A", "choice", {"A": reference})
    format_adherence(response, TAGS)


@CALM
@given(TEXTS)
def test_an_answer_equals_itself(text: str) -> None:
    assert equivalent(text, text)


@CALM
@given(TEXTS, TEXTS)
def test_equality_is_symmetric(a: str, b: str) -> None:
    assert equivalent(a, b) == equivalent(b, a)


@CALM
@given(st.fractions(), st.fractions())
def test_fractions_are_equal_only_to_themselves(a: object, b: object) -> None:
    assert equivalent(str(a), str(b)) == (a == b)


@CALM
@given(st.integers(-(10**6), 10**6), st.integers(1, 10**4))
def test_a_fraction_equals_its_latex(top: int, bottom: int) -> None:
    assert equivalent(f"\\frac{{{top}}}{{{bottom}}}", f"{top}/{bottom}")
    assert not equivalent(f"\\frac{{{top}}}{{{bottom}}}", f"{top + 1}/{bottom}")
