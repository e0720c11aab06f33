"""The newest pre-release of lm_eval: the same tasks, models, figures and files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import forked
import pytest

NEXT = Path(__file__).parents[1] / "build" / "lm-eval-next"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not NEXT.is_dir(), reason="`make install-test` puts it into build/"),
]


def of_next(*words: object) -> str:
    environment = {**os.environ, "PYTHONPATH": str(NEXT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "lm_eval", *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def written(output: Path, name: str) -> str:
    (path,) = output.glob(f"**/{name}_*")
    return path.read_text(encoding="utf-8")


def test_a_run_has_the_figures_and_the_responses_of_todays(tmp_path):
    arguments = ["--model", "tts-hf", "--tasks", "arith_budget", "--limit", 8, "--log_samples"]
    table = of_next(*arguments, "--output_path", tmp_path / "next")
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


def test_a_tasks_filter_sees_what_follows_the_thinking(tmp_path):
    (tmp_path / "docs.jsonl").write_text(json.dumps({"q": "Say 4.", "a": "four"}) + "\n")
    task = {
        "task": "said",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "docs.jsonl")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{q}}",
        "doc_to_target": "{{a}}",
        "metric_list": [{"metric": "exact_match"}],
        "generation_kwargs": {"strategy": "budget", "prompt_style": "r1", "until": []},
    }
    task["generation_kwargs"]["max_thinking_tokens"] = 8
    (tmp_path / "said.yaml").write_text(json.dumps(task))  # JSON is YAML
    arguments = ["--model", "tts-hf", "--tasks", "said", "--include_path", tmp_path]
    of_next(*arguments, "--log_samples", "--output_path", tmp_path / "out")
    (sample,) = map(json.loads, written(tmp_path / "out", "samples_said").splitlines())
    ((response,),), (answer,) = sample["resps"], sample["filtered_resps"]
    assert response.startswith("<think>\n")
    assert "<" not in str(answer)
    assert response.endswith(f"<answer>{answer if isinstance(answer, str) else answer[0]}</answer>")
