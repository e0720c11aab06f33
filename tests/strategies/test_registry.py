"""Strategies by name, by place and from packages, and what is said where there is none."""

from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from lm_eval_tts import Strategy
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.settings import parse_settings, take_settings
from lm_eval_tts.strategies import BUILT_IN, Abilities, LogprobKind, find_strategy, registry
from lm_eval_tts.strategies.best_of_n import BestOfN
from lm_eval_tts.strategies.compute_optimal import ComputeOptimal
from lm_eval_tts.strategies.deepconf import DeepConf

FILE = """
from dataclasses import dataclass
from lm_eval_tts import Strategy, Trace

@dataclass(frozen=True)
class Echo(Strategy):
    text: str = "4"
    num_echoes: int = 1

    def run(self, request):
        yield from ()
        return Trace(request.prompt).force(request.encode(self.text * self.num_echoes), "answer")
"""


@pytest.fixture(autouse=True)
def nothing_is_known_beforehand(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_folders", {})
    monkeypatch.setattr(registry, "installed", dict)
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str = FILE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_strategy_has_the_name_of_its_file_and_declares_what_it_needs(name):
    kind = find_strategy(name)
    assert issubclass(kind, Strategy)
    strategy = kind()
    assert strategy.name == name
    assert strategy.needs_reward_model == ("reward" in strategy.score_names)
    assert kind.answers_within_n == (name in registry.names_within_n())


def test_a_file_in_the_current_folder_is_a_strategy_with_its_own_settings(tmp_path):
    write(tmp_path / "echo.py")
    settings = parse_settings({"strategy": "echo.py:Echo", "num_echoes": "2"})
    assert settings.strategy.num_echoes == 2
    assert settings.strategy.name == "echo"
    given = {"strategy": "echo.py:Echo", "num_echoes": 3, "pretrained": "x"}
    assert take_settings(given, frozenset({"pretrained"})).keys() == {"strategy", "num_echoes"}
    with pytest.raises(SettingsError, match="did you mean 'num_echoes'"):
        parse_settings({"strategy": "echo.py:Echo", "num_echos": 2})


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_is_found_in_the_folders_of_the_users_tasks_and_below(tmp_path, below):
    write(tmp_path / "tasks" / below / "echo.py")
    with pytest.raises(SettingsError, match="no such file in"):
        find_strategy("echo.py:Echo")
    registry.search_also([tmp_path / "tasks", tmp_path / "nowhere"])
    assert find_strategy("echo.py:Echo").__name__ == "Echo"


def test_a_file_beside_a_task_that_is_named_by_its_path_is_found(tmp_path):
    write(tmp_path / "tasks" / "echo.py")
    registry.search_also([write(tmp_path / "tasks" / "task.yaml", "")])
    assert find_strategy("echo.py:Echo").__name__ == "Echo"


def test_the_command_looks_for_files_where_its_tasks_are(tmp_path):
    from lm_eval_tts.harness import extensions, guard

    class TaskManager:
        def __init__(self, verbosity=None, include_path=None, include_defaults=True):
            pass

    write(tmp_path / "included" / "echo.py")
    module = SimpleNamespace(__name__="lm_eval.tasks.manager", TaskManager=TaskManager)
    extensions.extend(module, {"TaskManager.__init__": "find_tasks"})
    TaskManager(include_path=str(tmp_path / "included"))
    assert find_strategy("echo.py:Echo")
    write(tmp_path / "named" / "other.py")
    task = write(tmp_path / "named" / "task.yaml", "")
    guard._check(SimpleNamespace(model="tts-hf", tasks=f"arith_cot,{task}"))
    assert find_strategy("other.py:Echo")


def test_of_several_files_of_one_name_none_is_guessed(tmp_path):
    write(tmp_path / "tasks" / "a" / "echo.py")
    write(tmp_path / "tasks" / "b" / "echo.py")
    registry.search_also([tmp_path / "tasks"])
    with pytest.raises(SettingsError, match=r"several files fit .*a/echo\.py, .*b/echo\.py"):
        find_strategy("echo.py:Echo")
    assert find_strategy("b/echo.py:Echo")
    assert find_strategy(f"{tmp_path}/tasks/b/echo.py:Echo") is find_strategy("b/echo.py:Echo")
    with pytest.raises(SettingsError, match="no such file"):
        find_strategy("/nowhere/echo.py:Echo")


def test_a_changed_file_is_read_anew_and_an_unchanged_one_is_the_same_class(tmp_path):
    write(tmp_path / "echo.py")
    first = find_strategy("echo.py:Echo")
    assert find_strategy(f"{tmp_path}/echo.py:Echo") is first
    write(tmp_path / "echo.py", FILE.replace('"4"', '"forty"'))
    assert find_strategy("echo.py:Echo")().text == "forty"


def test_a_module_that_python_can_import_is_one_too(tmp_path, monkeypatch):
    write(tmp_path / "some_package" / "echo.py")
    with pytest.raises(SettingsError, match="ModuleNotFoundError: No module named 'some_package'"):
        find_strategy("some_package.echo:Echo")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_strategy("some_package.echo:Echo")().num_echoes == 1


def test_a_name_is_never_looked_for_in_the_current_folder(tmp_path):
    write(tmp_path / "budget.py", "raise SystemExit('imported')")
    assert find_strategy("budget").__module__ == "lm_eval_tts.strategies.budget"
    with pytest.raises(SettingsError, match="unknown strategy 'echo'"):
        find_strategy("echo")


def test_an_installed_package_brings_strategies_and_a_broken_one_costs_a_warning(
    tmp_path, monkeypatch, caplog
):
    write(tmp_path / "echo_package.py")
    monkeypatch.syspath_prepend(tmp_path)
    points = {
        "echo": EntryPoint("echo", "echo_package:Echo", registry.GROUP),
        "broken": EntryPoint("broken", "no_such_package:X", registry.GROUP),
    }
    monkeypatch.setattr(registry, "installed", lambda: points)
    assert parse_settings({"strategy": "echo", "text": "5"}).strategy.text == "5"
    parse_settings({"strategy": "single", "num_echoes": 2})
    assert "num_echoes=2 has no effect with strategy 'single'" in caplog.text
    assert "strategy='broken' cannot be imported" in caplog.text
    with pytest.raises(SettingsError, match="did you mean 'echo'"):
        find_strategy("ecko")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("bugdet", "", r"did you mean 'budget'\? .*, or <file>\.py:<Class>, or <module>:<Class>"),
        ("echo.py:Ecco", "", r"unknown strategy in echo\.py 'Ecco': did you mean 'Echo'\?"),
        ("ecco.py:Echo", "", r"'ecco\.py:Echo': no such file in /"),
        ("echo.py:Trace", "", r"allowed is a subclass of lm_eval_tts\.Strategy"),
        ("echo.py:Echo", "import nothing_of_the_kind", "ModuleNotFoundError: No module named"),
        ("echo.py:Echo", "if:", r"SyntaxError: invalid syntax \(echo\.py, line"),
        ("echo.py:Rest", "class Rest(Strategy): pass", "lacks the method run"),
        ("echo.py:Mine", "class Mine(Echo): more: int = 1", r"write @dataclass\(frozen=True\)"),
        ("echo:", "", "'echo:'"),
        ("not a module:Echo", "", r"allowed are <file>\.py:<Class> and <module>:<Class>"),
    ],
)
def test_what_is_no_strategy_gets_one_clear_line(tmp_path, name, change, message):
    write(tmp_path / "echo.py", FILE + change)
    with pytest.raises(SettingsError, match=message) as caught:
        find_strategy(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "given", "message"),
    [
        ("place: int", {}, "place= is missing: Echo has no default for it"),
        ("place: dict = None", {"place": 1}, "place: a setting of the type .*dict"),
    ],
)
def test_a_setting_that_cannot_be_made_is_said_by_its_name(tmp_path, field, given, message):
    write(tmp_path / "echo.py", FILE.replace('text: str = "4"', f'{field}\n    text: str = "4"'))
    with pytest.raises(SettingsError, match=message):
        parse_settings({"strategy": "echo.py:Echo", **given})


@pytest.mark.parametrize(
    ("strategy", "model", "message"),
    [
        (BestOfN(), Abilities(), "needs a reward model: set reward_model="),
        (
            BestOfN(score_by="self_certainty"),
            Abilities(logprobs=LogprobKind.TOP, name="tts-vllm"),
            r"needs log-probabilities \(vocabulary\), but tts-vllm reports fewer \(top\)",
        ),
        (
            DeepConf(),
            Abilities(logprobs=LogprobKind.NONE, continues=False),
            r"'deepconf' needs log-probabilities \(top\)",
        ),
        (
            DeepConf(warmup=2),
            Abilities(continues=False, name="http://here"),
            "'deepconf' continues a response, but http://here has chat completions only",
        ),
        (ComputeOptimal(), Abilities(reward_model=True), "needs policy_size="),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_strategy_refuses_a_model_that_lacks_what_it_needs(strategy, model, message):
    with pytest.raises(SettingsError, match=message):
        strategy.check_model(model)
    strategy.check_model(Abilities(reward_model=True, policy_size=1.5))
