"""Each kind of server is asked in its own words and read in its own shapes (recorded ones)."""

import pytest
from hf_helpers import complete_all
from recorded_servers import RecordedServer, lines, sse

from lm_eval_tts.core.program import Generate, Sampling
from lm_eval_tts.engines.asynchronous import AsyncEngine, Background
from lm_eval_tts.engines.requests import BatchRow
from lm_eval_tts.engines.scripted import EOS
from lm_eval_tts.engines.server.client import Server, find_dialect, find_model
from lm_eval_tts.engines.server.dialects import OFF, SERVERS, server_of
from lm_eval_tts.engines.server.wire import Wire
from lm_eval_tts.engines.tokenizer import ByteTokenizer
from lm_eval_tts.errors import RequestError

CODEC = ByteTokenizer()
PROMPT = tuple(b"Question: 2+2?")
MESSAGES = tuple(b'[{"role": "user", "content": "2+2?"}]')
BACKGROUND = Background()


def openai_text(text="4.", reason="stop"):
    """What completions stream, and what they answer at once."""

    def answer(body):
        usage = {"prompt_tokens": 14, "completion_tokens": 3}
        if not body.get("stream"):
            return {"choices": [{"text": text, "finish_reason": reason}], "usage": usage}
        events = [{"choices": [{"text": piece, "finish_reason": None}]} for piece in text]
        return [*events, {"choices": [{"text": "", "finish_reason": reason}], "usage": usage}]

    return answer


def openai_chat(*deltas, reason="stop", usage=None):
    def answer(body):
        if not body.get("stream"):
            return {"choices": [{"message": {"content": "4."}, "finish_reason": reason}]}
        events = [{"choices": [{"delta": delta, "finish_reason": None}]} for delta in deltas]
        end = {"choices": [{"delta": {}, "finish_reason": reason}]}
        return [*events, end, {"choices": [], "usage": usage}]

    return answer


def llamacpp(body):
    """llama.cpp b11549, POST /completion."""
    tops = [{"id": 52, "token": "4", "logprob": -0.5}, {"id": 53, "token": "5", "logprob": -2.0}]
    told = [{"id": i, "logprob": -0.5, "top_logprobs": tops} for i in (52, 46, EOS)]
    return {
        "content": "4.<|im_end|>",
        "tokens": [52, 46, EOS],
        "tokens_predicted": 3,
        "tokens_evaluated": len(body["prompt"]),
        "tokens_cached": 16,
        "truncated": False,
        "stop": True,
        "stop_type": "eos",
        "stopping_word": "",
        "timings": {"cache_n": 4, "prompt_n": 10, "predicted_n": 3},
        **({"completion_probabilities": told} if "n_probs" in body else {}),
    }


def sglang(body):
    told = [[-0.5, 52, None], [-0.1, 46, None], [-0.2, EOS, None]]
    tops = [[[-0.5, 52, None], [-2.0, 53, None]]] * 3
    more = {"output_token_logprobs": told, "output_top_logprobs": tops}
    return {
        "text": "4.",
        "output_ids": [52, 46, EOS],
        "meta_info": {
            "finish_reason": {"type": "stop", "matched": EOS},
            "prompt_tokens": len(body["input_ids"]),
            "completion_tokens": 3,
            "cached_tokens": 4,
            **(more if body.get("return_logprob") else {}),
        },
    }


def ollama(body):
    counts = {"prompt_eval_count": 14, "eval_count": 3}
    end = {"model": "m", "response": "", "done": True, "done_reason": "stop", **counts}
    if not body["stream"]:
        return {**end, "response": "4."}
    return lines(*({"model": "m", "response": piece, "done": False} for piece in "4."), end)


ENTRIES = {
    "SGLang": {"owned_by": "sglang"},
    "llama.cpp": {"owned_by": "llamacpp", "meta": {"n_ctx": 2048}, "max_model_len": None},
    "Ollama": {"owned_by": "library"},
    "LM Studio": {"owned_by": "organization_owner"},
    "TGI": {"owned_by": "m"},
    "OpenAI": {"owned_by": "system"},
}
ROUTES = {
    "SGLang": {"/generate": sglang},
    "llama.cpp": {"/completion": llamacpp, "/v1/completions": openai_text()},
    "Ollama": {"/api/generate": ollama, "/v1/completions": openai_text("a template's")},
    "LM Studio": {"/v1/completions": openai_text()},
    "TGI": {"/v1/completions": openai_text()},
    "OpenAI": {"/v1/chat/completions": openai_chat({"content": "4."})},
}


class Asked:
    """A server, the client that has found out how to ask it, and an engine over both."""

    def __init__(self, entry, routes) -> None:
        self.server = RecordedServer(entry, routes)
        wire = Wire("m", CODEC, frozenset([EOS]))
        self.client = Server(self.server.url, wire, timeout=5, max_retries=2, first_wait=0.01)
        served = BACKGROUND.run(find_model(self.client, None))
        prompts = {"ids": PROMPT, "text": PROMPT, "messages": MESSAGES}
        wire.dialect = BACKGROUND.run(find_dialect(self.client, prompts, served.server))

    def complete(self, op):
        sample, ends = self.client.sample, [EOS]
        limits = {"eos_token_ids": ends, "max_length": 4096, "max_num_seqs": 2}
        (result,) = complete_all(AsyncEngine(sample, BACKGROUND, CODEC, **limits), [op])
        return result

    def prompt(self):
        return MESSAGES if self.client.wire.dialect.prompt == "messages" else PROMPT


@pytest.fixture
def ask():
    made = []

    def start(entry, routes):
        made.append(Asked(entry, routes))
        return made[-1]

    yield start
    for asked in made:
        BACKGROUND.run(asked.client.close())
        asked.server.shutdown()
        asked.server.server_close()


@pytest.mark.parametrize("kind", ENTRIES)
def test_a_server_is_known_and_asked_by_its_best_way(ask, kind):
    asked = ask(ENTRIES[kind], ROUTES[kind])
    (completion,) = asked.complete(Generate(asked.prompt(), 50, stop=("never",)))
    assert CODEC.decode(completion.token_ids) == "4."
    assert completion.finish_reason == "eos"
    assert completion.num_sampled == 3
    exact = kind in ("SGLang", "llama.cpp")
    assert asked.client.wire.dialect.returns_ids == exact
    assert asked.client.prompt_tokens["cached"] == (4 if exact else 0)


@pytest.mark.parametrize("kind", ["SGLang", "llama.cpp"])
def test_log_probabilities_come_where_token_ids_do(ask, kind):
    (completion,) = ask(ENTRIES[kind], ROUTES[kind]).complete(Generate(PROMPT, 50, logprobs=2))
    assert completion.logprobs[0].sampled == -0.5
    assert completion.logprobs[0].top == (-0.5, -2.0)


# The name of each server for a setting; None: it has none, or something else by that name.
NAMES = {
    "top_k": {"OpenAI": None, "TGI": None},
    "min_p": {"OpenAI": None, "TGI": None, "LM Studio": None},
    "repetition_penalty": {
        "llama.cpp": "repeat_penalty",
        "Ollama": "repeat_penalty",
        "LM Studio": "repeat_penalty",
        "OpenAI": None,
    },
    "presence_penalty": {"TGI": None},
    "frequency_penalty": {},
    "top_p": {},
    "temperature": {},
}


@pytest.mark.parametrize("kind", [kind for kind in SERVERS if kind != "unknown"])
@pytest.mark.parametrize("setting", NAMES)
def test_a_setting_is_said_in_the_servers_word_or_refused(kind, setting):
    way = SERVERS[kind][0]
    sampling = Sampling(**{"temperature": 0.5, setting: 7 if setting == "top_k" else 0.25})
    name = NAMES[setting].get(kind, setting)
    wire = Wire("m", CODEC, frozenset([EOS]), way)
    row = BatchRow(Generate(PROMPT, 9, sampling=sampling), 2**62 + 5, 9, list(PROMPT))
    if name is None:
        with pytest.raises(RequestError, match=f"takes no {setting}"):
            wire.payload(row)
        return
    body = wire.payload(row)
    assert (body[way.under] if way.under else body)[name] == getattr(sampling, setting)


def test_servers_with_defaults_of_their_own_are_told_that_a_setting_is_off():
    row = BatchRow(Generate(PROMPT, 9), 2**62 + 5, 9, list(PROMPT))
    for kind, off in (("vLLM", -1), ("SGLang", -1), ("llama.cpp", 0), ("Ollama", 0)):
        way = SERVERS[kind][0]
        body = Wire("m", CODEC, frozenset([EOS]), way, max_length=777).payload(row)
        said = body[way.under] if way.under else body
        assert (said["top_k"], said["min_p"], said["top_p"]) == (off, 0.0, 1.0)
        assert said[way.settings["repetition_penalty"]] == 1.0
        assert said[way.settings["seed"]] == (5 if kind in ("llama.cpp", "Ollama") else 2**62 + 5)
        assert all(said[name] == 777 for name in way.context)
    assert "top_p" not in Wire("m", CODEC, frozenset([EOS]), SERVERS["TGI"][0]).payload(row)


def test_every_way_says_or_refuses_every_setting():
    for way in (way for ways in SERVERS.values() for way in ways):
        wire = Wire("m", CODEC, frozenset([EOS]), way)
        for name, off in OFF.items():
            sampling = Sampling(**{"temperature": 1.0, name: off + 1 if off == 0 else off / 2})
            if way.settings.get(name):
                said = wire.sampling(sampling)
                assert said[way.settings[name]] == getattr(sampling, name)
            else:
                with pytest.raises(RequestError, match=f"takes no {name}"):
                    wire.sampling(sampling)


@pytest.mark.parametrize(
    ("owner", "kind"), [("vllm", "vLLM"), ("m", "TGI"), ("somebody", "unknown"), (None, "unknown")]
)
def test_a_server_is_known_by_the_owner_of_its_models(owner, kind):
    assert server_of({"id": "m", "owned_by": owner}) == kind


REFUSALS = {
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    "'max_completion_tokens' instead.",
    "temperature": "Unsupported value: 'temperature' does not support 0 with this model. Only the "
    "default (1) value is supported.",
    "top_p": "Unsupported parameter: 'top_p' is not supported with this model.",
    "seed": "Unrecognized request argument supplied: seed",
}


def picky(*lacking):
    """An OpenAI server with a model that lacks these settings."""

    def answer(body):
        for name in lacking:
            if name in body:
                return 400, {"error": {"message": REFUSALS[name], "param": name}}
        return openai_chat({"content": "4."})(body)

    return answer


@pytest.mark.parametrize("owner", ["system", None])
def test_a_model_without_temperature_is_asked_without_and_refuses_one(ask, owner):
    lacking = ("max_tokens", "temperature", "top_p", "seed")
    asked = ask({"owned_by": owner}, {"/v1/chat/completions": picky(*lacking)})
    assert asked.client.wire.lacking == {"temperature", "top_p", "seed"}
    (fine,) = asked.complete(Generate(MESSAGES, 9, sampling=Sampling(temperature=1.0)))
    assert CODEC.decode(fine.token_ids) == "4."
    assert asked.server.calls[-1]["max_completion_tokens"] == 9
    assert not set(lacking) & set(asked.server.calls[-1])
    refused = asked.complete(Generate(MESSAGES, 9))
    assert "takes no temperature=0: set temperature=1" in str(refused)


def test_a_refusal_that_repeats_the_whole_call_teaches_nothing(ask):
    def answer(body):
        if "top_k" in body:
            return 422, {"detail": [{"type": "extra_forbidden", "input": body}]}
        return openai_chat({"content": "4."})(body)

    asked = ask({}, {"/v1/chat/completions": answer})
    assert asked.client.wire.lacking == frozenset()
    assert "top_k" not in asked.server.calls[-1]


USAGE = {
    "prompt_tokens": 14,
    "completion_tokens": 50,
    "completion_tokens_details": {"reasoning_tokens": 40},
}
STREAMS = {
    "reasoning_content": (
        [{"reasoning_content": "a\n"}, {"reasoning_content": "b"}, {"content": "4"}],
        USAGE,
        "<think>\na\nb\n</think>\n\n4",
        (40, 50),
    ),
    "reasoning, counts beside": (
        [{"reasoning": "a", "content": None}, {"content": "4"}],
        {"completion_tokens": 7, "reasoning_tokens": 5},
        "<think>\na\n</think>\n\n4",
        (5, 7),
    ),
    "counts of the answer alone": (
        [{"content": "4"}],
        {"completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 300}},
        "<think>\n\n</think>\n\n4",
        (300, 302),
    ),
    "harmony in the content": (
        [
            {"content": "<|channel|>analysis<|message|>a<|end|><|start|>assistant"},
            {"content": "<|channel|>commentary<|message|>b<|end|><|start|>assistant"},
            {"content": "<|channel|>final<|message|>4<|return|>"},
        ],
        None,
        "<think>\nab\n</think>\n\n4",
        None,
    ),
    "harmony without its marks": (
        [{"content": "analysisabc"}, {"content": ".assistantfinal4"}],
        None,
        "<think>\nabc.\n</think>\n\n4",
        None,
    ),
    "parts": (
        [
            {"content": [{"type": "reasoning", "text": "a"}]},
            {"content": [{"type": "output_text", "text": "4"}]},
        ],
        None,
        "<think>\na\n</think>\n\n4",
        None,
    ),
    "no counts": ([{"content": "4"}], {"completion_tokens": None}, "4", None),
}


@pytest.mark.parametrize("name", STREAMS)
def test_what_a_server_reasons_is_thinking_and_its_counts_are_taken(ask, name):
    deltas, usage, text, counts = STREAMS[name]
    asked = ask({}, {"/v1/chat/completions": openai_chat(*deltas, usage=usage)})
    (completion,) = asked.complete(Generate(MESSAGES, 90))
    assert CODEC.decode(completion.token_ids) == text
    assert completion.counts == counts
    assert completion.finish_reason == "eos"


@pytest.mark.parametrize(
    ("deltas", "reason", "usage", "text"),
    [
        ([{"reasoning_content": "so far"}], "length", None, "<think>\nso far"),
        ([{"content": None}], "length", {**USAGE, "completion_tokens": 40}, "<think>\n"),
        ([{"content": ""}], "stop", {**USAGE, "completion_tokens": 90}, "<think>\n"),
        (
            [{"content": "<|channel|>analysis<|message|>so far"}],
            "max_tokens",
            None,
            "<think>\nso far",
        ),
    ],
)
def test_a_thought_that_used_up_everything_is_cut(ask, deltas, reason, usage, text):
    asked = ask({}, {"/v1/chat/completions": openai_chat(*deltas, reason=reason, usage=usage)})
    (completion,) = asked.complete(Generate(MESSAGES, 90))
    assert CODEC.decode(completion.token_ids) == text
    assert completion.finish_reason == "length"


FINE = {"choices": [{"text": "4", "finish_reason": "stop"}]}
ODD = {
    "no [DONE]": (sse(FINE).replace(b"data: [DONE]\n\n", b""), "4"),
    "no blank after data:": (sse(FINE).replace(b"data: ", b"data:"), "4"),
    "comments and names": (b": ping\n\nevent: message\nid: 1\n" + sse(FINE), "4"),
    "line ends of Windows": (sse(FINE).replace(b"\n", b"\r\n"), "4"),
    "one answer, not a stream": (FINE, "4"),
    "choices null": (sse({"choices": None}, FINE), "4"),
    "usage null": (sse({"choices": [], "usage": None}, FINE), "4"),
    "a very long event": (sse({"choices": [{"text": "4" * 400_000}]}, FINE), "4" * 90),
    "error event": (sse({"error": {"message": "KV cache exhausted"}}), "KV cache exhausted"),
    "error text": (sse({"error": "overloaded", "error_type": "x"}), "overloaded"),
    "error object": (sse({"object": "error", "message": "too long", "code": 400}), "too long"),
    "error line": (b'error: {"code":500,"message":"slot lost","type":"error"}\n\n', "slot lost"),
    "error as an answer": ({"error": {"message": "no room"}}, "no room"),
    "detail": (sse({"detail": "went away"}), "went away"),
    "choice null": (sse({"choices": [None]}), "cannot be read"),
    "content filter": (
        sse({"choices": [{"text": "", "finish_reason": "content_filter"}]}),
        "ended its answer with 'content_filter'",
    ),
    "no finish_reason": (sse({"choices": [{"text": "4"}]}), "a stream that ended with None"),
    "abort": (sse({"choices": [{"text": "4", "finish_reason": "abort"}]}), "with 'abort'"),
    "counts that are none": (
        sse({"choices": FINE["choices"], "usage": {"completion_tokens": "3"}}),
        "not a whole number",
    ),
    "nothing": (b"", "a stream that ended with None"),
}


@pytest.mark.parametrize("name", ODD)
def test_a_stream_is_read_or_is_one_clear_failure(ask, name):
    stream, want = ODD[name]

    def answer(body):
        return stream if body.get("stream") else FINE

    asked = ask({}, {"/v1/completions": answer})
    result = asked.complete(Generate(PROMPT, 90, stop=("never",)))
    if isinstance(result, RequestError):
        assert want in str(result)
    else:
        assert CODEC.decode(result[0].token_ids) == want
    tries = 1 if isinstance(result, tuple) or "content_filter" in want else 2
    assert sum(bool(call.get("stream")) for call in asked.server.calls) == tries
