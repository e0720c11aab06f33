"""The newest pre-release of lm_eval: the same tasks, models, figures and files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from helpers import write_stock_task

NEXT = Path(__file__).parents[1] / "build" / "lm-eval-next"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not NEXT.is_dir(), reason="`make install-test` puts it into build/"),
]


def of_next(*words: object) -> str:
    environment = {**os.environ, "PYTHONPATH": str(NEXT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "could not extend" not in result.stderr
    return result.stdout


def written(output: Path, name: str) -> str:
    (path,) = output.glob(f"**/{name}_*")
    return path.read_text(encoding="utf-8")


def test_a_run_has_the_figures_and_the_responses_of_todays(tmp_path):
    arguments = ["--model", "tts-hf", "--tasks", "arith_budget", "--limit", 8, "--log_samples"]
    table = of_next("-m", "lm_eval", *arguments, "--output_path", tmp_path / "next")
    assert "exact_match@256" in table
    forked.run("lm_eval", *arguments, "--output_path", tmp_path / "today").check_returncode()
    runs = [tmp_path / name for name in ("next", "today")]
    later, today = (json.loads(written(run, "results"))["results"]["arith_budget"] for run in runs)
    figures = {name: value for name, value in today.items() if isinstance(value, float)}
    assert len(figures) > 20
    assert {name: later[name] for name in figures} == pytest.approx(figures)
    lines = [written(run, "samples_arith_budget").splitlines() for run in runs]
    told = [{s["doc_id"]: s["resps"] for s in map(json.loads, some)} for some in lines]
    assert told[0] == told[1]


SCRIPTED = """
import json, sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from lm_eval_tts.models.scripted import ScriptedLM

def write(text, seed):
    if text.endswith("<answer>"):  # an answer that is asked for early
        return "five</answer>" if "I see." in text else "six</answer>"
    return ("" if "<think>" in text else "<think>") + "I see.</think>\\n<answer>five</answer>"

manager = TaskManager(include_path=sys.argv[1], include_defaults=False)
for settings in json.loads(sys.argv[2]):
    found = simple_evaluate(
        ScriptedLM(write),
        tasks=["said"],
        task_manager=manager,
        gen_kwargs=settings,
        bootstrap_iters=0,
    )
    print(json.dumps([found["results"]["said"], found["samples"]["said"]]))
"""


DRAWN = {"strategy": "self_consistency", "n": 4, "do_sample": True, "temperature": 1.0}
BUDGETS = {"strategy": "budget", "max_thinking_tokens": [2, 40], "prompt_style": "r1"}


def test_a_tasks_metric_is_told_at_points_and_of_samples(tmp_path):
    rows = [{"q": "Say it.", "a": "five"}, {"q": "Say six.", "a": "seven"}]
    how = {"delimiters": "think", "until": []}
    write_stock_task(tmp_path, "said", rows, doc_to_text="{{q}}", generation_kwargs=how)
    said = of_next("-c", SCRIPTED, tmp_path, json.dumps([BUDGETS, DRAWN])).splitlines()
    lines = [line for line in said if line.startswith("[{")]
    at_points = {"exact_match@2": 0, "exact_match@40": 0.5}
    of_samples = {"maj@4": 0.5, "pass@4": 0.5, "avg@4": 0.5}
    for line, told in zip(lines, (at_points, of_samples), strict=True):
        results, samples = json.loads(line)
        assert results["exact_match,none"] == 0.5
        assert {name: results[f"{name},none"] for name in told} == told
        assert [sample["answered"]["answer"] for sample in samples] == ["five", "five"]
        assert results["failed,none"] == 0
