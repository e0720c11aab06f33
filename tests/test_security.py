"""What must never run: model output, pickles, remote code unasked, files of the working folder."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lm_eval_tts
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness import names
from lm_eval_tts.harness.preflight import refuse_secrets

PACKAGE = Path(lm_eval_tts.__file__).parent
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_NAMES = {"pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"}
FORBIDDEN_ATTRIBUTES = {
    ("torch", "load"),
    ("yaml", "load"),
    ("yaml", "unsafe_load"),
    ("os", "system"),
}


def offences(tree: ast.AST) -> list[str]:
    """What a file does of the things that run data as code."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found += [node.func.id] if node.func.id in FORBIDDEN_CALLS else []
        if isinstance(node, ast.Call):
            found += [
                f"{word.arg}=True"
                for word in node.keywords
                if word.arg in ("shell", "trust_remote_code")
                and isinstance(word.value, ast.Constant)
                and word.value.value
            ]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            pair = (node.value.id, node.attr)
            found += [".".join(pair)] if pair in FORBIDDEN_ATTRIBUTES else []
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [n for n in names if n.partition(".")[0] in FORBIDDEN_NAMES]
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("**/*.py")), ids=lambda path: path.name)
def test_nothing_runs_data_as_code(path):
    assert offences(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    [
        "eval(x)",
        "import pickle",
        "torch.load(p)",
        "f(trust_remote_code=True)",
        "from dill import y",
    ],
)
def test_the_scan_finds_what_it_looks_for(code):
    assert offences(ast.parse(code))


def test_no_file_of_the_working_folder_takes_the_place_of_the_hook_or_the_tasks(tmp_path):
    """`python -m` puts the working folder first on the path; the hook was loaded before."""
    hostile = "print('taken over')"
    (tmp_path / "lm_eval_tts.py").write_text(hostile)
    (tmp_path / "autoload.py").write_text(hostile)
    (tmp_path / "sitecustomize.py").write_text(hostile)
    for folder in ("lm_eval_tts", "task_configs", "lm_eval_tts/models", "lm_eval_tts/task_configs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text(hostile)
    (tmp_path / "lm_eval_tts.pth").write_text(f"import os; {hostile}\n")
    (tmp_path / "probe.py").write_text(
        "import lm_eval_tts.harness.autoload as a, lm_eval_tts.prompts as p\n"
        "from lm_eval_tts.harness.names import task_configs\n"
        "print(a.__file__, p.__file__, task_configs(), sep='\\n')"
    )
    result = subprocess.run(
        [sys.executable, "-m", "probe"], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert result.stdout.splitlines() == [
        str(PACKAGE / "harness" / "autoload.py"),
        str(PACKAGE / "prompts.py"),
        names.task_configs(),
    ], result.stderr


def test_the_hooks_line_names_our_module_and_nothing_else():
    line = (PACKAGE.parent / "lm_eval_tts.pth").read_text()
    assert line.count("import") == 2
    assert "import lm_eval_tts.harness.autoload" in line
    assert set(names.MODELS.values()) == {
        target for target in names.MODELS.values() if target.startswith("lm_eval_tts.models.")
    }


@pytest.mark.parametrize("name", ["token", "api_key", "hf_token", "password", "Authorization"])
def test_a_secret_among_the_arguments_is_refused(name):
    with pytest.raises(SettingsError, match="set it in the environment"):
        refuse_secrets({"pretrained": "x", name: "s3cret"})


@pytest.mark.parametrize(
    "given",
    [
        {"chat_template_args": {"apiKey": "s3cret"}},
        {"metadata": [{"x-api-key": "s3cret"}]},
        {"base_url": "https://host/v1?sig=s3cret"},
        {"base_url": "https://user:s3cret@host/v1"},
        {"journal": "/tmp/x?api_key=s3cret"},
    ],
    ids=str,
)
def test_a_secret_anywhere_in_an_argument_is_refused_and_not_shown(given):
    with pytest.raises(SettingsError, match="set it in the environment") as error:
        refuse_secrets(given)
    assert "s3cret" not in str(error.value)


def test_urls_and_settings_without_secrets_are_taken():
    refuse_secrets({"base_url": "http://host:8000/v1?api-version=3", "eos_token": "</s>"})
    refuse_secrets({"instruction": "why? see http://[", "n": 3, "until": ["?"]})


@pytest.mark.parametrize("name", ["tokenizer", "add_bos_token", "think_end_token", "max_tokens"])
def test_arguments_about_tokens_are_no_secrets(name):
    refuse_secrets({name: "x"})
