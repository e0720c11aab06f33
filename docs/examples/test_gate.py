"""The gate as a pytest test: put it into your project and name your results and your baseline.

    lm_eval --model tts-hf --model_args pretrained=... --tasks arith_budget --seed 1234 \
        --output_path results --log_samples
    lm-eval-tts gate results --baseline baselines/arith.json --update   # once, then commit it
    RESULTS=results BASELINE=baselines/arith.json pytest test_gate.py
"""

import os
import subprocess

import pytest

RESULTS = os.environ.get("RESULTS", "results")
BASELINE = os.environ.get("BASELINE", "baselines/arith.json")


@pytest.mark.skipif(not os.path.isdir(RESULTS), reason="no results to check: run lm_eval first")
def test_the_model_has_not_become_worse():
    command = ["lm-eval-tts", "gate", RESULTS, "--baseline", BASELINE, "--margin", "accuracy=0.05"]
    gate = subprocess.run(command, capture_output=True, text=True)
    if gate.returncode == 2:
        pytest.skip(f"undecided:\n{gate.stdout}{gate.stderr}")
    assert gate.returncode == 0, gate.stdout
