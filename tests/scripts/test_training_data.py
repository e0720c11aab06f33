"""Rows to prompts and responses; bad data is told before training starts."""

import json
from pathlib import Path

import pytest
import training_data as data

from lm_eval_tts.errors import DataError
from lm_eval_tts.prompts import load_prompts

THINK = load_prompts().preset("think")
S1K = {
    "question": "What is 2+2?",
    "deepseek_thinking_trajectory": "Two and two.",
    "deepseek_attempt": "4",
    "solution": "4",
}
GSM8K = {"question": "Tom has 2 pens and buys 2.", "answer": "He has 2+2=<<2+2=4>>4.\n#### 1,004"}


@pytest.mark.parametrize(
    ("row", "want"),
    [
        (S1K, "<think>\nTwo and two.\n</think>\n<answer>4</answer>"),
        (GSM8K, "<think>\nHe has 2+2=<<2+2=4>>4.\n</think>\n<answer>1,004</answer>"),
        (
            {"question": "Q", "thinking_trajectories": ["a", "b"], "attempt": "c"},
            "<think>\na\n</think>\n<answer>c</answer>",
        ),
    ],
)
def test_columns_of_s1k_and_gsm8k_become_a_response_in_tags(row, want):
    assert data.to_example(row, THINK, "here").completion == want


def test_the_answer_of_gsm8k_is_what_follows_its_mark():
    assert data.final_answer(GSM8K, "here") == "1004"


def test_the_loss_is_on_the_completion_and_its_end_alone(tiny_tokenizer):
    example = data.Example("What is 2+2?", "<think>\nWait", ", four.</think>")
    row = data.tokenize(example, tiny_tokenizer)
    learned = [token for token, label in zip(*row.values(), strict=True) if label != -100]
    assert tiny_tokenizer.decode(learned) == ", four.</think><|end|>"
    given = row["input_ids"][: -len(learned)]
    assert tiny_tokenizer.decode(given).endswith("<|assistant|><think>\nWait")


@pytest.mark.parametrize("row", [S1K, {"question": "What is 2+2?", "completion": "4"}])
def test_an_instruction_is_the_system_message(row, tiny_tokenizer):
    bare = data.to_example(row, THINK, "here")
    told = data.to_example({**row, "instruction": "Be short."}, THINK, "here")
    prompt = data.chat_prompt(told.question, tiny_tokenizer, told.instruction)
    assert prompt == data.chat_prompt(bare.question, tiny_tokenizer, "Be short.")
    assert "Be short." in prompt
    given = data.tokenize(told, tiny_tokenizer)["input_ids"]
    assert tiny_tokenizer.decode(given).startswith(prompt)
    assert "Be short." not in tiny_tokenizer.decode(
        data.tokenize(bare, tiny_tokenizer)["input_ids"]
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"prompt": "Q"}\n', "row 1: needs one of question, problem; has prompt"),
        ('{"question": "Q", "answer": "4"}\n', "row 1: needs one of thinking"),
        ('{"question": "Q", "thinking": "t"}\n', "row 1: needs one of answer"),
        ("not json\n", "cannot be read"),
        ("", "no rows|cannot be read"),
        (None, "does not exist"),
    ],
)
def test_bad_data_is_named_with_its_row(tmp_path: Path, content, message):
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        data.check_examples(data.load_rows(str(path), "train"), THINK, str(path))


def test_a_local_file_is_read_in_order(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({**S1K, "question": f"Q{i}"}) + "\n" for i in range(3)))
    assert [row["question"] for row in data.load_rows(str(path), "train")] == ["Q0", "Q1", "Q2"]
