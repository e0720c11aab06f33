"""Whole runs of the stock lm_eval command."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest

pytestmark = pytest.mark.slow

PROBLEMS = ["What is 2+2?", "Find the sum of 3 and 9.", "How many?", "x", "The last one"]
SMALL = "max_thinking_tokens=24,max_answer_tokens=8,max_gen_toks=40"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in the Hub's columns, with five made-up problems in each benchmark."""
    folder = tmp_path_factory.mktemp("data")
    rows = {
        "aime24": [{"id": i, "problem": p, "answer": i} for i, p in enumerate(PROBLEMS)],
        "gpqa_main": [
            {"Record ID": f"r{i}", "Question": p, "Correct Answer": "one", "Subdomain": "s"}
            | {f"Incorrect Answer {k}": f"wrong {k}" for k in (1, 2, 3)}
            for i, p in enumerate(PROBLEMS)
        ],
    }
    for name, some in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    return folder


def command(*arguments: str, data: Path, check: bool = True, **env: str):
    result = subprocess.run(
        [str(a) for a in arguments],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "LM_EVAL_TTS_DATA": str(data), "HF_HUB_OFFLINE": "1", **env},
    )
    if check:
        assert result.returncode == 0, result.stderr[-3000:]
    return result


def samples_of(output: Path, task: str) -> list[dict]:
    (path,) = output.glob(f"**/samples_{task}_*.jsonl")
    samples = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(samples, key=lambda sample: sample["doc_id"])


def results_of(output: Path) -> dict:
    (path,) = output.glob("**/results_*.json")
    return json.loads(path.read_text())["results"]


def evaluation(checkpoint: Path, tasks: str, output: Path, *more) -> list:
    """What follows `lm_eval`."""
    arguments = ["--model", "tts-hf", "--model_args", f"pretrained={checkpoint}", "--tasks", tasks]
    return [*arguments, "--output_path", output, "--log_samples", "--device", "cpu", *more]


LM_EVAL = [sys.executable, "-m", "lm_eval"]


def test_tasks_are_listed_and_valid(data):
    assert "tts_budget" in forked.run("lm_eval", "ls", "tags", LM_EVAL_TTS_DATA=str(data)).stdout
    names = "aime24_budget,math500_progressive,tts_gpqa_main"
    valid = forked.run("lm_eval", "validate", "--tasks", names, LM_EVAL_TTS_DATA=str(data))
    assert "All tasks found and valid" in valid.stdout


def test_the_bare_command_ends_with_lm_evals_table_and_files(tiny_checkpoint, data, tmp_path):
    tasks = "aime24_budget,aime24_progressive,gpqa_main_cod"
    arguments = evaluation(tiny_checkpoint, tasks, tmp_path, "--gen_kwargs", SMALL)
    table = command(*LM_EVAL, *arguments, data=data).stdout
    assert "|aime24_budget" in table
    assert "exact_match" in table
    results = results_of(tmp_path)
    assert results["aime24_budget"]["sample_len"] == 5
    for sample in samples_of(tmp_path, "aime24_budget"):
        text = sample["resps"][0][0]
        assert text.startswith("<think>\n")
        assert text.endswith("</answer>")
        assert text.count("Wait") >= sample["waits"]
        assert sample["thinking_tokens"] <= 24
    (sample, *_) = samples_of(tmp_path, "gpqa_main_cod")
    assert sample["doc"]["options"][sample["target"]] == "one"


def test_two_ranks_give_the_results_of_one(tiny_checkpoint, data, tmp_path):
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--cpu"]
    accelerate += ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    accelerate += ["--dynamo_backend", "no", "-m", "lm_eval"]
    more = ["--gen_kwargs", f"{SMALL},do_sample=True,temperature=1.0"]
    tasks = "aime24_budget,aime24_r1"
    arguments = evaluation(tiny_checkpoint, tasks, tmp_path / "one", *more)
    forked.run("lm_eval", *arguments, LM_EVAL_TTS_DATA=str(data)).check_returncode()
    command(*accelerate, *evaluation(tiny_checkpoint, tasks, tmp_path / "two", *more), data=data)
    for task in tasks.split(","):
        one, two = samples_of(tmp_path / "one", task), samples_of(tmp_path / "two", task)
        assert [s["resps"][0][0] for s in one] == [s["resps"][0][0] for s in two]
        assert [s["filtered_resps"] for s in one] == [s["filtered_resps"] for s in two]
        have, want = results_of(tmp_path / "two")[task], results_of(tmp_path / "one")[task]
        assert have["total_tokens,none"] == pytest.approx(want["total_tokens,none"])


def test_a_signal_to_one_of_two_ranks_ends_both_and_the_same_command_goes_on(data, tmp_path):
    more = ["--limit", "12", "--batch_size", "1"]

    def start(output: str) -> list:
        arguments = evaluation("arith-base", "arith_r1", tmp_path / output, *more)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        shared |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"}
        started = []
        for rank in ("0", "1"):
            (folder := tmp_path / rank).mkdir(exist_ok=True)
            env = {**shared, "RANK": rank, "LOCAL_RANK": rank}
            started.append(forked.start("lm_eval", *arguments, folder=folder, **env))
        return started

    def codes(processes: list) -> list[int]:
        for process in processes:
            process.join(300)
        return [process.exitcode for process in processes]

    def finished(rank: int) -> int:
        found = tmp_path.glob(f"stopped/journals/*/rank{rank}.journal")
        return sum(path.read_bytes().count(b"\n") - 2 for path in found)  # the run and the task

    started = start("stopped")
    while not all(finished(rank) > 0 for rank in (0, 1)):
        assert all(process.is_alive() for process in started), (tmp_path / "0/stderr").read_text()
        time.sleep(0.01)
    os.kill(started[1].pid, signal.SIGTERM)
    assert codes(started) == [143, 143]
    assert max(map(finished, (0, 1))) < 6
    for rank in ("0", "1"):
        err = (tmp_path / rank / "stderr").read_text()
        assert "the same command continues there" in err
        assert "Traceback" not in err
    assert codes(start("stopped")) == [0, 0]
    assert codes(start("alone")) == [0, 0]
    stopped, alone = (samples_of(tmp_path / name, "arith_r1") for name in ("stopped", "alone"))
    assert stopped == alone


def test_simple_evaluate_knows_the_model_by_its_name(tiny_checkpoint, data, monkeypatch):
    import lm_eval

    monkeypatch.setenv("LM_EVAL_TTS_DATA", str(data))
    results = lm_eval.simple_evaluate(
        model="tts-hf",
        tasks=["aime24_standard"],
        limit=2,
        model_args=f"pretrained={tiny_checkpoint},device=cpu",
        gen_kwargs="max_gen_toks=9",
    )
    assert results["results"]["aime24_standard"]["answer_tokens,none"] <= 9


def test_the_explicit_command_works_where_the_hook_is_off(data):
    own = Path(sys.executable).with_name("lm-eval-tts")
    run = [own, "run", "validate", "--tasks", "aime24_cot"]
    off = {"LM_EVAL_TTS_DISABLE": "1"}
    assert "found and valid" in command(*run, data=data, **off).stdout
    plain = command(*LM_EVAL, "validate", "--tasks", "aime24_cot", data=data, check=False, **off)
    assert plain.returncode == 1


def test_a_wrong_setting_ends_the_run_before_the_model_is_loaded(tiny_checkpoint, data):
    arguments = ["--model", "tts-hf", "--tasks", "aime24_budget", "--model_args"]
    model_args = f"pretrained={tiny_checkpoint},wait_tex=Hmm"
    result = forked.run("lm_eval", *arguments, model_args, LM_EVAL_TTS_DATA=str(data))
    assert result.returncode != 0
    assert "did you mean 'wait_text'" in result.stderr
