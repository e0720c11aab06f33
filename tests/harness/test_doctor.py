"""What doctor finds on this machine and on broken ones."""

import subprocess
import sys

import pytest

from lm_eval_tts.harness import doctor


def findings(check) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"ok": [], "note": [], "fix": []}
    for state, text in check:
        found[state].append(text)
    return found


@pytest.mark.slow
def test_a_working_installation_has_nothing_to_fix(tmp_path):
    command = [sys.executable, "-c", "from lm_eval_tts.cli import main; main()", "doctor"]
    result = subprocess.run(
        [*command, "--output_path", str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    for line in ("lm_eval knows", "tts-hf", "cpu, ", "offline by HF_HUB_OFFLINE", "nothing to fix"):
        assert line in result.stdout


def test_a_version_that_is_too_old_or_missing_has_its_pip_line(monkeypatch):
    monkeypatch.setattr(
        doctor.importlib.metadata, "requires", lambda name: ["transformers>=99", "no-such-dist>=2"]
    )
    fix = findings(doctor.check_versions())["fix"]
    assert any("pip install 'transformers>=99'" in text for text in fix)
    assert any("no-such-dist is missing" in text for text in fix)


def test_a_hook_that_is_switched_off_is_found(monkeypatch):
    monkeypatch.setenv("LM_EVAL_TTS_DISABLE", "1")
    (text,) = findings(doctor.check_discovery())["fix"]
    assert "LM_EVAL_TTS_DISABLE is set" in text


@pytest.mark.parametrize(
    ("make", "state", "says"),
    [
        (lambda folder: None, "fix", "does not exist"),
        (lambda folder: folder.mkdir(), "fix", "has no .jsonl files"),
        (lambda folder: (folder.mkdir(), (folder / "aime24.jsonl").touch()), "ok", "has aime24"),
    ],
)
def test_the_data_folder_is_looked_into(tmp_path, monkeypatch, make, state, says):
    make(tmp_path / "data")
    monkeypatch.setenv(doctor.DATA_VARIABLE, str(tmp_path / "data"))
    (text,) = findings(doctor.check_data())[state]
    assert says in text


def test_a_hub_that_is_not_reached_is_said_quickly(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
    (text,) = findings(doctor.check_hub())["note"]
    assert "is not reached" in text


def test_a_folder_that_cannot_be_written_is_found(tmp_path):
    (tmp_path / "file").write_text("")
    assert "output_path=" in findings(doctor.check_disk(str(tmp_path / "file")))["fix"][0]


def test_what_a_broken_installation_raises_is_a_finding(monkeypatch, capsys):
    def broken():
        raise ImportError("libcudart.so.12: cannot open shared object file")
        yield

    monkeypatch.setattr(doctor, "check_devices", broken)
    ((severity, text),) = doctor._all(broken)
    assert severity == "fix"
    assert "libcudart" in text
