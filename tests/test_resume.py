"""Real lm_eval runs, killed at random points, end as if nothing had happened."""

import json
import os
from pathlib import Path

import forked
import pytest
from reward_checkpoints import token_classification

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "bench_resume.py"
MODES = ("sampled", "beam", "particle")  # the script knows more
NUM_KILLS = 12  # python scripts/bench_resume.py ... --kills 50


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forked processes")
def test_killed_runs_end_with_the_samples_of_runs_that_were_left_alone(tiny_checkpoint, tmp_path):
    """Greedy, sampled, searching, on one rank and two: only what was under way is repeated."""
    (tmp_path / "prm").mkdir()
    reward_model = token_classification(tmp_path / "prm").path
    figures = tmp_path / "figures.json"
    words = [tiny_checkpoint, "--reward-model", reward_model, "--kills", NUM_KILLS]
    words += ["--modes", *MODES, "--json", figures]
    result = forked.run(SCRIPT, *words, seconds=3000)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    modes = json.loads(figures.read_text())
    assert set(modes) == {f"{m}, ranks: {r}" for m in MODES for r in (1, 2)}
    assert sum(mode["kills"] for mode in modes.values()) == NUM_KILLS
    for name, mode in modes.items():
        assert mode["runs_equal"] == mode["runs_resumed"] > 0, name
        under_way = mode["most_tokens_under_way"] * mode["kills"]
        assert mode["tokens_repeated"] <= under_way, name
        assert (mode["scores_of_a_run"] > 0) == name.startswith(("beam", "particle"))
        assert mode["scores_repeated"] <= mode["most_scores_under_way"] * mode["kills"], name
