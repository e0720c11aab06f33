"""Finished runs as tidy tables: in Python, as CSV, as Parquet."""

import csv

import pandas as pd
import pytest
from results_helpers import sample, write_run

from lm_eval_tts import runs_df, samples_df
from lm_eval_tts.cli import main
from lm_eval_tts.errors import DataError


@pytest.fixture
def results(tmp_path):
    rows = []
    for i in range(6):
        more = {"exact_match": float(i < 3), "exact_match@16": float(i < 1)}
        more |= {"thinking_tokens@16": 16.0, "sampled_tokens@16": 20.0, "sampled_tokens": 50.0}
        answered = {"points": {"16": "1"}, "point_texts": {"16": [7, "1"]}}
        row = sample(i, answered=answered, **more)
        row["metrics"].remove("answered")
        rows.append(row)
    write_run(tmp_path / "a", rows, model_args={"pretrained": "a", "peft": "x"})
    stock = [{**sample(i), "metrics": ["exact_match"]} for i in range(6)]
    write_run(tmp_path / "b", stock, model="hf", model_args={"pretrained": "b"})
    return tmp_path


def test_a_run_and_each_point_of_it_is_a_row(results):
    frame = runs_df(results)
    assert list(frame[["checkpoint", "point", "accuracy"]].itertuples(index=False, name=None)) == [
        ("b", "", 1.0), ("a", "", 0.5), ("a", "16", pytest.approx(1 / 6)),
    ]  # fmt: skip
    at = frame[frame.point == "16"].iloc[0]
    assert (at.sampled_tokens, at.thinking_tokens, at.adapter) == (20, 16, "x")
    assert at.low < at.accuracy < at.high
    assert pd.isna(at[["format_strict", "engine_calls", "total_tokens", "fronts"]]).all()
    assert {"date", "weights_dtype", "num_parameters", "versions"} <= set(frame)
    assert at.date == "1970-01-01"


def test_a_document_and_each_point_of_it_is_a_row(results):
    frame = samples_df([results / "a"])
    assert len(frame) == 12
    means = frame.groupby("point").score.mean()
    assert means[""] == 0.5
    assert means["16"] == pytest.approx(1 / 6)
    at = frame[(frame.point == "16") & (frame.document == "q0")].iloc[0]
    assert at.response == "<think>1"
    assert (at.answer, at.sampled_tokens) == ("1", 20)


@pytest.mark.parametrize("options", [[], ["--samples"]])
def test_both_files_have_what_the_frames_have(results, tmp_path, options):
    frame = samples_df(results) if options else runs_df(results)
    for ending in ("csv", "parquet"):
        out = tmp_path / f"table.{ending}"
        assert main(["export", str(results), *options, "-o", str(out)]) == 0
    read = pd.read_parquet(out)
    assert list(read) == list(frame)
    pd.testing.assert_frame_equal(read, frame, check_dtype=False)
    with out.with_suffix(".csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["point"] for row in rows] == list(frame.point)


def test_a_text_that_no_encoding_has_is_written_out(tmp_path):
    write_run(tmp_path, [sample(0, resps=[["half of a pair: \ud83d"]])])
    for ending in ("csv", "parquet"):
        out = tmp_path / f"table.{ending}"
        assert main(["export", str(tmp_path), "--samples", "-o", str(out)]) == 0
        assert b"half of a pair: \\ud83d" in out.read_bytes()


def test_what_is_not_there_is_named():
    with pytest.raises(DataError, match="no such file or folder"):
        runs_df("/nowhere")
