"""The pictures of the documentation come from a script."""

import sys

import pictures
import pytest
from results_helpers import sample, write_run

PNG = b"\x89PNG"


@pytest.mark.slow
@pytest.mark.usefixtures("chromium")
def test_both_pictures_are_drawn_from_runs(tmp_path, monkeypatch):
    rows = [sample(i, exact_match=i % 2, sampled_tokens=20.0) for i in range(8)]
    write_run(tmp_path / "results", rows)
    write_run(tmp_path / "more", rows, model_args={"pretrained": "other"})
    words = [tmp_path / "results", "--also", tmp_path / "more", "--output", tmp_path]
    monkeypatch.setattr(sys, "argv", ["pictures.py", *map(str, words)])
    pictures.main()
    for name in ("curve.png", "leaderboard.png"):
        assert (tmp_path / name).read_bytes().startswith(PNG)
