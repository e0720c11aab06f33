"""The gate: passed, regressed or undecided, and what it says."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from results_helpers import sample, scored, write_run

from lm_eval_tts.core.metrics import GATED
from lm_eval_tts.errors import DataError, SettingsError
from lm_eval_tts.results import gate
from lm_eval_tts.results.baseline import read_baseline, record_runs, write_baseline
from lm_eval_tts.results.runs import load_runs


def recorded(folder, rows, **changes):
    return record_runs(load_runs([write_run(folder, rows, **changes)]).runs)[0]


def flipped(num_lost: int, num_gained: int, size: int):
    """Scores before and after: `size` documents, some of which flip."""
    before = (
        [1] * num_lost + [0] * num_gained + [i % 2 for i in range(size - num_lost - num_gained)]
    )
    after = [0] * num_lost + [1] * num_gained + before[num_lost + num_gained :]
    return scored(before), scored(after)


def verdict_of(tmp_path, before, after, margins=(), **changes):
    old = recorded(tmp_path / "old", before)
    new = recorded(tmp_path / "new", after, **changes)
    return gate.judge(old, new, gate.read_margins(margins))


@pytest.mark.parametrize(
    ("lost", "gained", "size", "status"),
    [
        (0, 0, 30, "passed"),  # nothing changed
        (5, 5, 500, "passed"),
        (30, 0, 200, "regressed"),
        (4, 2, 30, "undecided"),  # of 30 problems nobody can tell
        (60, 30, 500, "regressed"),
        (25, 25, 500, "passed"),
        (0, 6, 30, "passed"),  # a gain
    ],
)
def test_a_verdict_follows_from_what_flipped(tmp_path, lost, gained, size, status):
    verdict = verdict_of(tmp_path, *flipped(lost, gained, size))
    assert verdict.status == status
    accuracy = next(c for c in verdict.checks if c.name == "accuracy")
    assert accuracy.status == status


def test_a_loss_within_the_margin_passes_and_a_smaller_margin_decides_otherwise(tmp_path):
    before, after = flipped(10, 0, 1000)  # one point, certainly
    assert verdict_of(tmp_path, before, after).status == "passed"
    assert verdict_of(tmp_path, before, after, ["accuracy=0.005"]).status == "regressed"


def test_more_tokens_more_loops_and_a_lost_format_are_regressions(tmp_path):
    before = [sample(i, total_tokens=100.0 + i % 7, format_strict=1.0) for i in range(100)]
    for change in ({"total_tokens": 150.0}, {"loop": 1.0}, {"format_strict": 0.0}):
        after = [
            sample(i, **{"total_tokens": 100.0 + i % 7, "format_strict": 1.0, **change})
            for i in range(100)
        ]
        assert verdict_of(tmp_path, before, after).status == "regressed"
        names = [f"{name}=off" for name in ("tokens", "loops", "format")]
        assert verdict_of(tmp_path, before, after, names).status == "passed"


def test_the_sentence_of_an_undecided_check_says_how_many_problems_would_decide(tmp_path):
    verdict = verdict_of(tmp_path, *flipped(4, 3, 60))
    (check,) = [c for c in verdict.checks if c.name == "accuracy"]
    assert check.status == "undecided"
    assert "60 problems are too few to tell" in check.sentence
    assert "problems would decide at this difference" in check.sentence


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"versions": {"toy_cot": 2.0}}, "task version changed from 1 to 2"),
        ({"n-shot": {"toy_cot": 5}}, "few-shot examples changed from 0 to 5"),
        (
            {"configs": {"toy_cot": {"metadata": {"grader": 2}}}},
            "grader version changed from 1 to 2",
        ),
    ],
)  # fmt: skip
def test_a_changed_task_or_grader_is_named_and_cannot_be_decided(tmp_path, changes, named):
    rows = scored([1, 0] * 20)
    verdict = verdict_of(tmp_path, rows, rows, **changes)
    assert verdict.status == "undecided"
    assert named in verdict.checks[0].sentence


def test_a_changed_model_setting_or_seed_is_named_and_judged(tmp_path):
    rows = scored([1, 0] * 20)
    verdict = verdict_of(
        tmp_path, rows, rows, model_args={"pretrained": "new", "dtype": "float16", "seed": 7}
    )
    assert verdict.status == "passed"
    assert verdict.changes == (
        "toy_cot: checkpoint changed from models/base to new",
        "toy_cot: seed changed from 1234 to 7",
        "toy_cot: dtype changed from none to float16",
    )


def test_missing_problems_and_tasks_cannot_be_decided(tmp_path):
    verdict = verdict_of(tmp_path, scored([1] * 10), scored([1] * 4))
    assert verdict.status == "undecided"
    assert "6 of the baseline's 10 problems are not in this run" in verdict.checks[0].sentence
    old = recorded(tmp_path / "a", scored([1]))
    new = recorded(tmp_path / "b", scored([1]), task="other_cot")
    verdict = gate.judge(old, new, GATED)
    assert verdict.status == "undecided"
    assert verdict.changes == ("other_cot is not in the baseline: not checked",)


def test_a_baseline_is_small_readable_and_comes_back_whole(tmp_path):
    tasks = recorded(tmp_path, scored([1, 0, 0.5], total_tokens=1234.5678))
    path = tmp_path / "baselines" / "toy.json"
    write_baseline(path, tasks)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sum('"q1"' in line for line in lines) == 1  # one line a document
    assert json.loads(path.read_text())["tasks"]["toy_cot"]["fingerprint"]["seed"] == "1234"
    back = read_baseline(path)["toy_cot"]
    assert back.fingerprint == tasks["toy_cot"].fingerprint
    for name, values in tasks["toy_cot"].outcomes.metrics.items():
        assert back.outcomes.metrics[name] == pytest.approx(values)
    assert gate.judge(read_baseline(path), tasks, GATED).status == "passed"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a baseline"),
        ("[]", "is not a baseline"),
        ('{"format": 99}', "has format 99, this version reads 1"),
        ('{"format": 1, "tasks": {"a": {"columns": [], "documents": [[1]]}}}', "a row of a"),
    ],
)  # fmt: skip
def test_a_broken_baseline_is_named(tmp_path, content, message):
    path = tmp_path / "baseline.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_baseline(path)
    with pytest.raises(DataError, match="there is no baseline"):
        read_baseline(tmp_path / "none.json")


@pytest.mark.parametrize("text", ["acuracy=0.1", "accuracy", "accuracy=-1", "accuracy=x"])
def test_a_wrong_margin_is_refused(text):
    with pytest.raises(SettingsError, match="accuracy"):
        gate.read_margins([text])


def test_junit_and_the_step_summary_carry_every_check(tmp_path, monkeypatch):
    verdict = verdict_of(tmp_path, *flipped(30, 0, 200))
    suite = ElementTree.fromstring(gate.verdict_junit(verdict))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    (failure,) = suite.iter("failure")
    assert "worse by 15.0 points" in failure.get("message")
    summary = tmp_path / "summary.md"
    monkeypatch.setenv(gate.SUMMARY_VARIABLE, str(summary))
    gate.append_summary(verdict)
    assert "## Regression gate: regressed" in summary.read_text()
    assert "| regressed | toy_cot | accuracy |" in summary.read_text()


def test_a_run_without_a_change_seldom_alarms_and_a_large_loss_never_passes():
    """A hundred synthetic runs each way; scripts/simulate_gate.py has the rates of thousands."""
    rng = np.random.default_rng(0)
    rule = GATED["accuracy"]
    found = {0.0: [], 0.15: []}
    for loss in found:
        for _ in range(100):
            before = (rng.random(300) < 0.5).astype(float)
            noise = rng.random(300)
            after = np.where(noise < 0.05, 1 - before, before)
            after = np.where((before == 1) & (rng.random(300) < 2 * loss), 0.0, after)
            found[loss].append(gate.decide("accuracy", before, after, rule, 0.05)[0])
    assert found[0.0].count("regressed") <= 8
    assert found[0.15].count("regressed") >= 95
    assert found[0.15].count("passed") == 0
