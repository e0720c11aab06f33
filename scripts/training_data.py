"""Rows of a dataset to prompts and responses, checked before training starts.

Takes the columns of s1K and s1K-1.1, of GSM8K, and plain ones: question, thinking, answer. A row
may instead have a ready `completion`, with a `prefix` of the response that is not to be learned.
Where it has an `instruction`, that is the system message, as a prompt style's is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import datasets
from transformers import PreTrainedTokenizerBase

from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.engines.tokenizer import HFTokenizer
from lm_eval_tts.errors import DataError
from lm_eval_tts.prompts import plain_prompt

Row = Mapping[str, Any]
QUESTION = ("question", "problem")
THINKING = (
    "thinking",
    "deepseek_thinking_trajectory",
    "thinking_trajectories",
    "gemini_thinking_trajectory",
)
ANSWER = ("answer", "deepseek_attempt", "attempt", "gemini_attempt")
GSM8K_MARK = "####"


class Example(NamedTuple):
    """A question, and a response of which `prefix` is given and `completion` is learned."""

    question: str
    prefix: str
    completion: str
    instruction: str = ""


def load_rows(dataset: str, split: str, config: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of a local .jsonl file or of a dataset on the Hub. Raises DataError."""
    is_file = dataset.endswith((".jsonl", ".json"))
    if is_file and not Path(dataset).is_file():
        raise DataError(f"dataset {dataset} does not exist: give a .jsonl file or a Hub name")
    try:
        loaded = (
            datasets.load_dataset("json", data_files=dataset, split="train")
            if is_file
            else datasets.load_dataset(dataset, config, split=split)
        )
    except Exception as error:  # the libraries behind it raise many kinds
        raise DataError(f"dataset {dataset} cannot be read: {error}") from error
    if not len(loaded):
        raise DataError(f"dataset {dataset} has no rows")
    return list(loaded)


def first_column(row: Row, names: Iterable[str], where: str) -> str:
    """Return the first of these columns that has a text. Raises DataError if none has."""
    for name in names:
        value = row.get(name)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, (str, int, float)) and str(value).strip():
            return str(value)
    raise DataError(f"{where}: needs one of {', '.join(names)}; has {', '.join(sorted(row))}")


def final_answer(row: Row, where: str) -> str:
    """Return the answer of a row to grade by; of GSM8K what follows its mark."""
    answer = first_column(row, ANSWER, where)
    return answer.rpartition(GSM8K_MARK)[2].strip().replace(",", "")


def to_example(row: Row, marks: Delimiters, where: str) -> Example:
    """Put a row between the delimiters of a preset; a ready completion is taken as it is."""
    question, instruction = first_column(row, QUESTION, where), row.get("instruction") or ""
    if row.get("completion"):
        return Example(question, row.get("prefix") or "", row["completion"], instruction)
    answer = first_column(row, ANSWER, where)
    if GSM8K_MARK in answer:
        thinking, _, answer = answer.partition(GSM8K_MARK)
    else:
        thinking = first_column(row, THINKING, where)
    thought = marks.thinking_start + thinking.strip() + "\n" + marks.thinking_end
    answered = marks.answer_start + answer.strip() + marks.answer_end
    return Example(question, "", thought + answered, instruction)


def check_examples(rows: list[dict[str, Any]], marks: Delimiters, dataset: str) -> list[Example]:
    """Read every row, so that bad data is told before training. Raises DataError."""
    return [to_example(row, marks, f"{dataset}, row {i + 1}") for i, row in enumerate(rows)]


def chat_prompt(question: str, tokenizer: PreTrainedTokenizerBase, instruction: str = "") -> str:
    """Return the prompt as the tasks make it: the chat template, or the bare texts."""
    messages = [{"role": "system", "content": instruction}] if instruction else []
    messages.append({"role": "user", "content": question})
    if tokenizer.chat_template is None:
        return plain_prompt(messages)
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def tokenize(example: Example, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Return ids and labels: loss on the completion and its end of turn alone.

    The prompt is encoded by itself, as it is when a response is sampled, and what follows as it
    stands after it, as forced texts are: the adapter is measured after tokens that it has seen.
    """
    text = chat_prompt(example.question, tokenizer, example.instruction)
    has_bos = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    prompt = tokenizer(text, add_special_tokens=not has_bos).input_ids
    eos = [tokenizer.eos_token_id]
    if prompt[-1:] == eos:  # some tokenizers end every text with it
        prompt = prompt[:-1]
    encode_after = HFTokenizer(tokenizer).encode_after
    prompt = [*prompt, *encode_after(prompt, example.prefix)]
    learned = [*encode_after(prompt, example.completion), *eos]
    return {"input_ids": prompt + learned, "labels": [-100] * len(prompt) + learned}


def resume_point(given: str | None) -> str | bool | None:
    """Read --resume_from_checkpoint: a folder, or `true` for the last one of the output folder."""
    return True if str(given).lower() == "true" else given
