"""How a stock lm_eval finds the package: in new processes, since it happens at start-up."""

import importlib
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import lm_eval_tts
from lm_eval_tts.harness import autoload
from lm_eval_tts.harness.names import MODELS

CHECK = """
import lm_eval.models, lm_eval.tasks
from lm_eval.api.registry import model_registry

def tell(**arguments):
    manager = lm_eval.tasks.TaskManager(**arguments)
    print("tts-hf" in model_registry, "hf" in model_registry, "aime24_budget" in manager.all_tasks)
    return manager

tell(include_defaults=False)
"""
MORE = """
tell()
own = tell(include_path={folder!r})
print((getattr(own, "task_index", None) or own._task_index)["aime24_budget"].yaml_path.name)
"""


def python(code: str, *flags: str, cwd: Path | None = None, **env: str) -> str:
    result = subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a plain Python says of no default tasks, of all, of all and a user's, and of that."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.yaml").write_text("task: aime24_budget\ndataset_path: mine\n")
    return python(CHECK + MORE.format(folder=str(folder))).splitlines()


@pytest.mark.slow
def test_a_plain_python_finds_models_and_tasks(plain):
    assert plain[1] == "True True True"


def test_the_hook_is_off_by_its_variable():
    assert python(CHECK, LM_EVAL_TTS_DISABLE="1") == "False True False"


@pytest.mark.slow
def test_who_asks_for_no_default_tasks_gets_none_of_ours(plain):
    assert plain[0] == "True True False"


@pytest.mark.slow
def test_a_users_own_task_of_the_same_name_wins(plain):
    assert plain[3] == "mine.yaml"


def test_the_entry_points_are_the_models_that_the_hook_registers():
    found = entry_points(group="lm_eval.models")
    assert {e.name: e.value for e in found if e.name.startswith("tts-")} == MODELS


def test_a_model_name_that_lm_eval_has_is_left_to_it():
    code = (
        "from lm_eval.api.registry import model_registry as r\n"
        "r.register('tts-hf', target='their.own:Model')\n"
        "import lm_eval.models\n"
        "print(r._objs['tts-hf'])"
    )
    assert python(code) == "their.own:Model"


HOOK = {"lm_eval_tts.harness", "lm_eval_tts.harness.autoload", "lm_eval_tts.harness.names"}


def test_start_up_imports_only_the_hook():
    code = "import sys; print(*[m for m in sys.modules if m.split('.')[0] in {!r}])".format(
        ("lm_eval_tts", "lm_eval", "torch", "yaml", "inspect", "importlib.metadata"),
    )
    assert set(python(code).split()) <= {"lm_eval_tts", *HOOK}


def test_a_file_in_the_working_directory_cannot_take_its_place(tmp_path):
    (tmp_path / "lm_eval_tts").mkdir()
    (tmp_path / "lm_eval_tts" / "__init__.py").write_text("print('taken over')")
    (tmp_path / "lm_eval_tts" / "autoload.py").write_text("print('taken over')")
    code = "import lm_eval_tts; print(lm_eval_tts.__file__)"
    assert python(code, cwd=tmp_path) == str(Path(lm_eval_tts.__file__))


def test_an_lm_eval_that_has_changed_is_reported_and_still_works(tmp_path, monkeypatch, capsys):
    (tmp_path / "changed.py").write_text("loaded = True")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(autoload._EXTENDED, "changed", {"make_table": "summarize"})
    autoload.install()
    assert importlib.import_module("changed").loaded
    said = capsys.readouterr().err
    assert said.startswith("lm_eval_tts: could not extend changed: ")
    assert "no attribute 'make_table'" in said


def test_broken_json_in_an_argument_is_one_line():
    command = [sys.executable, "-m", "lm_eval", "--model", "tts-hf", "--model_args", '{"a": ']
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    assert "argument --model_args: " in result.stderr.splitlines()[-1]
