"""What answered: equal for runs that could only repeat each other."""

import pytest
from results_helpers import scored, write_run

from lm_eval_tts.cli import main
from lm_eval_tts.core.identity import DECIDES
from lm_eval_tts.results.runs import Setup, load_runs


def setup_with(folder, **arguments) -> Setup:
    path = write_run(folder, scored([1, 0]), model_args={"pretrained": "base", **arguments})
    return load_runs([path]).runs[0].setup


@pytest.mark.parametrize("name", [name for name, deciding in DECIDES.items() if not deciding])
def test_runs_that_differ_in_where_or_how_fast_they_ran_are_of_one_setup(tmp_path, name):
    assert setup_with(tmp_path / "a", **{name: 2}) == setup_with(tmp_path / "b")


@pytest.mark.parametrize("name", [*(name for name, deciding in DECIDES.items() if deciding), "new"])
def test_runs_that_differ_in_what_decides_are_of_two_setups(tmp_path, name):
    first, second = (setup_with(tmp_path / value, **{name: value}) for value in "ab")
    if name not in ("path", "model"):  # of recordings and servers: here pretrained names it
        assert first != second


@pytest.mark.parametrize("name", ["path", "model"])
def test_recordings_and_served_models_are_known_by_their_names(tmp_path, name):
    setups = [setup_with(tmp_path / value, pretrained=None, **{name: value}) for value in "ab"]
    assert [setup.checkpoint for setup in setups] == ["a", "b"]


def test_what_a_recording_was_asked_is_not_what_its_task_asks(tmp_path):
    path = write_run(tmp_path, scored([1, 0]), model="tts-replay", model_args={"path": "a.jsonl"})
    setup = load_runs([path]).runs[0].setup
    assert (setup.strategy, setup.prompt_style, setup.settings) == ("recorded", None, ())


def test_an_adapter_is_one_whatever_its_argument_is_called(tmp_path):
    hf = setup_with(tmp_path / "a", peft="lora")
    assert hf == setup_with(tmp_path / "b", lora_local_path="lora")
    assert hf.weights() == "base + lora"


def test_a_folder_of_equal_runs_on_other_devices_can_be_compared(tmp_path, capsys):
    for day, devices in enumerate((1, 2, 8), 1):
        arguments = {"pretrained": "base", "data_parallel_size": devices, "max_failures": devices}
        write_run(tmp_path / "a", scored([1, 0]), day=day, model_args=arguments)
    write_run(tmp_path / "b", scored([1, 1]), model_args={"pretrained": "other"})
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "- A: base (cot, single)" in capsys.readouterr().out
