"""The lines above lm_eval's table."""

import json
import logging

from results_helpers import sample, write_run

from lm_eval_tts.harness.summary import quiet, summary


def content(tmp_path, **metrics):
    rows = [sample(i, exact_match=float(i % 2), sampled_tokens=134.0, **metrics) for i in range(10)]
    return json.loads(write_run(tmp_path, rows, "toy_budget").read_text())


def test_it_says_how_good_the_curve_the_cost_the_faults_and_what_next(tmp_path):
    points = {"exact_match@64": 0.5, "exact_match@16": 0.0}
    points |= {"thinking_tokens@64": 60.0, "thinking_tokens@16": 16.0}
    faults = {"format_strict": 1.0, "truncated": 0.0, "failed": 0.0}
    lines = summary(content(tmp_path, **points, **faults), "out").splitlines()
    assert lines[:3] == [
        "toy_budget: exact_match 50.0 % (23.7-76.3) of 10 problems",
        "  @16 0.0, @64 50.0",
        "  134 tokens sampled a problem, in format 100.0%, cut off 0.0%, loops 0.0%, failed 0.0%",
    ]
    assert lines[3] == "Files: out"
    assert "lm-eval-tts compare out" in lines[4]


def test_problems_that_failed_are_not_those_that_the_accuracy_is_of(tmp_path):
    first = summary(content(tmp_path, failed=0.8), None).splitlines()[0]
    assert first.endswith("50.0 % (9.5-90.5) of 2 problems, of 10 asked")


def test_of_samples_it_says_what_one_and_all_of_them_score(tmp_path):
    some = {"pass@1": 0.5, "pass@2": 0.6, "pass@4": 0.7, "maj@4": 0.6, "maj@2": 0.5}
    assert "  pass@1 50.0, pass@4 70.0, maj@4 60.0" in summary(content(tmp_path, **some), None)


def test_a_run_that_keeps_no_files_says_how_to_keep_them(tmp_path):
    assert "--output_path results --log_samples" in summary(content(tmp_path), None)


def test_what_lm_eval_says_of_every_task_is_left_out_and_nothing_else(caplog):
    logger = logging.getLogger("lm_eval.evaluator_utils")
    with quiet():
        logger.warning("[x] No aggregation function defined for metric y. Using mean.")
        logger.warning("something else")
    assert [record.getMessage() for record in caplog.records] == ["something else"]
    logger.warning("[x] No aggregation function defined for metric y. Using mean.")
    assert len(caplog.records) == 2
