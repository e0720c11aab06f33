"""The README's own strategy runs as it stands, and what the pages name is there."""

import json
import re
import shlex
import sys
from pathlib import Path

import forked
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)  # a strategy, and how to try it out
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("lm_eval_tts/**/*.md")]


@pytest.fixture
def draft(tmp_path: Path, monkeypatch) -> Path:
    """The folder of somebody who has saved the README's strategy as draft.py."""
    (tmp_path / "draft.py").write_text(BLOCKS[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("draft", None)


def test_the_example_strategy_runs_without_a_model(draft: Path, capsys):
    exec(compile(BLOCKS[1], "README.md", "exec"), {})
    assert "x = 4\n\nThe answer is 4 Cost(num_engine_calls=4" in capsys.readouterr().out


@pytest.mark.slow
def test_the_example_strategy_runs_through_lm_eval_by_its_name(draft: Path):
    (command,) = re.findall(r"^lm_eval (.* strategy=draft\.py:.*)$", README, re.M)
    more = ["--limit", "3", "--log_samples", "--output_path", "out"]
    done = forked.run("lm_eval", *shlex.split(command), *more)
    assert done.returncode == 0, done.stderr[-3000:]
    (samples,) = draft.glob("out/**/samples_arith_cot_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    assert ["\n\nThe answer is " in row["resps"][0][0] for row in rows] == [True] * 3
    assert [row["engine_calls"] for row in rows] == [1 + 5] * 3


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_file_that_a_page_names_is_there(page: Path):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\]\(([\w/.-]+)\)", text):
        assert (page.parent / name).exists(), name
    for name in re.findall(r"scripts/\w+\.py", text):
        assert (ROOT / name).exists(), name


def test_the_file_tree_is_the_real_one():
    for name in re.findall(r"^  (\w+)(?:\.py|/) ", README, re.M):
        assert list((ROOT / "lm_eval_tts").glob(f"{name}*")), name


def test_every_strategy_and_its_settings_are_in_the_table():
    """A row has what its strategy adds; what several share is somewhere in its section."""
    from dataclasses import fields

    from lm_eval_tts.strategies import BUILT_IN, find_strategy

    page = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    section = page.split("\n## ")[0]
    for name in BUILT_IN:
        (row, *_) = re.findall(rf"^\| `{name}` \|.*$", section, re.M)
        kind = find_strategy(name)
        for field in fields(kind):
            where = row if field.name in kind.__annotations__ else section
            assert f"`{field.name}`" in where, (name, field.name)
