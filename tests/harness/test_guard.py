"""How a run of the stock command ends: one line, an exit code, and nothing lost."""

import json
import logging
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from lm_eval_tts.errors import DataError, RequestError
from lm_eval_tts.harness import guard
from lm_eval_tts.harness.run_state import RunState

pytestmark = pytest.mark.slow

GEN = "max_thinking_tokens=20,max_answer_tokens=6,max_gen_toks=20"
PROBLEMS = ["What is 2+2?", "Find the sum.", "How many?", "x " * 400]  # the last one does not fit


@pytest.fixture
def run(tiny_checkpoint, tmp_path, monkeypatch, capfd):
    """A function that runs `lm_eval` in this process: (exit code, standard error)."""
    import lm_eval.__main__
    import lm_eval.evaluator
    import lm_eval.utils

    rows = [{"id": i, "problem": p, "answer": i} for i, p in enumerate(PROBLEMS)]
    (tmp_path / "aime24.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("LM_EVAL_TTS_DATA", str(tmp_path))
    monkeypatch.setattr(lm_eval.evaluator, "add_env_info", lambda results: None)  # slow
    monkeypatch.setattr(lm_eval.utils, "_LOGGING_CONFIGURED", False)
    logging.getLogger("lm_eval").handlers.clear()  # one has the standard error of another test

    def run(*more: str, model_args="", task="aime24_budget", out="out", gen=GEN, model="tts-hf"):
        arguments = ["lm_eval", "--model", model, "--tasks", task, "--device", "cpu"]
        arguments += ["--model_args", f"pretrained={tiny_checkpoint}{model_args}", *more]
        arguments += ["--output_path", str(tmp_path / out), "--log_samples", "--gen_kwargs", gen]
        monkeypatch.setattr(sys, "argv", arguments)
        code: object = 0
        try:
            lm_eval.__main__.cli_evaluate()
        except SystemExit as end:
            code = end.code
        return code, capfd.readouterr().err

    return run


def results_of(folder: Path, task: str = "aime24_budget") -> dict:
    (path,) = folder.glob("**/results_*.json")
    return json.loads(path.read_text())["results"][task]


def samples_of(folder: Path) -> list[dict]:
    (path,) = folder.glob("**/samples_*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_a_run_does_not_show_what_nobody_can_use(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = run("--limit", "2")
    assert code == 0
    for noise in ("Loading weights", "not a git repository", "FutureWarning", "Custom kwargs"):
        assert noise not in said


def test_a_request_that_failed_is_counted_as_failed_and_not_as_wrong(run, tmp_path):
    code, _ = run(model_args=",max_failures=0.5")
    assert code == 0
    results = results_of(tmp_path / "out")
    assert results["failed,none"] == 0.25
    assert results["sampled_tokens,none"] > 10  # of the three that were served
    failed = samples_of(tmp_path / "out")[3]
    assert "leaves room for -" in failed["answered"]["failure"]
    assert "exact_match" not in failed
    assert failed["failed"] == 1


def test_lm_eval_writes_halves_of_surrogate_pairs_and_null_within_a_run_of_ours(tmp_path):
    from lm_eval import evaluator
    from lm_eval.loggers import EvaluationTracker, evaluation_tracker

    names = ("doc_hash", "prompt_hash", "target_hash")
    hashes = dict.fromkeys(names, evaluator.hash_string("\ud83d"))
    row = {"resps": [["a \ud83d"]], "filtered_resps": ["\udc00"], "arguments": (("\ud83d", {}),)}
    row |= {"target": "1", "metrics": ["m"], "m": float("nan"), "doc_id": 0, **hashes}
    tracker = EvaluationTracker(output_path=str(tmp_path))
    with guard._around_ours([], None):
        tracker.save_results_aggregated({"results": {"t": {"m": float("inf")}}}, {"t": [row]})
        tracker.save_results_samples("t", [row])
    assert evaluation_tracker.json is json
    (results,) = tmp_path.glob("**/results_*.json")
    assert json.loads(results.read_bytes())["results"]["t"]["m"] is None
    (sample,) = samples_of(tmp_path)
    assert (sample["resps"], sample["m"]) == ([["a \ud83d"]], None)


def test_too_many_failures_are_an_exit_code_after_everything_was_written(run, tmp_path):
    code, err = run()
    assert code == guard.FAILED
    assert "1 of 4 requests failed, more than max_failures=0.1 allows" in last_line(err)
    assert len(samples_of(tmp_path / "out")) == 4
    assert results_of(tmp_path / "out")["failed,none"] == 0.25


def test_where_every_request_failed_there_are_no_figures_and_json_has_null(run, tmp_path):
    code, _ = run("--samples", '{"aime24_budget": [3]}')
    assert code == guard.FAILED
    results = results_of(tmp_path / "out")
    assert results["failed,none"] == 1
    for name in ("exact_match", "answered", "sampled_tokens"):
        assert results[f"{name},none"] is None


def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(run, tmp_path, monkeypatch):
    from lm_eval_tts.engines.hf.engine import HFEngine

    journal = f",max_failures=1,journal={tmp_path / 'journal'}"
    step, steps = HFEngine.step, []

    def interrupted(self):
        steps.append(1)
        if len(steps) == 40:
            signal.raise_signal(signal.SIGINT)
        return step(self)

    monkeypatch.setattr(HFEngine, "step", interrupted)
    code, err = run(model_args=journal)
    assert code == guard.INTERRUPTED
    assert len(steps) <= 41  # at most the step that was under way is finished
    assert "the same command continues there" in last_line(err)
    assert not list((tmp_path / "out").glob("**/*.jsonl"))
    stopped_at = len(steps)
    code, _ = run(model_args=journal)
    assert code == 0
    resumed = len(steps) - stopped_at
    monkeypatch.setattr(HFEngine, "step", step)
    assert run(out="alone", model_args=",max_failures=1")[0] == 0
    assert samples_of(tmp_path / "out") == samples_of(tmp_path / "alone")
    steps.clear()
    monkeypatch.setattr(HFEngine, "step", interrupted)
    assert run(out="again", model_args=journal)[0] == 0
    assert not steps  # all of it was in the journal
    assert resumed > 0


def interrupting(number: int, at: int, steps: list):
    """A step of the engine that a signal reaches once."""
    from lm_eval_tts.engines.hf.engine import HFEngine

    step = HFEngine.step

    def interrupted(self):
        steps.append(1)
        if len(steps) == at:
            signal.raise_signal(number)
        return step(self)

    return interrupted


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)]
)
def test_what_batch_systems_send_ends_a_run_that_the_same_command_goes_on_with(
    run, tmp_path, monkeypatch, number, code
):
    from lm_eval_tts.engines.hf.engine import HFEngine

    steps = []
    with monkeypatch.context() as patched:
        patched.setattr(HFEngine, "step", interrupting(number, 30, steps))
        ended, err = run(model_args=",max_failures=1")
    assert ended == code
    assert len(steps) <= 31
    assert "finished results are in" in last_line(err)
    assert "the same command continues there" in last_line(err)
    assert signal.getsignal(number) == signal.SIG_DFL
    (journal,) = (tmp_path / "out" / "journals").iterdir()
    counted = []
    monkeypatch.setattr(HFEngine, "step", interrupting(number, 0, counted))
    assert run(model_args=",max_failures=1")[0] == 0
    resumed = len(counted)
    assert not journal.parent.exists()  # the run has ended well
    assert run(model_args=",max_failures=1,journal=false", out="alone")[0] == 0
    assert samples_of(tmp_path / "out") == samples_of(tmp_path / "alone")
    assert resumed < len(counted) - resumed


def test_a_run_keeps_a_journal_beside_its_results_until_it_has_ended_well(run, tmp_path):
    assert run()[0] == guard.FAILED  # one of four does not fit
    (journal,) = (tmp_path / "out" / "journals").iterdir()
    code, err = run("--limit", "3")
    assert code == 0
    assert f"journal {journal}: " in err
    assert "finished results taken over" in err
    assert not journal.exists()


def test_runs_that_ask_otherwise_do_not_meet_and_more_points_do(run, tmp_path):
    def journals(**how):
        run(**how)
        return set((tmp_path / "out" / "journals").iterdir())

    first = journals()
    assert len(journals(gen=GEN.replace("max_thinking_tokens=20", "max_thinking_tokens=24"))) == 1
    assert journals(gen=GEN + ",temperature=0.5,do_sample=True") > first
    assert len(journals(model_args=",max_length=400")) == 3
    assert len(journals(model_args=",journal=false,max_length=300")) == 3


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"model_args": ",dtype=bfloat16"}, "dtype was torch.float32, is torch.bfloat16"),
        ({"gen": GEN.replace("20", "21")}, "task aime24_budget: max_gen_toks was 20, is 21"),
        ({"more": ["--seed", "5"]}, "seed was 1234, is 5"),
        ({"model_args": ",max_length=200"}, "max_length was 512, is 200"),
    ],
    ids=["dtype", "strategy", "seed", "context"],
)
def test_the_journal_of_another_run_is_refused_by_name(run, tmp_path, changed, says):
    journal = f",max_failures=1,journal={tmp_path / 'journal'}"
    assert run(model_args=journal)[0] == 0
    model_args = journal + changed.get("model_args", "")
    code, err = run(*changed.get("more", []), model_args=model_args, gen=changed.get("gen", GEN))
    assert code == guard.WRONG_SETTING
    assert says in last_line(err)
    assert "Traceback" not in err


def test_another_version_of_the_task_and_other_weights_are_refused(run, tmp_path, tiny_model):
    journal = f",max_failures=1,journal={tmp_path / 'journal'}"
    assert run(model_args=journal)[0] == 0
    data = tmp_path / "aime24.jsonl"
    data.write_text(data.read_text().replace("Find the sum", "Find the product"))
    code, err = run(model_args=journal)
    assert code == guard.WRONG_SETTING
    assert "another version of task aime24_budget: the prompt of document 1" in last_line(err)


def test_an_output_path_that_cannot_be_written_is_said_before_the_model_is_loaded(run, tmp_path):
    (tmp_path / "file").write_text("")
    code, err = run(out="file/below")
    assert code == guard.WRONG_SETTING
    assert "output_path=" in last_line(err)
    assert "Loading weights" not in err


def test_results_that_could_not_be_written_are_an_exit_code(run, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    code, err = run(model_args=",max_failures=1")
    assert code == guard.FAILED
    assert "Could not save results aggregated" in last_line(err)
    assert "it takes everything from journal=" in last_line(err)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model_args": ",wait_tex=Hmm"}, "did you mean 'wait_text'"),
        ({"model_args": ",dtype=float99"}, "dtype='float99'"),
        ({"model_args": ",token=hf_xyz"}, "token= in model_args would be written to the results"),
        ({"gen": "num_waits=many"}, "num_waits='many': allowed is a whole number"),
        ({"gen": "prompt_file=/no/such"}, "prompt_file /no/such cannot be read"),
    ],
)
def test_a_users_error_is_one_line_and_exit_code_2(run, more, says):
    code, err = run(**more)
    assert code == guard.WRONG_SETTING
    assert last_line(err).startswith("lm_eval_tts: ")
    assert says in last_line(err)
    assert "Traceback" not in err
    assert "hf_xyz" not in err


TASKS = {
    "no_yaml": "task: [oops\n",
    "no_function": "task: mine\ncustom_dataset: !function nowhere.load\n",
    "no_include": "task: mine\ninclude: not_there.yaml\n",
    "no_type": "task: mine\noutput_type: generate\ndataset_path: x\ntest_split: test\n",
}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"task": "aime24_budgett"}, "Tasks not found: aime24_budgett"),
        ({"model": "tts-hff"}, "unknown model 'tts-hff': did you mean 'tts-hf'"),
        ({"more": ["--limit", "-3"]}, "--limit -3: allowed is a number of documents"),
        ({"more": ["--samples", "nowhere.json"]}, "--samples nowhere.json cannot be read"),
        ({"more": ["--samples", "[1]"]}, "allowed is a JSON object"),
        ({"more": ["--samples", '{"aime24_budget": [99]}']}, "interval [0,k-1]"),
        ({"more": ["--samples", '{"aime24_budget": [0]}', "--limit", "1"]}, "--limit must be None"),
        ({"more": ["--include_path", "/no/folder"]}, "--include_path /no/folder is not a folder"),
        ({"model_args": ",pretrained=/no/such"}, "pretrained='/no/such'"),
        ({"task": "no_yaml.yaml"}, "no_yaml.yaml"),
        ({"task": "no_function.yaml"}, "nowhere"),
        ({"task": "no_include.yaml"}, "not_there.yaml"),
        ({"task": "no_type.yaml"}, "generate"),
    ],
    ids=str,
)
def test_what_lm_eval_itself_finds_wrong_is_one_line_too(run, tmp_path, changed, says):
    for name, text in TASKS.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    if (task := changed.get("task", "")).endswith(".yaml"):
        changed = {**changed, "task": str(tmp_path / task)}
    code, err = run(*changed.get("more", []), **{k: v for k, v in changed.items() if k != "more"})
    assert code == guard.WRONG_SETTING
    assert last_line(err).startswith("lm_eval_tts: ")
    assert says in last_line(err)
    assert "Traceback" not in err


def test_a_bug_keeps_its_traceback_and_so_do_other_models():
    def bug(args):
        raise KeyError("a bug")

    def task_missing(args):
        exec(
            compile("raise ValueError('Tasks not found')", "x", "exec"),
            {"__name__": "lm_eval.tasks"},
        )

    ours, other = SimpleNamespace(model="tts-hf"), SimpleNamespace(model="hf")
    with pytest.raises(KeyError):
        guard.guarded(bug, ours)
    with pytest.raises(ValueError, match="Tasks not found"):
        guard.guarded(task_missing, other)
    with pytest.raises(SystemExit):
        guard.guarded(task_missing, ours)


def test_data_that_cannot_be_read_is_one_line(run, tmp_path):
    (tmp_path / "aime24.jsonl").write_text("{")
    code, err = run()
    assert (code, "Traceback" in err) == (guard.WRONG_SETTING, False)
    assert "aime24.jsonl is not JSON lines in UTF-8" in last_line(err)


def test_other_errors_and_other_models_are_left_alone():
    def execute(args):
        raise args

    for error in (RuntimeError("a bug"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            guard.guarded(execute, error)
    with pytest.raises(SystemExit):
        guard.guarded(execute, DataError("ours"))


def test_a_second_rank_says_which_it_is(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit):
        guard._leave(2, "wrong\nthing")
    assert capsys.readouterr().err == "lm_eval_tts (rank 1): wrong thing\n"


def tally(asked: int, failed: int) -> Counter:
    return Counter(asked=asked, failed=failed)


def test_the_share_of_failures_is_over_all_requests():
    assert RunState(tally=tally(100, 10)).complaint() is None
    assert RunState(tally=tally(100, 11)).complaint()
    assert RunState(tally=tally(1, 1), max_failures=1).complaint() is None
    assert RunState(tally=tally(5, 1), max_failures=0).complaint()
    (state := RunState()).count(["no room"])
    assert state.complaint().startswith("1 of 1 requests failed")


def test_an_environment_variable_shows_tracebacks(monkeypatch, capsys):
    monkeypatch.setenv("LMEVAL_LOG_LEVEL", "debug")

    def execute(args):
        raise RequestError("deep down")

    with pytest.raises(SystemExit):
        guard.guarded(execute, None)
    assert "Traceback" in capsys.readouterr().err
    assert os.environ["LMEVAL_LOG_LEVEL"] == "debug"
