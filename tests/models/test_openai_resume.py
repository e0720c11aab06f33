"""`tts-openai` with a journal: whoever dies, server or client, nothing answered is asked again."""

import json
import multiprocessing
import signal
import time

import forked
import pytest
from completions_server import CompletionsServer
from helpers import BUDGET
from lm_eval.api.instance import Instance

from lm_eval_tts.engines.tokenizer import HFTokenizer
from lm_eval_tts.models.openai import TTSOpenAI

SAMPLED = {**BUDGET, "do_sample": True, "temperature": 1.0}
NUM_CONCURRENT = 2


@pytest.fixture
def server(tiny_tokenizer):
    server = CompletionsServer("tokens", None, HFTokenizer(tiny_tokenizer))
    yield server
    server.stop()


def told_apart(calls: list[dict]) -> list[str]:
    """What a call asks for, so that two calls can be compared."""
    return [json.dumps(call, sort_keys=True) for call in calls]


@pytest.mark.parametrize("num_answers", [1, 5, 9])
def test_a_server_that_went_away_is_asked_for_the_rest_when_it_is_back(
    server, tiny_checkpoint, tmp_path, num_answers
):
    def answer(**more):
        server.faults = []
        lm = TTSOpenAI(
            base_url=server.url,
            tokenizer=str(tiny_checkpoint),
            max_retries=1,
            max_failures=1,
            **more,
        )
        server.answered.clear()  # what it asked to learn how the server speaks
        server.calls.clear()
        server.faults = faults
        requests = [
            Instance("generate_until", {"id": str(i)}, (f"{i}+{i}?", SAMPLED), i, ("task", i, 1))
            for i in range(5)
        ]
        return lm.generate_until(requests, disable_tqdm=True)

    faults = [""] * num_answers + ["503"] * 99
    first = answer(journal=str(tmp_path), num_concurrent=NUM_CONCURRENT)
    before = told_apart(server.answered)
    assert len(before) == num_answers
    assert any(response.details.failure for response in first)
    faults = []
    have = answer(journal=str(tmp_path), num_concurrent=NUM_CONCURRENT)
    after = told_apart(server.calls)
    assert not set(before) & set(after)
    want = answer()
    assert (have, [r.details for r in have]) == (want, [r.details for r in want])
    assert sorted(before + after) == sorted(told_apart(server.calls))
    assert not any(response.details.failure for response in have)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process is killed")
def test_a_killed_client_goes_on_and_ends_with_the_samples_of_one_left_alone(
    server, tiny_checkpoint, tmp_path
):
    rows = [{"id": i, "problem": f"What is {i} + {i}?", "answer": 2 * i} for i in range(8)]
    (tmp_path / "aime24.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = "max_thinking_tokens=24,num_waits=1,max_answer_tokens=8,do_sample=True,temperature=1"

    def start(out: str, more: str = "") -> multiprocessing.process.BaseProcess:
        model_args = f"base_url={server.url},tokenizer={tiny_checkpoint},"
        model_args += f"num_concurrent={NUM_CONCURRENT}{more}"
        command = ["lm_eval", "--model", "tts-openai"]
        command += ["--model_args", model_args, "--tasks", "aime24_budget", "--log_samples"]
        command += ["--output_path", str(tmp_path / out), "--gen_kwargs", settings]
        server.answered.clear()
        return forked.start(*command, folder=tmp_path, LM_EVAL_TTS_DATA=str(tmp_path))

    def ended(process: multiprocessing.process.BaseProcess) -> int | None:
        process.join(300)
        return process.exitcode

    def samples(out: str) -> bytes:
        (path,) = (tmp_path / out).glob("**/samples_*.jsonl")
        return path.read_bytes()

    assert ended(start("alone")) == 0
    whole = told_apart(server.answered)
    journal = f",journal={tmp_path / 'journal'}"
    server.delay = 0.1
    killed = start("out", journal)
    while len(server.answered) < len(whole) // 2 and killed.is_alive():
        time.sleep(0.01)
    killed.kill()
    assert ended(killed) == -signal.SIGKILL
    time.sleep(2 * server.delay)  # what the server was about to answer
    before = told_apart(server.answered)
    server.delay = 0.0
    assert ended(start("out", journal)) == 0
    after = told_apart(server.answered)
    assert {*before, *after} == set(whole)
    probes = 3  # of how the server speaks, by each process
    assert len(set(before) & set(after)) <= NUM_CONCURRENT + probes
    assert samples("out") == samples("alone")
