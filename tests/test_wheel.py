"""The wheel carries everything that a checkout has: modules, data, task YAML files, the hook."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package_and_of_the_tasks(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    have = set(zipfile.ZipFile(wheel).namelist())
    package = {p for p in (ROOT / "lm_eval_tts").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    want = {str(path.relative_to(ROOT)) for path in package}
    tasks = (path for path in (ROOT / "task_configs").rglob("*") if path.is_file())
    want |= {f"lm_eval_tts/{path.relative_to(ROOT)}" for path in tasks}
    assert want | {"lm_eval_tts.pth"} <= have
