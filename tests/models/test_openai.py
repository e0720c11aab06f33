"""`tts-openai` against a server on loopback that writes as the scripted engine does."""

import json

import pytest
from completions_server import KEY, CompletionsServer
from helpers import BUDGET
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager

from lm_eval_tts.engines.scripted import ScriptedEngine
from lm_eval_tts.engines.tokenizer import HFTokenizer
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.models.openai import TTSOpenAI

HOT = {"temperature": 1.0, "do_sample": True, "max_gen_toks": 12, "seed": 5}


def instance(context: str, **kwargs) -> Instance:
    return Instance("generate_until", {"id": "7"}, (context, kwargs), 0, ("task", 0, 1))


REQUESTS = [instance(f"What is {i}+{i}?", **settings) for settings in (BUDGET, HOT) for i in (2, 3)]


@pytest.fixture
def serve(tiny_tokenizer):
    servers = []

    def start(dialect: str, text: str | None = None) -> CompletionsServer:
        servers.append(CompletionsServer(dialect, text, HFTokenizer(tiny_tokenizer)))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def connect(tiny_checkpoint):
    return lambda server, **more: TTSOpenAI(
        base_url=server.url, tokenizer=str(tiny_checkpoint), **more
    )


@pytest.mark.parametrize("dialect", ["tokens", "ids", "text"])
def test_responses_are_those_of_an_engine_in_this_process(serve, connect, dialect):
    lm = connect(serve(dialect))
    have = lm.generate_until(REQUESTS, disable_tqdm=True)
    lm.session.engine = ScriptedEngine(
        eos=False, tokenizer=lm.session.checkpoint.text, max_length=lm.max_length
    )
    want = lm.generate_until(REQUESTS, disable_tqdm=True)
    assert have == want
    assert all(response.details.failure is None for response in have)
    if dialect == "tokens":
        assert [r.details.usage for r in have] == [r.details.usage for r in want]


def test_a_server_that_tells_only_text_is_announced_once(serve, connect, caplog):
    connect(serve("text"))
    assert caplog.text.count("returns no token ids") == 1
    connect(serve("tokens"))
    assert caplog.text.count("returns no token ids") == 1


def test_a_chat_server_answers_what_needs_no_continuation(serve, connect):
    server = serve("chat", "It is 4.")
    lm = connect(server)
    request = instance("2+2?", prompt_style="r1", max_gen_toks=40)
    (response,) = lm.generate_until([request], disable_tqdm=True)
    assert response == "It is 4."
    messages = server.calls[-1]["messages"]
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[1]["content"] == "2+2?"
    (plain,) = lm.generate_until([instance("2+2?", max_gen_toks=40)], disable_tqdm=True)
    assert plain == "It is 4."
    assert server.calls[-1]["messages"] == [{"role": "user", "content": "2+2?"}]


def test_a_chat_server_refuses_what_continues_before_anything_is_sent(serve, connect):
    server = serve("chat", "4")
    with pytest.raises(SettingsError, match="'budget' continues a response"):
        connect(server, strategy="budget", delimiters="think")
    lm = connect(server)
    calls = len(server.calls)
    with pytest.raises(SettingsError, match="has chat completions only"):
        lm.generate_until([instance("2+2?", **BUDGET)], disable_tqdm=True)
    assert len(server.calls) == calls


def test_an_end_of_several_tokens_that_a_server_cannot_mask_is_refused_before_anything_is_sent(
    serve, connect
):
    lm = connect(server := serve("tokens", "a!"))
    calls = len(server.calls)
    for settings in ({"wait_text": ""}, {"min_tokens": 1}, {"min_thinking_by": "masking"}):
        given = {**BUDGET, "min_thinking_tokens": 2, **settings}
        with pytest.raises(
            SettingsError, match=r"the end of the thinking, '</think>', is .* tokens"
        ):
            lm.generate_until([instance("2+2?", **given)], disable_tqdm=True)
    assert len(server.calls) == calls
    one = {**BUDGET, "wait_text": "", "delimiters": "final-answer", "thinking_end": "!"}
    (response,) = lm.generate_until([instance("2+2?", **one)], disable_tqdm=True)
    assert response.details.usage.waits == 1
    assert sum("logit_bias" in call for call in server.calls) == 1


def test_a_chat_server_votes_over_samples(serve, connect):
    lm = connect(serve("chat", "It is 4."))
    request = instance("2+2?", strategy="self_consistency", n=3, temperature=1.0)
    (response,) = lm.generate_until([request], disable_tqdm=True)
    assert response == "It is 4."
    assert len(response.details.candidates) == 3


def test_a_request_that_fails_is_recorded_and_the_run_goes_on(serve, connect):
    server = serve("tokens")
    lm = connect(server, num_concurrent=1)
    server.faults = ["400"]
    failed, fine = lm.generate_until(REQUESTS[2:], disable_tqdm=True)
    assert "the server answers 400" in failed.details.failure
    assert (failed, fine.details.failure) == ("", None)


def test_a_task_runs_by_name_and_its_results_hold_no_key(serve, tiny_checkpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    results = simple_evaluate(
        model="tts-openai",
        model_args=f"base_url={serve('tokens').url},tokenizer={tiny_checkpoint}",
        tasks=["arith_budget"],
        gen_kwargs="max_thinking_tokens=24,max_answer_tokens=8",
        limit=2,
        bootstrap_iters=0,
        task_manager=TaskManager(include_path=task_configs(), include_defaults=False),
    )
    assert results["results"]["arith_budget"]["failed,none"] == 0
    assert results["config"]["served_model"] == "scripted"
    assert KEY not in json.dumps(results, default=str)


def test_the_key_of_the_environment_is_sent_and_in_no_result(serve, connect, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = serve("tokens")
    lm = connect(server, header={"X-Team": "ours"})
    lm.generate_until(REQUESTS[:1], disable_tqdm=True)
    assert server.headers_seen[-1]["Authorization"] == f"Bearer {KEY}"
    assert server.headers_seen[-1]["X-Team"] == "ours"
    info = lm.get_model_info()
    assert KEY not in json.dumps(info)
    assert info["token_exact"]
    assert info["prompt_tokens_cached"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_url": None}, "needs a server"),
        ({"api_key": "sk-1"}, "would be written to the results"),
        ({"header": {"Authorization": "Bearer sk-1"}}, "would be written to the results"),
        ({"num_concurent": 3}, "did you mean 'num_concurrent'"),
        ({"num_wait": 3}, "did you mean 'num_waits'"),
        ({"model": "other"}, "unknown model 'other'"),
        ({"tokenizer": "/nowhere/at/all"}, "give tokenizer="),
    ],
)
def test_wrong_arguments_get_one_clear_line(serve, tiny_checkpoint, arguments, message):
    given = {"base_url": serve("tokens").url, "tokenizer": str(tiny_checkpoint), **arguments}
    with pytest.raises(SettingsError, match=message) as caught:
        TTSOpenAI(**given)
    assert "sk-1" not in str(caught.value)


def test_a_prompt_without_a_template_gets_the_tokenizers_special_tokens(serve, connect):
    lm = connect(serve("tokens"))
    assert lm.session.chat.encode("a") == tuple(lm.tokenizer.encode("a"))
    assert lm.max_length == 400
