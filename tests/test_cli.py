"""The package's own command: its subcommands, their exit codes and what they print."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import forked
import pytest
import yaml
from results_helpers import scored, write_run

import lm_eval_tts
from lm_eval_tts.cli import app, main
from lm_eval_tts.grading import GRADER_VERSION

GOOD, BAD = [1] * 60 + [0] * 40, [1] * 30 + [0] * 70


@pytest.fixture
def results(tmp_path) -> Path:
    write_run(tmp_path / "results" / "a", scored(GOOD), model_args={"pretrained": "a"})
    write_run(tmp_path / "results" / "b", scored(BAD), model_args={"pretrained": "b"})
    return tmp_path / "results"


def test_every_subcommand_is_in_the_help(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert f" {name} " in said
        if name == "run":  # its help is lm_eval's
            continue
        assert main([name, "--help"]) == 0
        help_text = " ".join(capsys.readouterr().out.split())
        assert command.callback.__doc__[:30] in help_text
        assert f"Example: lm-eval-tts {name}" in help_text


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        ("lm-eval-tts le", "leaderboard"),
        ("lm-eval-tts run --model tts-v", "tts-vllm"),
        ("lm-eval-tts run --model tts-hf --tasks arith_bo", "arith_bon"),
        ("lm-eval-tts run --tasks arith_r1,arith_bo", "arith_r1,arith_bon"),
        ("lm-eval-tts run --tasks arith_bon,arith_bo", ""),
        ("lm-eval-tts show arith_bo", "arith_bon"),
    ],
)
def test_the_shell_completes_commands_models_and_tasks(monkeypatch, capsys, words, offers):
    monkeypatch.setenv("_LM_EVAL_TTS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.strip() == offers


@pytest.mark.parametrize("ending", ["html", "md", "csv", "json"])
def test_one_command_goes_from_folders_to_a_file(results, tmp_path, ending, capsys):
    out = tmp_path / "new" / f"board.{ending}"
    assert main(["leaderboard", str(results / "a"), str(results / "b"), "-o", str(out)]) == 0
    assert "toy" in out.read_text(encoding="utf-8")
    assert f"wrote {out}" in capsys.readouterr().err


def test_a_broken_file_is_named_the_others_are_shown_and_the_code_is_2(results, capsys):
    (results / "b" / "results_2026-02-01T00-00-00.0.json").write_text("{")
    assert main(["leaderboard", str(results)]) == 2
    said = capsys.readouterr()
    assert "not JSON" in said.err
    assert "| 1 | a | cot |" in said.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["leaderboard", "/nowhere"], "there is no such file or folder"),
        (["leaderboard", "RESULTS", "-o", "board.pdf"], "allowed: csv, html, json, md"),
        (["leaderboard", "RESULTS", "-o", "/proc/none/b.md"], "cannot be written"),
        (["leaderboard", "RESULTS", "--metric", "acc"], "no task in it has metric 'acc'"),
        (["curve", "/nowhere"], "there is no such file or folder"),
        (["compare", "RESULTS", "/nowhere"], "there is no such file or folder"),
        (["compare", "RESULTS", "RESULTS"], "several setups ran toy_cot"),
        (["gate", "RESULTS/a", "--baseline", "/nowhere/b.json"], "write it with --update"),
        (["gate", "RESULTS/a", "--baseline", "b.json", "--margin", "x=1"], "unknown check 'x'"),
    ],
)
def test_errors_of_users_are_one_line_and_the_code_is_2(results, arguments, message, capsys):
    arguments = [a.replace("RESULTS", str(results)) for a in arguments]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_the_gate_answers_by_its_exit_code_and_leaves_reports(results, tmp_path, capsys):
    baseline, junit = str(tmp_path / "base.json"), tmp_path / "junit.xml"
    gate = ["gate", "--baseline", baseline]
    assert main([*gate, str(results / "a"), "--update"]) == 0
    assert main([*gate, str(results / "a")]) == 0
    assert main([*gate, str(results / "b"), "--junit", str(junit)]) == 1
    assert "worse by 30.0 points" in capsys.readouterr().out
    assert "<failure" in junit.read_text()
    write_run(tmp_path / "few", scored(GOOD[:50]))
    assert main([*gate, str(tmp_path / "few")]) == 2


def test_curve_and_compare_print_tables(results, capsys):
    assert main(["curve", str(results), "--join"]) == 0
    assert "## toy: all runs" in capsys.readouterr().out
    assert main(["compare", str(results / "a"), str(results / "b")]) == 0
    assert "B is worse by 30.0 points" in capsys.readouterr().out


def test_reading_results_imports_neither_torch_nor_lm_eval(results):
    code = (
        "import sys; from lm_eval_tts.cli import main; "
        f"main(['compare', {str(results / 'a')!r}, {str(results / 'b')!r}]); "
        "assert not {'torch', 'transformers', 'lm_eval'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_trial_is_not_compared_where_a_larger_run_is_there(results, capsys):
    write_run(results / "b", scored([1, 1]), model_args={"pretrained": "b"}, day=2)
    assert main(["compare", str(results / "a"), str(results / "b")]) == 0
    said = capsys.readouterr()
    assert "toy: 100 problems" in said.out
    assert "a larger (100) run of toy_cot of b is shown" in said.err


def test_run_hands_everything_to_lm_eval(monkeypatch):
    import lm_eval.__main__

    given = []
    monkeypatch.setattr(lm_eval.__main__, "cli_evaluate", lambda: given.extend(sys.argv))
    monkeypatch.setattr(sys, "argv", ["lm-eval-tts"])
    assert main(["run", "--model", "tts-hf", "--tasks", "arith_r1", "--help"]) == 0
    assert given == ["lm_eval", "--model", "tts-hf", "--tasks", "arith_r1", "--help"]


def test_python_m_is_the_same_command():
    command = [sys.executable, "-m", "lm_eval_tts", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == lm_eval_tts.__version__


@pytest.mark.slow
def test_the_gate_judges_two_recorded_runs_in_both_directions(tmp_path, shared_data):
    """Phi-4-mini's answers without a wait (43 %) and after five (36 %), graded by our tasks."""
    recorded = shared_data.parent / "recorded"
    if not recorded.is_dir():
        pytest.skip("recorded runs (../shared/recorded) are not on this machine")
    for name in ("ZeroShot", "Wait_5"):
        command = [
            "lm_eval", "--model", "tts-replay", "--tasks", "math500_zeroshot",
            "--model_args", f"path={recorded / f'math500_PhiBF-{name}.jsonl'}",
            "--output_path", str(tmp_path / name), "--log_samples",
        ]  # fmt: skip
        forked.run(*command, LM_EVAL_TTS_DATA=str(shared_data)).check_returncode()
    base = str(tmp_path / "base.json")
    for old, new, code in (("ZeroShot", "Wait_5", 1), ("Wait_5", "ZeroShot", 0)):
        assert main(["gate", str(tmp_path / old), "--baseline", base, "--update"]) == 0
        assert main(["gate", str(tmp_path / new), "--baseline", base]) == code
        assert main(["gate", str(tmp_path / old), "--baseline", base]) == 0
    content = json.loads(Path(base).read_text(encoding="utf-8"))
    assert content["tasks"]["math500_zeroshot"]["fingerprint"]["grader version"] == str(
        GRADER_VERSION
    )


@pytest.mark.parametrize("name", ["gate.yml", "test_gate.py"])
def test_the_examples_use_arguments_that_exist(name, capsys):
    text = (Path(__file__).parents[1] / "docs" / "examples" / name).read_text(encoding="utf-8")
    for option in ("--baseline", "--margin"):
        assert option in text
    if name.endswith(".yml"):
        steps = yaml.safe_load(text)["jobs"]["gate"]["steps"]
        (gate,) = [s["run"] for s in steps if "lm-eval-tts gate" in s.get("run", "")]
        arguments = shlex.split(gate)[1:]
        assert "--baseline baselines/arith.json" in gate
        assert main(arguments) == 2  # of what is not there, not of an argument
        assert "no such file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(("scores", "outcome"), [(GOOD, "1 passed"), (BAD, "1 failed")])
def test_the_pytest_example_passes_and_fails(results, tmp_path, scores, outcome):
    baseline = tmp_path / "base.json"
    main(["gate", str(results / "a"), "--baseline", str(baseline), "--update"])
    write_run(tmp_path / "now", scored(scores), model_args={"pretrained": "a"})
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    script = bin_folder / "lm-eval-tts"
    code = "import sys\nfrom lm_eval_tts.cli import main\nsys.exit(main())\n"
    script.write_text(f"#!{sys.executable}\n{code}", encoding="utf-8")
    script.chmod(0o755)
    env = {**os.environ, "RESULTS": str(tmp_path / "now"), "BASELINE": str(baseline)}
    env["PATH"] = f"{bin_folder}{os.pathsep}{env['PATH']}"
    example = Path(__file__).parents[1] / "docs" / "examples" / "test_gate.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(example)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert outcome in done.stdout


def test_a_task_that_cannot_be_loaded_is_one_line(monkeypatch, capsys):
    def load(self, tasks):
        raise ConnectionError("the Hub is not there")

    monkeypatch.setattr("lm_eval.tasks.TaskManager.load", load)
    assert main(["show", "arith_cot"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "arith_cot cannot be loaded: ConnectionError: the Hub is not there" in said
