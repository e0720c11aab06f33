"""Graded responses to metrics."""

import pytest

from lm_eval_tts.harness.response import Details, Response, Usage
from lm_eval_tts.harness.run_state import RunState, watched
from lm_eval_tts.tasks import processing
from lm_eval_tts.tasks.processing import GradeFilter, process_results, share_answered

DOC = {"id": "1", "question": "2+2?", "answer": "4"}
CHOICE = {"id": "2", "question": "?", "answer": "B", "options": {"A": "one", "B": "two"}}
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
USAGE = Usage(
    thinking=5, answer=1, forced=3, total=9, sampled=12, engine_calls=2, waits=1, truncated=True
)


def response(text: str, **details) -> Response:
    return Response(text, Details(**{"usage": USAGE, "tags": TAGS, **details}))


def graded(doc: dict, *responses: str):
    (some,) = GradeFilter().apply([list(responses)], [doc])
    return some


def metrics(doc: dict, *responses: str) -> dict:
    return process_results(doc, [graded(doc, *responses)])


def test_a_right_answer_in_its_tags_counts_and_its_tokens_are_told():
    result = metrics(DOC, response("<think>\n2+2</think>\n<answer>4</answer>"))
    assert result["exact_match"] == result["format_strict"] == result["format_soft"] == 1
    assert (result["thinking_tokens"], result["waits"], result["truncated"]) == (5, 1, 1)
    assert result["answered"] == {"answer": "4", "source": "answer_tag", "state": "both"}


def test_the_logged_answer_is_the_extracted_text():
    assert graded(DOC, response("<think>x</think><answer>5</answer>")) == ["5"]
    assert graded(DOC, response("<think>never ended")) == ["[invalid]"]


def test_a_missing_answer_is_wrong_and_counted_as_missing():
    result = metrics(DOC, response("<think>it is 4"))
    assert result["exact_match"] == 0
    assert share_answered([result["answered"], {"answer": "x"}]) == 0.5


def test_text_inside_thinking_is_graded_only_when_nothing_else_can_be_and_is_told():
    result = metrics(DOC, response("<think>so \\boxed{4}</think>"))
    assert (result["exact_match"], result["answer_in_thinking"]) == (1, 1)
    result = metrics(DOC, response("<think>so \\boxed{4}</think><answer>5</answer>"))
    assert (result["exact_match"], result["answer_in_thinking"]) == (0, 0)


def test_a_choice_is_graded_by_its_letter():
    assert metrics(CHOICE, response("<answer>B</answer>"))["exact_match"] == 1
    assert metrics(CHOICE, response("<answer>A</answer>"))["exact_match"] == 0


def test_accuracy_is_told_by_category_and_subject_at_each_point_too():
    doc = {**CHOICE, "category": "Chemistry", "subject": "Chemistry (general)"}
    points = {"8": response("<answer>A</answer>"), "64": response("<answer>B</answer>")}
    result = metrics(doc, response("<answer>B</answer>", points=points))
    assert result["exact_match_chemistry"] == result["exact_match_chemistry_general"] == 1
    assert result["exact_match_chemistry@8"] == 0
    assert result["exact_match_chemistry_general@64"] == 1
    assert not any("chemistry" in name for name in metrics(CHOICE, response("B")))


def test_a_plain_text_of_any_other_model_is_graded_without_token_counts():
    result = metrics(DOC, "Therefore the answer is \\boxed{4}.")
    assert result["exact_match"] == 1
    assert "thinking_tokens" not in result


def test_format_is_not_judged_where_no_tags_were_asked_for():
    result = metrics(DOC, response("\\boxed{4}", tags=("", "", "", "")))
    assert result["exact_match"] == 1
    assert "format_strict" not in result


def test_repeats_are_averaged():
    result = metrics(DOC, response("<answer>4</answer>"), response("<answer>5</answer>"))
    assert result["exact_match"] == 0.5
    assert [r["answer"] for r in result["answered"]["repeats"]] == ["4", "5"]
    assert share_answered([result["answered"]]) == 1


def test_copies_that_even_out_ranks_are_not_graded():
    twice = [response("<answer>4</answer>"), response("<answer>4</answer>", padding=True)]
    assert len(graded(DOC, *twice)) == 1


def test_points_of_an_anytime_run_have_metrics_of_their_own():
    points = {"wait0": response("<answer>5</answer>"), "wait1": response("<answer>4</answer>")}
    result = metrics(DOC, response("<answer>4</answer>", points=points))
    assert (result["exact_match@wait0"], result["exact_match@wait1"]) == (0, 1)
    assert result["thinking_tokens@wait0"] == 5
    assert result["answered"]["points"] == {"wait0": "5", "wait1": "4"}


def test_a_failure_is_told_with_its_reason_and_keeps_the_names_of_all_metrics():
    points = {"wait0": response("", failure="too long")}
    failed = metrics(DOC, response("", failure="too long", points=points))
    fine = metrics(DOC, response("<answer>4</answer>", points={"wait0": response("x")}))
    assert failed.keys() == fine.keys()
    assert (failed["failed"], failed["answered"]["failure"]) == (1, "too long")
    assert fine["failed"] == 0


@pytest.mark.parametrize("wrapped", [True, False])
def test_both_shapes_in_which_lm_eval_hands_over_results_work(wrapped):
    some = graded(DOC, response("<answer>4</answer>"))
    assert process_results(DOC, [some] if wrapped else some)["exact_match"] == 1


def test_a_document_that_the_grader_raises_on_is_a_failure_with_its_reason(monkeypatch):
    def fragile(items, **options):
        if any("poison" in item.response for item in items):
            raise RecursionError("too deep")
        return grade_many(items)

    grade_many = processing.grade_many
    monkeypatch.setattr(processing, "grade_many", fragile)
    texts = ["<answer>4</answer>", "<answer>poison</answer>", "<answer>5</answer>"]
    with watched() as states:
        state = RunState()
        state.count([None] * 3)
        good, bad, wrong = (
            process_results(DOC, [some])
            for some in GradeFilter().apply([[response(text)] for text in texts], [DOC] * 3)
        )
    assert (good["exact_match"], wrong["exact_match"]) == (1, 0)
    assert "exact_match" not in bad
    assert bad["failed"] == 1
    assert bad["answered"]["failure"] == "grading failed on it: RecursionError: too deep"
    assert states == [state]
    assert state.tally == {"asked": 3, "failed": 1}


def test_a_document_without_an_answer_to_grade_by_is_a_failure():
    (some,) = GradeFilter().apply([[response("4")]], [{"id": "1", "question": "2+2?"}])
    result = process_results(DOC, [some])
    assert result["answered"]["failure"] == "grading failed on it: KeyError: 'answer'"


def test_metrics_that_raise_are_a_failure_of_their_document(monkeypatch):
    def raising(*args):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(processing, "_metrics", raising)
    result = metrics(DOC, response("<answer>4</answer>"))
    assert result["failed"] == 1
    assert "ZeroDivisionError" in result["answered"]["failure"]
    assert share_answered([result["answered"], {"answer": "x"}]) == 1
