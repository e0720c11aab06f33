"""The wheel carries everything that a checkout has: modules, data, task YAML files, the hook.

It is built as from a clone of a public address.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "https://github.com/someone/lm_eval_tts"
# Git takes settings from the environment too.
ORIGIN = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "remote.origin.url",
    "GIT_CONFIG_VALUE_0": f"{ADDRESS}.git",
}

# The tutorials' first run, in one process.
TOUR = """
import sys
import lm_eval_tts
from lm_eval_tts.cli import main

assert "installed" in lm_eval_tts.__file__, lm_eval_tts.__file__
kept = "--output_path results --log_samples"
assert main(["run", *f"--model tts-hf --tasks arith_budget --limit 2 {kept}".split()]) == 0
assert main(["show", "results", "arith-001"]) == 0
assert main(["show", "arith_cot"]) == 0
assert main(["leaderboard", "results", "-o", "board.html"]) == 0
assert main(["curve", "results", "-o", "curve.md"]) == 0
assert main(["export", "results", "--samples", "-o", "samples.csv"]) == 0
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | ORIGIN)
    return next(folder.glob("*.whl"))


def metadata_of(wheel: Path) -> str:
    archive = zipfile.ZipFile(wheel)
    return archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))).decode()


@pytest.mark.slow
def test_the_tour_needs_the_wheel_alone(wheel, tmp_path):
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    done = subprocess.run(
        [sys.executable, "-c", TOUR],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "exact_match" in done.stdout
    assert (tmp_path / "board.html").stat().st_size > 20_000


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package_and_of_the_tasks(wheel):
    have = set(zipfile.ZipFile(wheel).namelist())
    package = {p for p in (ROOT / "lm_eval_tts").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    want = {str(path.relative_to(ROOT)) for path in package}
    tasks = (path for path in (ROOT / "task_configs").rglob("*") if path.is_file())
    want |= {f"lm_eval_tts/{path.relative_to(ROOT)}" for path in tasks}
    assert want | {"lm_eval_tts.pth"} <= have


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone")
def test_an_index_shows_where_the_clone_came_from_and_links_that_lead_there(wheel):
    shown = metadata_of(wheel)
    assert f"Project-URL: Homepage, {ADDRESS}\n" in shown
    assert f"]({ADDRESS}/blob/HEAD/docs/results.md#measured-on-the-tiny-reasoner)" in shown
    assert f"]({ADDRESS}/raw/HEAD/docs/curve.png)" in shown
    assert "](docs/" not in shown
