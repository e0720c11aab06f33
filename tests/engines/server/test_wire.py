"""What servers send, in the shapes that they were seen to have."""

import pytest

from lm_eval_tts.core.program import Generate, Sampling
from lm_eval_tts.engines.requests import BatchRow, RowEngine
from lm_eval_tts.engines.scripted import EOS
from lm_eval_tts.engines.server.dialects import CHAT, STRICT, STRICT_CHAT, TEXT
from lm_eval_tts.engines.server.wire import Fault, Piece, Wire, read_event
from lm_eval_tts.engines.tokenizer import ByteTokenizer
from lm_eval_tts.errors import RequestError

CODEC = ByteTokenizer()
EVENTS = {
    "only usage": ({"choices": [], "usage": {"prompt_tokens": 1}}, Piece()),
    "choices null": ({"choices": None, "usage": {}}, Piece()),
    "delta null": ({"choices": [{"delta": None, "text": "a"}]}, Piece(text="a")),
    "content null": ({"choices": [{"delta": {"content": None}}]}, Piece()),
    "reasoning_content": ({"choices": [{"delta": {"reasoning_content": "b"}}]}, Piece("b")),
    "reasoning": ({"choices": [{"delta": {"reasoning": "b", "content": ""}}]}, Piece("b")),
    "parts": (
        {
            "choices": [
                {
                    "delta": {
                        "content": [
                            {"type": "thinking", "thinking": [{"type": "text", "text": "b"}]},
                            {"type": "text", "text": "a"},
                        ]
                    }
                }
            ]
        },
        Piece("b", "a"),
    ),
    "end": ({"choices": [{"delta": {}, "finish_reason": "eos"}]}, Piece(finish_reason="eos")),
}


def wire(dialect=CHAT, **changes) -> Wire:
    return Wire("m", CODEC, frozenset([EOS]), dialect, **changes)


def row_of(sampling: Sampling, prompt: str = "[]", **changes) -> BatchRow:
    ids = CODEC.encode(prompt)
    return BatchRow(Generate(ids, 90, sampling=sampling, **changes), 0, 90, list(ids))


@pytest.mark.parametrize("name", EVENTS)
def test_events_are_read(name):
    event, want = EVENTS[name]
    assert read_event(event) == want


def test_an_error_in_a_stream_is_a_failure_with_its_words():
    with pytest.raises(Fault, match="KV cache exhausted"):
        read_event({"error": {"message": "KV cache exhausted", "code": 500}})


def test_reasoning_is_thinking_in_which_no_stop_string_ends_the_answer():
    engine = RowEngine(CODEC, eos_token_ids=[EOS], max_length=400, max_num_seqs=1)
    engine.add_request(0, Generate(CODEC.encode("[]"), 300, stop=("\n",)), 0)
    (row,) = engine.take(1)
    engine.take_part(row, wire().of_text("42\n", ended=False, reasoning="1\n2"))
    engine.finished(row)
    (output,) = engine.pop_finished()
    (completion,) = output.result
    assert CODEC.decode(completion.token_ids) == "<think>\n1\n2\n</think>\n\n42"
    assert completion.finish_reason == "stop"


def test_a_thought_that_used_up_everything_stays_open():
    sampled = wire().of_text("", ended=False, reasoning="so far")
    assert CODEC.decode(sampled.token_ids) == "<think>\nso far"


def test_a_setting_is_sent_or_refused():
    penalties = Sampling(frequency_penalty=0.5, presence_penalty=0.25)
    for dialect in (TEXT, STRICT, CHAT, STRICT_CHAT):
        body = wire(dialect).payload(row_of(penalties))
        assert (body["frequency_penalty"], body["presence_penalty"]) == (0.5, 0.25)
    assert wire(TEXT).payload(row_of(Sampling(top_k=5)))["top_k"] == 5
    with pytest.raises(RequestError, match="takes no top_k"):
        wire(STRICT).payload(row_of(Sampling(top_k=5)))


def test_template_arguments_reach_the_server_in_its_own_words_or_are_refused():
    arguments = {"enable_thinking": False, "reasoning_effort": "low"}
    body = wire(CHAT, template_args=arguments).payload(row_of(Sampling()))
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["reasoning_effort"] == "low"
    assert "chat_template_kwargs" not in wire(TEXT, template_args=arguments).payload(
        row_of(Sampling())
    )
    with pytest.raises(RequestError, match="takes no chat_template_args: enable_thinking"):
        wire(STRICT_CHAT, template_args=arguments).payload(row_of(Sampling()))
