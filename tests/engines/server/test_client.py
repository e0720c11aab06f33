"""A server as an engine: what it says is believed only where it agrees with itself."""

import asyncio
import logging
from types import SimpleNamespace

import pytest
from completions_server import KEY, CompletionsServer
from hf_helpers import complete_all

from lm_eval_tts.core.program import Generate, Sampling
from lm_eval_tts.engines.asynchronous import AsyncEngine, Background
from lm_eval_tts.engines.scripted import EOS, ScriptedEngine
from lm_eval_tts.engines.server.client import Server, find_dialect, find_model
from lm_eval_tts.engines.server.dialects import CHAT, IDS, STRICT, STRICT_CHAT, TEXT, TOKENS
from lm_eval_tts.engines.server.wire import Wire
from lm_eval_tts.engines.tokenizer import ByteTokenizer
from lm_eval_tts.errors import RequestError, SettingsError

HOT = Sampling(temperature=1.0)
PROMPT = tuple(b"Question: what is 2+2?")
FAULTS = [
    "500",
    "503",
    "429",
    "slow",
    "reset",
    "half",
    "garbage",
    "lie about counts",
    "lie about the prompt",
    "lie about the limit",
    "lie about the end",
    "lie by silence",
]


BACKGROUND = Background()
CLIENTS: list[Server] = []


@pytest.fixture
def start():
    servers = []

    def make(dialect: str = "tokens", text: str | None = None) -> CompletionsServer:
        servers.append(CompletionsServer(dialect, text))
        return servers[-1]

    yield make
    while CLIENTS:
        BACKGROUND.run(CLIENTS.pop().close())
    for server in servers:
        server.stop()


def client(server: CompletionsServer, dialect=TOKENS, **changes) -> Server:
    settings = {
        "headers": {"Authorization": f"Bearer {KEY}"},
        "timeout": 0.5,
        "max_retries": 3,
        "first_wait": 0.01,
    }
    wire = Wire("scripted", ByteTokenizer(), frozenset([EOS]), dialect)
    CLIENTS.append(Server(server.url, wire, **{**settings, **changes}))
    return CLIENTS[-1]


def engine_of(server: Server, max_num_seqs: int = 8) -> AsyncEngine:
    return AsyncEngine(
        server.sample,
        BACKGROUND,
        ByteTokenizer(),
        eos_token_ids=[EOS],
        max_length=400,
        max_num_seqs=max_num_seqs,
    )


OPS = [
    Generate(PROMPT, 30),
    Generate(PROMPT, 60, stop=("e", "never there")),
    Generate(PROMPT, 12, sampling=HOT, n=3),
    Generate((*PROMPT, 65), 20, sampling=HOT, stop=("q ", ".")),
]


def test_token_ids_come_back_as_an_engine_in_this_process_would_make_them(start):
    want = complete_all(ScriptedEngine(eos=False), OPS)
    assert complete_all(engine_of(client(start())), OPS) == want


@pytest.mark.parametrize(("name", "dialect"), [("ids", IDS), ("text", TEXT), ("strict", STRICT)])
def test_a_server_that_tells_only_text_gives_the_same_text(start, name, dialect):
    want = complete_all(ScriptedEngine(eos=False), OPS)
    assert complete_all(engine_of(client(start(name), dialect=dialect)), OPS) == want


@pytest.mark.parametrize(("name", "dialect"), [("tokens", TOKENS), ("text", TEXT)])
def test_the_end_of_a_turn_is_told_from_a_stop_string(start, name, dialect):
    server = client(start(name, "It is 4.</think>"), dialect=dialect)
    ended, stopped = complete_all(
        engine_of(server), [Generate(PROMPT, 90), Generate(PROMPT, 90, stop=("</think>",))]
    )
    assert (ended[0].finish_reason, ended[0].sampled_ids[-1]) == ("eos", EOS)
    assert (stopped[0].finish_reason, stopped[0].stop) == ("stop", "</think>")
    assert bytes(stopped[0].token_ids) == b"It is 4."


@pytest.mark.parametrize(
    ("name", "dialect"), [("tokens", TOKENS), ("ids", IDS), ("text", TEXT), ("strict", STRICT)]
)
def test_endings_are_masked_by_a_call_of_its_own_with_a_bias(start, name, dialect):
    server = start(name, "a|b")
    op = Generate(PROMPT, 5, stop=("|",), min_tokens=2)
    ((completion,),) = complete_all(engine_of(client(server, dialect=dialect)), [op])
    first, rest = server.calls
    assert first["logit_bias"] == {str(EOS): -100, str(ord("|")): -100}
    assert (first["max_tokens"], rest["max_tokens"]) == (2, 3)
    assert "logit_bias" not in rest
    assert bytes(completion.token_ids) == b"a.a"  # the server writes "." where a bias forbids
    assert completion.stop == "|"


@pytest.mark.parametrize(("name", "dialect"), [("tokens", TOKENS), ("text", TEXT)])
def test_a_server_that_ignores_a_bias_is_found_out(start, name, dialect):
    server = start(name, "")
    server.heeds_bias = False
    op = Generate(PROMPT, 5, stop=("|",), min_tokens=2)
    (error,) = complete_all(engine_of(client(server, dialect=dialect)), [op])
    assert "the server ignores logit_bias" in str(error)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_mended_by_another_try_and_changes_nothing(start, fault):
    (want,) = complete_all(ScriptedEngine(eos=False), OPS[:1])
    server = start()
    server.faults = [fault, fault]
    one = client(server)
    assert complete_all(engine_of(one), OPS[:1]) == [want]
    assert (len(server.calls), one.num_retries) == (3, 2)


@pytest.mark.parametrize("fault", ["503", "reset", "lie about counts"])
def test_tries_have_a_limit_and_the_failure_says_what_was_last(start, fault):
    server = start()
    server.faults = [fault] * 99
    (result,) = complete_all(engine_of(client(server)), OPS[:1])
    assert isinstance(result, RequestError)
    assert "no answer after 3 tries: " in str(result)
    assert len(server.calls) == 3


def test_a_refusal_is_not_tried_again_and_the_others_go_on(start):
    server = start()
    server.faults = ["400"]
    refused, fine = complete_all(engine_of(client(server), max_num_seqs=1), OPS[:1] * 2)
    assert "the server answers 400" in str(refused)
    assert len(fine[0].token_ids) == 30
    assert len(server.calls) == 2


def test_a_killed_server_is_a_failure_of_each_request(start):
    server = start()
    engine = engine_of(client(server))
    assert complete_all(engine, OPS[:1])
    server.stop()
    results = complete_all(engine, OPS[:2])
    assert all("no answer after 3 tries" in str(result) for result in results)


def test_half_a_stream_is_tried_again(start):
    server = start("text")
    server.faults = ["half", "reset"]
    (want,) = complete_all(ScriptedEngine(eos=False), OPS[:1])
    assert complete_all(engine_of(client(server, dialect=TEXT)), OPS[:1]) == [want]


def test_no_more_calls_are_under_way_than_allowed(start):
    server = start()
    server.delay = 0.05
    complete_all(engine_of(client(server), max_num_seqs=3), OPS * 3)
    assert 1 < server.most_at_once <= 3


def test_an_aborted_request_is_never_returned(start):
    server = start()
    server.faults = ["slow"]
    engine = engine_of(client(server), max_num_seqs=1)
    engine.add_request(0, OPS[0], 1)
    engine.add_request(1, OPS[0], 1)
    BACKGROUND.run(asyncio.sleep(0))
    engine.abort(1)
    returned = []
    while engine.num_unfinished:
        returned += [output.request_id for output in engine.step()]
    assert returned == [0]


def test_cached_prompt_tokens_are_counted_as_the_server_tells_them(start):
    server = client(start())
    complete_all(engine_of(server), OPS[:1])
    assert server.prompt_tokens == {"sent": 22, "cached": 11}


def test_log_probabilities_come_with_token_ids_only(start):
    asked = [Generate(PROMPT, 5, logprobs=2)]
    ((have,),) = complete_all(engine_of(client(start())), asked)
    assert [(entry.sampled, entry.top) for entry in have.logprobs] == [(-1.5, (-1.0, -2.0))] * 5
    (refused,) = complete_all(engine_of(client(start("text"), dialect=TEXT)), asked)
    assert "no token ids, so no log-probabilities" in str(refused)


def test_requests_of_one_problem_carry_the_same_session(start):
    server = start()
    longer = [Generate((*PROMPT, 65, 66), 5), Generate((7, 8), 5), Generate((*PROMPT, 65), 5)]
    one = engine_of(client(server, session_header="X-Session"), max_num_seqs=1)
    complete_all(one, [*OPS[:1], *longer])
    sessions = [headers["X-Session"] for headers in server.headers_seen]
    assert sessions[0] == sessions[1] == sessions[3] != sessions[2]


def test_the_key_is_sent_and_never_told(start, caplog):
    server = start()
    server.faults = ["503"] * 3 + ["400"]
    one = client(server)
    with caplog.at_level(logging.DEBUG):
        results = complete_all(engine_of(one, max_num_seqs=1), OPS[:1] * 2)
    assert server.headers_seen[0]["Authorization"] == f"Bearer {KEY}"
    assert "busy, Bearer ***" in str(results[0])
    assert KEY not in caplog.text + repr(one) + "".join(map(str, results))


@pytest.mark.parametrize(
    ("name", "dialect"),
    [("tokens", TOKENS), ("ids", IDS), ("text", TEXT), ("strict", STRICT), ("chat", CHAT)],
)
def test_the_best_dialect_of_a_server_is_found(start, name, dialect):
    messages = tuple(b'[{"role": "user", "content": "Hello"}]')
    prompts = {"ids": PROMPT, "text": PROMPT, "messages": messages}
    server = client(start(name))
    assert BACKGROUND.run(find_dialect(server, prompts)) == dialect


def test_a_server_that_serves_nothing_or_refuses_the_key_is_told_at_once(start):
    server = start()
    wrong = client(server, headers={"Authorization": "Bearer wrong"})
    with pytest.raises(SettingsError, match=r"401: .*\*\*\*.*OPENAI_API_KEY"):
        BACKGROUND.run(find_model(wrong, None))
    with pytest.raises(SettingsError, match="did you mean 'scripted'"):
        BACKGROUND.run(find_model(client(server), "script"))
    server.stop()
    with pytest.raises(SettingsError, match="does not answer"):
        BACKGROUND.run(find_model(client(server), None))


def test_an_adapter_on_a_server_has_the_context_of_its_base():
    """vLLM lists it without one."""
    base = {"id": "base", "owned_by": "vllm", "max_model_len": 512}
    adapter = {"id": "adapter", "owned_by": "vllm", "max_model_len": None, "parent": "base"}

    async def listed(*_):
        return {"data": [base, adapter]}

    server = SimpleNamespace(retrying=listed, get=None)
    assert BACKGROUND.run(find_model(server, "adapter")) == ("adapter", 512, "vLLM")


def test_a_chat_server_cannot_continue_a_response(start):
    one = client(start("chat", "4"), dialect=STRICT_CHAT)
    messages = tuple(b'[{"role": "user", "content": "2+2?"}]')
    fine, refused = complete_all(engine_of(one), [Generate(messages, 5), Generate(PROMPT, 5)])
    assert (bytes(fine[0].token_ids), fine[0].finish_reason) == (b"4", "eos")
    assert "cannot continue a response" in str(refused)
