"""Candidates to metrics, and that lm-eval's repeats have the same figures."""

from math import nan

import pytest

from lm_eval_tts.core.voting import sample_sizes
from lm_eval_tts.harness.response import Details, Response, Usage
from lm_eval_tts.tasks.measures import sample_metrics
from lm_eval_tts.tasks.processing import GradeFilter, process_results

DOC = {"id": "1", "question": "2+2?", "answer": "4"}
CHOICE = {"id": "2", "question": "?", "answer": "B", "options": {"A": "one", "B": "two"}}
TEXTS = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}", "I do not know"]
SCORES = [0.3, 0.9, 0.4, nan]


def candidate(text: str, **scores: float) -> Response:
    return Response(text, Details(Usage(total=7), scores=scores))


def response(*candidates: Response, independent: bool = True) -> Response:
    return Response(str(candidates[0]), Details(candidates=candidates, independent=independent))


def metrics(doc: dict, *responses: Response) -> dict:
    (graded,) = GradeFilter().apply([list(responses)], [doc])
    return process_results(doc, graded)


def rated() -> Response:
    return response(*(candidate(t, reward=s) for t, s in zip(TEXTS, SCORES, strict=True)))


def test_one_run_reports_every_choice_among_its_samples():
    result = metrics(DOC, rated())
    assert (result["pass@1"], result["pass@2"], result["coverage"]) == (
        0.5,
        pytest.approx(5 / 6),
        1,
    )
    assert result["maj@1"] == 0.5
    assert result["maj@4"] == 1  # two equal answers against one
    assert result["bon@4"] == 0  # the wrong answer is rated highest
    assert result["weighted_bon@4"] == 0  # 0.7 against 0.9


def test_weighted_best_of_n_adds_up_the_scores_of_equal_answers():
    better = [candidate(t, reward=s) for t, s in zip(TEXTS, [0.5, 0.9, 0.5, nan], strict=True)]
    result = metrics(DOC, response(*better))
    assert (result["bon@4"], result["weighted_bon@4"]) == (0, 1)


def test_confidence_has_metrics_under_its_own_name():
    sure = [candidate(t, self_certainty=s) for t, s in zip(TEXTS, [9.0, 1, 1, 1], strict=True)]
    assert metrics(DOC, response(*sure))["bon_self_certainty@4"] == 1


def test_letters_are_classes_of_their_own():
    result = metrics(CHOICE, response(*map(candidate, ["\\boxed{B}", "\\boxed{A}", "\\boxed{B}"])))
    assert (result["maj@3"], result["pass@1"]) == (1, pytest.approx(2 / 3))


def test_repeats_of_lm_eval_have_the_same_figures():
    repeats = metrics(DOC, *(Response(text, Details()) for text in TEXTS))
    samples = metrics(DOC, response(*map(candidate, TEXTS)))
    names = [name for name in samples if name.startswith(("pass@", "maj@", "coverage"))]
    assert len(names) == 7
    assert {name: repeats[name] for name in names} == {name: samples[name] for name in names}


def test_repeats_of_samples_are_averaged():
    right, wrong = (response(*map(candidate, [text] * 2)) for text in ("\\boxed{4}", "\\boxed{5}"))
    result = metrics(DOC, right, wrong)
    assert (result["pass@2"], result["maj@1"], result["exact_match"]) == (0.5, 0.5, 0.5)


def test_candidates_are_in_the_samples_file():
    records = metrics(DOC, rated())["answered"]["candidates"]
    assert [record["text"] for record in records] == TEXTS
    assert [record["class"] for record in records] == [0, 1, 0, None]
    assert [record["correct"] for record in records] == [True, False, True, False]
    assert [record["scores"]["reward"] for record in records] == [0.3, 0.9, 0.4, None]
    assert records[0]["total_tokens"] == 7


def test_what_a_search_found_has_coverage_and_no_figures_at_k():
    result = metrics(DOC, response(*map(candidate, TEXTS), independent=False))
    assert (result["coverage"], result["candidates"]) == (1, 4)
    assert not [name for name in result if "@" in name]


def test_k_doubles_up_to_all():
    assert sample_sizes(1) == [1]
    assert sample_sizes(12) == [1, 2, 4, 8, 12]
    assert sample_sizes(16) == [1, 2, 4, 8, 16]


def test_of_a_metric_that_is_no_share_pass_at_k_is_the_expected_best():
    found = sample_metrics([30.0, 10.0, 20.0], [0, 1, 2], {})
    assert found["coverage"] == found["pass@3"] == 30
    assert found["pass@1"] == pytest.approx(20)
    assert found["pass@2"] == pytest.approx((30 + 30 + 20) / 3)
