"""The README's own example runs as it stands, and its file tree is the real one."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_strategy_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(compile(code, "README.md", "exec"), {})
    assert "[(52,), (52,), (52,)]" in capsys.readouterr().out


def test_every_file_that_the_readme_names_is_there():
    for name in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"^  (\w+)(?:\.py|/) ", README, re.M):
        assert list((ROOT / "lm_eval_tts").glob(f"{name}*")), name
    for name in re.findall(r"scripts/\w+\.py", README):
        assert (ROOT / name).exists(), name


def test_every_strategy_and_its_settings_are_in_the_table():
    """A row has what its strategy adds; what several share is in the section."""
    from dataclasses import fields

    from lm_eval_tts.strategies import STRATEGIES

    section = README.split("## Strategies")[1].split("\n## ")[0]
    for name, kind in STRATEGIES.items():
        (row, *_) = re.findall(rf"^\| `{name}` \|.*$", README, re.M)
        for field in fields(kind):
            where = row if field.name in kind.__annotations__ else section
            assert f"`{field.name}`" in where, (name, field.name)
