"""The changes that CONTRIBUTING.md describes, made as it says in a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", re.S)  # the file, and what goes there
TRY = """
import json, sys
from lm_eval.tasks import TaskManager
from lm_eval_tts import Job, Request, ScriptedEngine, run
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.strategies import find_strategy

names = TaskManager(include_path=task_configs(), include_defaults=False).all_tasks
request = Request(tuple(b"2+2?"), 50, lambda t: tuple(t.encode()), lambda i: bytes(i).decode())
lengths = iter([5, 2, 9, 2])
engine = ScriptedEngine(lambda text, seed: "x" * next(lengths))
(result,) = run([Job(find_strategy("shortest")().run(request), 0)], engine)
print(json.dumps([task_configs(), result.value.num_tokens(), names]))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project with the changes made; checkpoints are not copied."""
    for name in ("lm_eval_tts", "task_configs", "scripts"):
        ignored = shutil.ignore_patterns("arith-*", "world-*", "__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name, text in BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{text}" if name.startswith("task_configs") else text)
    return tmp_path


@pytest.mark.slow
def test_a_strategy_and_a_benchmark_are_there_after_what_the_page_says(copy: Path):
    environment = {**os.environ, "PYTHONPATH": str(copy)}

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, cwd=copy, env=environment
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    python("scripts/make_tasks.py")
    folder, num_tokens, names = json.loads(python("-c", TRY).splitlines()[-1])
    assert folder == str(copy / "task_configs")
    assert num_tokens == 2
    assert {"arith_shortest", "sums_budget", "sums_shortest", "tts_sums"} <= set(names)
