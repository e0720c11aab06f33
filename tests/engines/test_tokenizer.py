"""Forced texts have the ids that the whole text has, in the pre-tokenizers of the big families."""

from functools import cache

import pytest
import training_data as data
from helpers import run_one
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from lm_eval_tts.core.trace import Delimiters, Request, Trace
from lm_eval_tts.engines.scripted import ScriptedEngine
from lm_eval_tts.engines.tokenizer import HFTokenizer
from lm_eval_tts.prompts import load_prompts
from lm_eval_tts.strategies.budget import Budget

THINK = load_prompts().preset("think")
QWEN = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}]*[\p{Ll}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}]+[\p{Ll}]*|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {"qwen": QWEN, "llama": LLAMA, "tekken": TEKKEN, "gpt2": None}
SENTENCE_PIECES = {"metaspace": "never", "metaspace-first": "first", "metaspace-always": "always"}
FAMILIES = [*PATTERNS, "bytes", *SENTENCE_PIECES, "llama2"]
CORPUS = [
    "<think>\nWe add 2 and 3.\nSo it is 5.</think>\n<answer>5</answer>Wait, <answer>\n",
    "<think>\nIt is 12.\n</think>\n<answer>12</answer> Wait. Hmm so the answer> is\n\n7\n<th>\n",
] * 4
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TURNS = ("<|im_start|>", "<|im_end|>")


@cache
def tokenizer_of(family: str) -> PreTrainedTokenizerFast:
    """A small BPE tokenizer that splits texts as the family's do."""
    pieces = family in SENTENCE_PIECES or family == "llama2"
    backend = sentence_pieces(family) if pieces else byte_level(family)
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False)
    fast.add_tokens([AddedToken(turn, special=True, normalized=False) for turn in TURNS])
    fast.eos_token, fast.chat_template = "<|im_end|>", CHATML
    return fast


def sentence_pieces(family: str) -> Tokenizer:
    """Pieces of words, line breaks as bytes, with the family's way to a space in front."""
    backend = Tokenizer(models.BPE(byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    every_byte = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=500, show_progress=False, special_tokens=every_byte)
    backend.train_from_iterator([line for text in CORPUS for line in text.split("\n")], trainer)
    if family == "llama2":
        backend.pre_tokenizer = None
        parts = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        backend.normalizer = normalizers.Sequence(parts)
    else:
        scheme = SENTENCE_PIECES[family]
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    strip = [] if family == "metaspace" else [decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    return backend


def byte_level(family: str) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=family == "gpt2")
    if pattern := PATTERNS.get(family):
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        level = pre_tokenizers.Sequence([split, level])
    backend.pre_tokenizer, backend.decoder = level, decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator([] if family == "bytes" else CORPUS, trainer)
    return backend


def ids_of(tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def request_of(tokenizer, delimiters: Delimiters = THINK) -> Request:
    text = HFTokenizer(tokenizer)
    return Request(
        tuple(ids_of(tokenizer, data.chat_prompt("What is 2+3?", tokenizer))),
        1000,
        text.encode,
        text.decode,
        delimiters=delimiters,
        encode_after=text.encode_after,
    )


class Writer(ScriptedEngine):
    """Samples the ids it is given: thoughts, and last the answer."""

    def __init__(self, tokenizer, *scripts: list[int]) -> None:
        super().__init__(tokenizer=HFTokenizer(tokenizer), max_num_seqs=1)
        self.scripts, self.eos = list(scripts), tokenizer.eos_token_id
        self.eos_token_ids = frozenset({self.eos})

    def _script(self, row):
        return (*self.scripts.pop(0), self.eos)


def respond(tokenizer, *scripts, delimiters: Delimiters = THINK, **settings) -> Trace:
    engine = Writer(tokenizer, *scripts)
    return run_one(Budget(**settings).run(request_of(tokenizer, delimiters)), engine).value


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_forced_is_what_training_has(family):
    """A thought that the training data has is cut where it ends: all around it is forced."""
    tokenizer = tokenizer_of(family)
    row = {"question": "What is 2+3?", "thinking": "It is 5.", "answer": "5"}
    example = data.to_example(row, THINK, "here")
    trained = data.tokenize(example, tokenizer)["input_ids"]
    prompt = list(request_of(tokenizer).prompt)
    opening = HFTokenizer(tokenizer).encode_after(prompt, THINK.thinking_start)
    start = len(prompt) + len(opening)
    assert tuple(trained[len(prompt) : start]) == opening
    text = HFTokenizer(tokenizer)
    ends = [n for n in range(start, len(trained)) if "5.\n" in text.decode(trained[start:n])]
    thought = trained[start : ends[0]]
    trace = respond(tokenizer, thought, trained[-3:], max_thinking_tokens=(len(thought),))
    forced = [s.token_ids for s in trace.segments if s.forced][1]
    assert tuple(trained[ends[0] :][: len(forced)]) == forced


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=40)
@given(
    thoughts=st.lists(
        st.text("ab 1.\n<>é", max_size=12) | st.sampled_from(["It is 5.", "So\n", "a <", "12"]),
        min_size=2,
        max_size=2,
    ),
)
def test_prompt_forced_and_sampled_parts_are_the_ids_of_the_whole_text(family, thoughts):
    """Sampled ids are those of the whole text, so a seam is only crossed by a token of it."""
    tokenizer = tokenizer_of(family)
    text = HFTokenizer(tokenizer)
    prompt = data.chat_prompt("What is 2+3?", tokenizer)
    parts = ["<think>\n", thoughts[0], "Wait", thoughts[1], "</think>\n<answer>"]
    parts += ["25.", "</answer>"]
    sampled, before = [], prompt
    for part in parts:
        whole, stem = ids_of(tokenizer, before + part), ids_of(tokenizer, before)
        if whole[: len(stem)] != stem or text.decode(whole[len(stem) :]).strip() != part.strip():
            return  # a token of the whole text lies across this seam
        sampled.append(whole[len(stem) :])
        before += part
    trace = respond(tokenizer, sampled[1], sampled[3], [*sampled[5], *sampled[6]], num_waits=1)
    assert list(trace.token_ids) == ids_of(tokenizer, before)


@pytest.mark.parametrize("family", ["qwen", "llama", "tekken"])
def test_an_opening_is_split_as_it_is_behind_the_prompt(family):
    tokenizer = tokenizer_of(family)
    opening = HFTokenizer(tokenizer).encode_after(request_of(tokenizer).prompt, "<think>\n")
    assert list(opening) == ids_of(tokenizer, "<think>\n")
    assert list(opening) == ids_of(tokenizer, "\n<think>\n")[1:]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_ending_that_the_model_wrote_keeps_its_tokens(family):
    """Also where its last token already has the line break that follows."""
    tokenizer = tokenizer_of(family)
    text = HFTokenizer(tokenizer)
    for written in ("</think>\n<answer>", "</think>"):
        ending = text.encode(written)
        trace = respond(tokenizer, [*text.encode("It is 5.\n"), *ending], text.encode("5"))
        tag = next(s for s in trace.segments[1:] if s.phase == "tag" and not s.forced)
        assert tag.token_ids == ending[: len(tag.token_ids)]
        assert text.decode(trace.response_ids).endswith(".\n</think>\n<answer>5</answer>")


def test_a_delimiter_is_forced_after_what_stands_before_it_and_nothing_before_it_changes():
    tokenizer = tokenizer_of("qwen")
    text = HFTokenizer(tokenizer)
    for before in ("so", "so.", "so.\n", "so <", ""):
        ids = text.encode(before)
        after = text.encode_after(ids, "</think>")
        assert text.decode([*ids, *after]) == f"{before}</think>"


def test_delimiters_without_an_answer_tag_force_the_blank_line_with_the_ending():
    tokenizer, text = tokenizer_of("qwen"), HFTokenizer(tokenizer_of("qwen"))
    plain = Delimiters("<think>\n", "</think>\n\n")
    trace = respond(tokenizer, text.encode("It is 5.\n"), text.encode("5"), delimiters=plain)
    response = "<think>\nIt is 5.\n</think>\n\n5"
    assert list(trace.token_ids) == ids_of(tokenizer, text.decode(trace.prompt) + response)
