"""Two runs, paired by document."""

import json

import pytest
from results_helpers import scored, write_run

from lm_eval_tts.errors import DataError
from lm_eval_tts.results.compare import compare, comparison_markdown, comparisons_json, match_runs
from lm_eval_tts.results.runs import load_runs


def runs(folder, scores, task="toy_cot", **changes):
    return load_runs([write_run(folder, scored(scores, **changes), task)]).runs


def test_only_documents_that_both_have_are_compared_and_the_flipped_ones_named(tmp_path):
    (a,) = runs(tmp_path / "a", [1, 1, 0, 0, 1])
    (b,) = runs(tmp_path / "b", [0, 1, 1, 1], total_tokens=80.0)
    comparison = compare(a, b)
    assert (comparison.num_docs, comparison.only_a, comparison.only_b) == (4, 1, 0)
    assert (comparison.gained, comparison.lost) == (("q2", "q3"), ("q0",))
    assert comparison.p_value == 1  # 2 to 1
    text = comparison_markdown(comparison)
    assert "B gains 2 problems: q2, q3." in text
    assert "Left out: 1 problems only in A, 0 only in B." in text
    assert "| tokens | 100 | 80 | -20.0 (-20.0 to -20.0), -20% |" in text


def test_thirty_problems_are_said_not_to_tell_four_apart(tmp_path):
    """AIME24: one problem is 3.3 points, and 4 more solved is no significant difference."""
    (a,) = runs(tmp_path / "a", [1] * 4 + [0] * 26)
    (b,) = runs(tmp_path / "b", [1] * 8 + [0] * 22)
    comparison = compare(a, b)
    assert comparison.p_value > 0.05
    assert "The data cannot tell A and B apart" in comparison.verdict
    assert "of 30 problems one is 3.3 points, and at least 6 must flip" in comparison.verdict


def test_a_clear_difference_is_called_one(tmp_path):
    (a,) = runs(tmp_path / "a", [1] * 40 + [0] * 60)
    (b,) = runs(tmp_path / "b", [0] * 20 + [1] * 20 + [0] * 60)
    comparison = compare(a, b)
    assert comparison.verdict.startswith("B is worse by 20.0 points")
    assert comparison.figures[0].interval.high < 0
    record = json.loads(comparisons_json([comparison]))[0]
    assert (record["n"], record["test"], len(record["lost"])) == (100, "McNemar, exact", 20)


def test_tasks_are_matched_by_name_then_by_benchmark(tmp_path):
    cot, r1 = runs(tmp_path / "a", [1]), runs(tmp_path / "b", [1], "toy_r1")
    other = runs(tmp_path / "c", [1], "hard_cot")
    assert [(a.task, b.task) for a, b in match_runs(cot, r1 + other)] == [("toy_cot", "toy_r1")]
    assert [(a.task, b.task) for a, b in match_runs(cot, cot + r1)] == [("toy_cot", "toy_cot")]
    with pytest.raises(DataError, match="no task is in both: A has toy_cot; B has hard_cot"):
        match_runs(cot, other)


def test_runs_without_common_documents_or_samples_are_refused_in_words(tmp_path):
    (a,) = runs(tmp_path / "a", [1])
    (b,) = runs(tmp_path / "b", [1], doc={"question": "another"})
    with pytest.raises(DataError, match="no document in common"):
        compare(a, b)
    a.samples_path.unlink()
    (a,) = load_runs([tmp_path / "a"]).runs
    with pytest.raises(DataError, match="has no samples to pair; run lm_eval with --log_samples"):
        compare(a, b)
