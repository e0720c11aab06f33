"""The documentation: what follows from the code is current, and its commands are right.

Commands that need no download are run. Of those for tts-hf that do, all is checked up to the
loading of the model. For all others WHY_NOT says why they are not run.
"""

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import forked
import pytest
from helpers import no_model_and_one_index
from results_helpers import scored, write_run

from lm_eval_tts.cli import main
from lm_eval_tts.harness.names import task_configs

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("lm_eval", "lm-eval-tts", "python", "make", "pip", "pre-commit", "vllm", "ray")
PROGRAMS += ("llama-server",)
LONG = "minutes, a checkpoint or a data set; tests/scripts has the recipes, small"
SERVERS = "vLLM or a server: `make test-vllm`, tests/engines/server; docs/scaling.md says what ran"
WHY_NOT = {
    r"^(make|pip|pre-commit) ": "the CI's own steps, or an installation",
    r"^(vllm|llama-server|ray) |--model (tts-vllm|tts-openai)": SERVERS,
    r"^python scripts/": LONG,
    r"strategy=draft.py": "tests/test_readme.py runs it",
    r"^lm-eval-tts doctor": "tests/harness/test_doctor.py",
    r"<[a-z]|\.\.\.": "a pattern, not a command",
}
NEEDS_A_DOWNLOAD = r"pretrained=(Qwen|simplescaling|models/)"


def commands(page: Path) -> list[str]:
    """The commands in a page's blocks, lines that go on joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fence, lines = None, []
    for line in text.splitlines():
        if line.strip().startswith("```"):
            fence = line.strip()[3:] or "shell" if fence is None else None
        elif fence in ("shell", "bash") or (fence is None and line.startswith("    ")):
            lines.append(" ".join(line.split("  #")[0].split()))
    return [line for line in lines if line.split(" ")[0] in PROGRAMS]


COMMANDS = sorted({line for page in PAGES for line in commands(page)})
LEFT_OUT = {line for line in COMMANDS if any(re.search(p, line) for p in WHY_NOT)}
DOWNLOADS = {c for c in COMMANDS if re.search(NEEDS_A_DOWNLOAD, c)} - LEFT_OUT
READING = [c for c in COMMANDS if c.startswith("lm-eval-tts ")]
SMALL = [c for c in COMMANDS if c not in LEFT_OUT | DOWNLOADS and c not in READING]
RUN = [c for c in SMALL if not any(other.startswith(f"{c} ") for other in SMALL)]


def test_pages_that_follow_from_the_code_are_current():
    from reference_docs import pages

    for path, text in pages().items():
        assert path.read_text(encoding="utf-8") == text, f"python scripts/reference_docs.py: {path}"


def test_there_are_commands_of_each_kind_and_every_reason_is_needed():
    assert len(RUN) >= 2
    assert len(READING) >= 8
    assert len(DOWNLOADS) >= 3
    for pattern in WHY_NOT:
        assert any(re.search(pattern, line) for line in COMMANDS), pattern


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """The folder of somebody who has run the commands above."""
    for name, scores in (("base", [1, 0] * 30), ("grpo", [1, 1] * 30)):
        rows = scored(scores)
        rows[3]["doc"]["id"] = "arith-003"
        write_run(tmp_path / "results" / name, rows, model_args={"pretrained": name})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", [line for line in READING if line not in LEFT_OUT])
def test_a_command_that_reads_results_does_what_the_page_says(finished, line, capsys):
    _, *words = shlex.split(line)
    if words[0] == "show" and not words[1].startswith("results"):
        assert words[1] in {path.stem for path in Path(task_configs()).glob("*/*.yaml")}
        return  # tests/results/test_show.py shows one
    if words[0] == "gate":
        shutil.rmtree(finished / "results" / "base")
        main([*words, "--update"] if "--update" not in words else words)
    assert main(words) == 0, capsys.readouterr().err


def test_a_command_for_a_large_model_is_right_up_to_its_loading(tmp_path, monkeypatch):
    class Reached(BaseException):
        pass

    def load(*args, **kwargs):
        raise Reached

    monkeypatch.chdir(tmp_path)
    with no_model_and_one_index(load):
        for line in sorted(DOWNLOADS):
            monkeypatch.setattr(sys, "argv", ["lm-eval-tts"])
            with pytest.raises(Reached):
                main(["run", *shlex.split(line)[1:]])


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory) -> Path:
    """The folder of the tutorial on an own task, made of its page."""
    folder = tmp_path_factory.mktemp("tutorial")
    page = (ROOT / "docs" / "tutorials.md").read_text(encoding="utf-8")
    (folder / "tasks").mkdir()
    for kind, name in (("yaml", "my_sums.yaml"), ("json", "sums.jsonl")):
        (text,) = re.findall(rf"```{kind}\n(.*?)```", page, re.S)
        text = text.replace("BASE", f"{task_configs()}/_base")
        (folder / "tasks" / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("line", RUN)
def test_a_command_that_needs_no_download_runs(line, tutorial, monkeypatch):
    monkeypatch.chdir(tutorial)
    program, *words = shlex.split(line)
    if program == "python":
        done = forked.run(write_script(tutorial, words))
    else:
        done = forked.run(program, *words, "--limit", 2 if "my_sums" not in line else 1)
    assert done.returncode == 0, done.stderr[-2000:]
    if "my_sums" in line:
        assert "my_sums: exact_match 100.0 %" in done.stdout


def write_script(folder: Path, words: list[str]) -> Path:
    """`python -c code` as a file."""
    assert words[0] == "-c"
    (folder / "script.py").write_text(words[1], encoding="utf-8")
    return folder / "script.py"


@pytest.mark.slow
def test_the_notebook_and_the_python_of_the_tutorials_run(tmp_path):
    cells = json.loads((ROOT / "docs" / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    page = (ROOT / "docs" / "tutorials.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.S)
    script = tmp_path / "tour.py"
    script.write_text("\n".join([*code, block, "print(len(curve), len(wrong))"]), encoding="utf-8")
    done = forked.run(script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    points, wrong = map(int, done.stdout.split("\n")[-2].split())
    assert points == 5
    assert 0 <= wrong <= 6


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path):
    pytest.importorskip("material", reason="the site needs the extra: pip install '.[docs]'")
    pytest.importorskip("mkdocstrings", reason="the site needs the extra: pip install '.[docs]'")
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")
    command = ["build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = forked.run("mkdocs", *command, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    api = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    assert "samples_df" in api
