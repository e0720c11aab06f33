"""`lm-eval-tts grade`: where two graders differ, what each read."""

import json

import pytest

from lm_eval_tts.cli import main


def test_the_report_shows_both_accuracies_and_the_responses_in_dispute(tmp_path, capsys):
    pytest.importorskip("math_verify")
    rows = [
        {"response": "So it is \\boxed{5}.", "reference": "5"},
        {"response": "The answer is \\boxed{12}. No, wait, that is 2 more.", "reference": "7"},
        {"response": "The answer is yes.", "reference": "yes"},
    ]
    file = tmp_path / "samples.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert main(["grade", "--against", "math-verify", str(file)]) == 0
    report = capsys.readouterr().out
    assert "| 3 responses | right |" in report
    assert "| lm_eval_tts | 66.7% |" in report
    assert "| math-verify | 33.3% |" in report
    assert "Different: 1." in report
    assert "| 3 | yes | yes | right |" in report


def test_a_line_ends_only_where_json_ends_it(tmp_path, capsys):
    pytest.importorskip("math_verify")
    file = tmp_path / "samples.jsonl"
    row = {"response": "One line.\u2028It is \\boxed{5}.", "reference": "5"}
    file.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    assert main(["grade", str(file)]) == 0
    assert "| 1 responses | right |" in capsys.readouterr().out


def test_a_row_without_a_response_is_named(tmp_path, capsys):
    file = tmp_path / "samples.jsonl"
    file.write_text('{"reference": "5"}\n', encoding="utf-8")
    assert main(["grade", str(file)]) != 0
    assert "line 1 of" in capsys.readouterr().err
