"""An answer that cannot be true is refused, whatever it says."""

import asyncio
import contextlib
from random import Random

import pytest
from json_mutations import mutated

from lm_eval_tts.core.program import Generate
from lm_eval_tts.engines.requests import BatchRow
from lm_eval_tts.engines.scripted import ByteTokenizer
from lm_eval_tts.engines.server.client import Server, find_dialect, find_model
from lm_eval_tts.engines.server.dialects import SERVERS, TOKENS
from lm_eval_tts.engines.server.wire import Fault, Wire, cached_tokens, read_event
from lm_eval_tts.errors import MALFORMED, SettingsError

ROW = BatchRow(Generate((1, 2, 3), 4, logprobs=1), 0, 4, [1, 2, 3])
WIRE = Wire("m", ByteTokenizer(), frozenset([0]), vocabulary_size=10)
SEEDS = range(300)


def answer(token_ids=(7, 8), sent=3, counted=2, cached=1, logprob=-1.5):
    usage = {"prompt_tokens": sent, "completion_tokens": counted}
    usage["prompt_tokens_details"] = {"cached_tokens": cached}
    logprobs = {"token_logprobs": [logprob, -1], "top_logprobs": [{"7": logprob}, {"8": -1}]}
    choice = {"token_ids": list(token_ids), "finish_reason": "length", "logprobs": logprobs}
    return {"choices": [choice], "usage": usage}


def read(*ids, **changes):
    return WIRE.read(answer(*ids, **changes), ROW)


def test_a_right_answer_is_taken():
    assert read().token_ids == (7, 8)


@pytest.mark.parametrize("token", [10, 10**9, -1, 7.0, 7.5, "7", None, True])
def test_an_id_that_is_none_of_the_vocabulary_is_refused(token):
    with pytest.raises(Fault):
        read((7, token))


@pytest.mark.parametrize(
    "counts",
    [{"cached": -1}, {"cached": 4}, {"cached": "1"}, {"sent": 3.0}, {"counted": "2"}],
    ids=str,
)
def test_counts_that_cannot_be_are_refused(counts):
    with pytest.raises(Fault):
        read(**counts)


NO_LOGPROBS = [float("nan"), float("-inf"), 0.5, "-1", True, None, [-1]]


@pytest.mark.parametrize("value", NO_LOGPROBS, ids=str)
def test_a_log_probability_that_cannot_be_is_refused(value):
    with pytest.raises(Fault):
        read(logprob=value)


def test_whatever_stands_in_an_answer_it_is_taken_or_a_fault_that_another_try_may_mend():
    taken = 0
    for seed in SEEDS:
        try:
            WIRE.read(mutated(answer(), Random(seed)), ROW)
            taken += 1
        except Fault:
            pass
    assert 0 < taken < len(SEEDS) / 2


def test_whatever_stands_in_an_event_it_is_a_piece_of_text_or_malformed():
    event = {"choices": [{"text": "a", "delta": {"content": [{"type": "text", "text": "b"}]}}]}
    event["usage"] = answer()["usage"]
    for seed in SEEDS:
        try:
            changed = mutated(event, Random(seed))
            piece = read_event(changed)
            cached_tokens(changed["usage"])
        except (Fault, *MALFORMED):
            continue
        assert all(isinstance(text, str) for text in piece[:2])


def test_whatever_a_server_says_of_itself_is_taken_or_told_in_one_line(monkeypatch):
    said = {}

    async def retrying(self, work, *arguments):
        return said["answer"]

    monkeypatch.setattr(Server, "retrying", retrying)
    server = Server("http://host/v1", Wire("m", ByteTokenizer(), frozenset([0]), TOKENS))
    entry = {"id": "m", "max_model_len": 400, "meta": {"n_ctx": 5}}
    for seed in SEEDS:
        for content, ask in (
            ({"data": [entry]}, lambda: find_model(server, None)),
            (answer(), lambda: find_dialect(server, {"ids": (1,), "text": (1,)})),
        ):
            said["answer"] = mutated(content, Random(seed))
            with contextlib.suppress(SettingsError):
                asyncio.run(ask())


@pytest.mark.parametrize("kind", SERVERS)
def test_what_a_server_says_is_wrong_is_told_in_its_words_whatever_its_form(kind, monkeypatch):
    async def loading(self, call):
        return {"object": "error", "message": "model is still loading"}

    monkeypatch.setattr(Server, "_json", loading)
    monkeypatch.setattr(Server, "_call", lambda *unused: None)
    for dialect in SERVERS[kind]:
        server = Server("http://host/v1", Wire("m", ByteTokenizer(), frozenset([0]), dialect))
        with pytest.raises(Fault, match="model is still loading"):
            asyncio.run(server.post({}))


def test_a_chat_server_without_a_choice_for_one_token_is_taken(monkeypatch):
    async def retrying(self, work, *arguments):
        return {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}

    monkeypatch.setattr(Server, "retrying", retrying)
    tokenizer = ByteTokenizer()
    server = Server("http://host/v1", Wire("m", tokenizer, frozenset([0]), TOKENS))
    prompt = {"messages": tokenizer.encode('[{"role": "user", "content": "hi"}]')}
    assert asyncio.run(find_dialect(server, prompt)).path == "/chat/completions"


def test_surrogate_pairs_that_a_stream_has_cut_are_joined_and_halves_are_marked():
    ids = WIRE.of_text("a\ud83d" + "\ude00b\udc00", ended=False, reasoning="\ud83d").token_ids
    assert ByteTokenizer().decode(ids) == "<think>\n\ufffd\n</think>\n\na😀b\ufffd"
