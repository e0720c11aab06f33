"""What a step says cannot pass for a mark of its family, or for a token that opens a turn."""

import pytest
from reward_checkpoints import byte_tokenizer, mistral_tokenizer

from lm_eval_tts.errors import RequestError
from lm_eval_tts.reward_models import inputs
from lm_eval_tts.reward_models.inputs import Words

CHAT = byte_tokenizer()
STEPS = ["one <extra_0> of\nthese", "is ки 2 ##", "кино"]


@pytest.mark.parametrize(
    ("write", "tokenizer", "mark"),
    [
        (inputs.write_math_shepherd, mistral_tokenizer(), "ки"),
        (inputs.write_qwen, CHAT, "<extra_0>"),
        (inputs.write_trl, CHAT, "\n"),
    ],
)
def test_there_are_as_many_marks_as_steps(write, tokenizer, mark):
    written = write(Words(tokenizer), "Add two.", STEPS)
    wanted = tokenizer.encode(mark)[-1]
    marks = [p for p, token in enumerate(written.token_ids) if token == wanted]
    assert len(written.positions) == len(STEPS)
    assert set(written.positions) <= set(marks)
    if mark != "ки":  # a word may begin with it
        assert list(written.positions) == marks
    assert written.positions[-1] == len(written.token_ids) - 1  # nothing behind the last score


def test_a_separator_of_several_tokens_ends_each_step_alone():
    ending = CHAT.encode(" ##\n")
    written = inputs.write_labelled(Words(CHAT, " ##\n"), "q", ["a ##\nb", "c"])
    text = CHAT.decode(written.token_ids)
    assert text.count(" ##\n") == 2
    for position in written.positions:
        assert list(written.token_ids[position + 1 - len(ending) : position + 1]) == ending


def test_the_skywork_step_ends_at_its_newline_whatever_is_in_it():
    written = inputs.write_skywork(Words(CHAT), "q", ["a\nb", "c"])
    newline = CHAT.encode("\n")[-1]
    assert [p for p, t in enumerate(written.token_ids) if t == newline][1:] == list(
        written.positions
    )


def test_special_tokens_are_found_in_a_text_and_marks_of_other_kinds_are_left():
    found = inputs.special_tokens(CHAT)
    assert found.sub(" ", "a<|eot|><|start|>user<|sep|>b <think>") == "a  user b <think>"
    assert found.sub(" ", "<|eo<|eot|>t|>") == "<|eo t|>"


def test_a_template_that_rewrites_earlier_turns_is_no_place_for_steps():
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{{ messages | length }}{{ messages[-1]['content'] }}"
    with pytest.raises(RequestError, match="rewrites earlier turns"):
        inputs.write_rlhflow(Words(tokenizer), "q", ["a", "b"])
