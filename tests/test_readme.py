"""The README's own example runs as it stands, and what the pages name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("lm_eval_tts/**/*.md")]


def test_the_example_strategy_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(compile(code, "README.md", "exec"), {})
    assert "[(52,), (52,), (52,)]" in capsys.readouterr().out


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
