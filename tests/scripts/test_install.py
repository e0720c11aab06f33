"""scripts/install.py: what uv is told of pip's settings, and pip where there is no uv."""

import sys

import install
import pytest


def test_uv_is_told_where_pip_finds_packages():
    configuration = "\n".join(
        [
            ":env:.find-links='/wheels /more'",
            "global.find-links='/other'",
            "global.index-url='https://mirror/simple'",
            "global.extra-index-url='file:///a file:///b'",
            "install.constraint='/etc/constraints.txt'",
            "global.timeout='180'",
        ]
    )
    assert install.uv_settings(configuration) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INDEX_URL": "https://mirror/simple",
        "UV_EXTRA_INDEX_URL": "file:///a file:///b",
        "UV_CONSTRAINT": "/etc/constraints.txt",
    }


@pytest.fixture
def commands(monkeypatch):
    """What was run; each command fails whose words are in `fail`."""
    ran, fail = [], set()

    def run(command, **how):
        ran.append(command)
        return int(bool(fail.intersection(command)))

    monkeypatch.setattr(install, "run", run)
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None)
    return ran, fail


def test_uv_is_installed_and_installs_into_the_environment_that_runs_it(commands):
    ran, _ = commands
    assert install.install(["-e", "."]) == 0
    python = sys.executable
    assert ran == [
        [python, "-m", "pip", "install", "-q", "uv"],
        [python, "-m", "uv", "pip", "install", "-q", "--python", python, "-e", "."],
    ]


@pytest.mark.parametrize("missing", ["uv", "--python"])
def test_pip_installs_where_uv_cannot_be_had_or_fails(commands, missing):
    ran, fail = commands
    fail.add(missing)
    assert install.install(["numpy"]) == 0
    assert ran[-1] == [sys.executable, "-m", "pip", "install", "-q", "numpy"]
