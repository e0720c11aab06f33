"""Whatever a user gets wrong is one line: what was given, and what is allowed or what to do."""

import json
from pathlib import Path

import pytest

from lm_eval_tts.errors import LmEvalTTSError, SettingsError
from lm_eval_tts.settings import parse_settings
from lm_eval_tts.tasks.data import load_benchmark

GENERATION = [
    ({"strategy": "budgt"}, "'budgt'", "did you mean 'budget'"),
    ({"strategy": ["budget"]}, "budget", "allowed: "),
    ({"strategy": None}, "None", "allowed: "),
    ({"strategy": "budget", "num_wait": 1}, "num_wait", "did you mean 'num_waits'"),
    ({"strategy": "budget", "num_waits": -1}, "num_waits=-1", ">= 0"),
    ({"strategy": "budget", "num_waits": "many"}, "num_waits='many'", "a whole number"),
    ({"strategy": "budget", "max_thinking_tokens": 1.5}, "1.5", "a whole number"),
    ({"strategy": "budget", "max_answer_tokens": 0}, "max_answer_tokens=0", ">= 1"),
    ({"strategy": "budget", "delimiters": "none"}, "budget", "thinking_end"),
    ({"strategy": "rejection", "prompt_style": "r1"}, "rejection", "temperature"),
    ({"temperature": "hot"}, "temperature='hot'", "a number"),
    ({"temperature": -1}, "temperature=-1", ">= 0"),
    ({"temperature": float("nan")}, "temperature=nan", ">= 0"),
    ({"temperature": float("inf")}, "temperature=inf", ">= 0"),
    ({"temperature": True}, "temperature=True", "a number"),
    ({"do_sample": "maybe"}, "do_sample='maybe'", "True or False"),
    ({"do_sample": True}, "do_sample=True", "set temperature > 0"),
    ({"top_p": 0}, "top_p=0", "(0, 1]"),
    ({"top_p": 50}, "top_p=50", "(0, 1]"),
    ({"top_k": -5}, "top_k=-5", ">= 0"),
    ({"min_p": 2}, "min_p=2", "[0, 1]"),
    ({"repetition_penalty": 0}, "repetition_penalty=0", "> 0"),
    ({"max_gen_toks": 0}, "max_gen_toks=0", ">= 1"),
    ({"max_gen_toks": "1e400"}, "1e400", "a whole number"),
    ({"seed": "lucky"}, "seed='lucky'", "a whole number"),
    ({"prompt_style": "reasoned"}, "'reasoned'", "did you mean 'reasoning'"),
    ({"prompt_style": "token"}, "thinking_tokens", "set thinking_tokens="),
    ({"prompt_style": "token", "thinking_tokens": -9}, "thinking_tokens=-9", ">= 1"),
    ({"prompt_style": "class", "thinking_length": "tiny"}, "'tiny'", "'short' and 'long'"),
    ({"delimiters": "xml"}, "'xml'", "allowed: "),
    ({"instruction_role": "boss"}, "'boss'", "'system' and 'user'"),
    ({"prompt_file": "/no/such.yaml"}, "/no/such.yaml", "cannot be read"),
    ({"prompt_file": "/"}, "prompt_file /", "cannot be read"),
]
PROMPT_FILES = [
    ("styles: [", "cannot be read", ""),
    (b"\xff\xfe", "cannot be read", ""),
    ("- a list", "expected the sections styles and delimiters", ""),
    ("stiles: {}", "'stiles'", "did you mean 'styles'"),
    ("styles: {mine: {question: no place}}", "no {question} in it", ""),
    ("styles: {mine: {instructions: x}}", "'instructions'", "did you mean 'instruction'"),
    ("styles: {mine: {instruction: 3}}", "mine.instruction must be a text, not 3", ""),
    ("styles: {mine: text}", "'mine' must have some of the fields", ""),
    ("delimiters: {mine: {start: x}}", "'start'", "allowed: "),
    (
        'styles: {mine: {instruction: "Use {thinkin_tokens}"}}',
        "'thinkin_tokens'",
        "did you mean 'thinking_tokens'",
    ),
    ('styles: {mine: {instruction: "Solve {question}"}}', "{question} belongs in", ""),
]
ROW = {"id": 1, "problem": "x", "answer": "2"}
DATA = [
    (b"", "has no rows"),
    (b"\n\n", "has no rows"),
    (b"{", "is not JSON lines in UTF-8"),
    ('{"id": "ä"}'.encode("latin-1"), "is not JSON lines in UTF-8"),
    (b"[1, 2]\n", "row 1 is not an object with columns"),
    (b"7\n", "row 1 is not an object with columns"),
    (json.dumps({"id": 1, "problem": "x"}).encode(), "row 1: no column 'answer'"),
    (json.dumps({**ROW, "answer": None}).encode(), "row 1: column 'answer' is empty"),
    (json.dumps({**ROW, "problem": "  "}).encode(), "row 1: column 'problem' is empty"),
    ((json.dumps(ROW) + "\n" + json.dumps(ROW)).encode(), "the id '1' occurs 2 times"),
]
MODEL = [
    ({"pretrained": "/no/such/folder"}, "pretrained='/no/such/folder'", "cannot be loaded"),
    ({"pretrained": "nobody/nothing"}, "pretrained='nobody/nothing'", "cannot be loaded"),
    ({"dtype": "float99"}, "dtype='float99'", "allowed: auto"),
    ({"peft": "/no/adapter"}, "peft='/no/adapter'", "cannot be loaded"),
    ({"tokenizer": "/no/tokenizer"}, "tokenizer='/no/tokenizer'", "cannot be loaded"),
    ({"no_such_argument": 1}, "no_such_argument=1", "cannot be loaded"),
    ({"pretrained": "arith-bse"}, "'arith-bse'", "did you mean 'arith-base'"),
    ({"pretraned": "x"}, "'pretraned'", "did you mean 'pretrained'"),
    ({"journall": "x"}, "'journall'", "did you mean 'journal'"),
    ({"strateggy": "x"}, "'strateggy'", "did you mean 'strategy'"),
    ({"num_waits": "x", "strategy": "budget"}, "num_waits='x'", "a whole number"),
    ({"batch_size": "lots"}, "batch_size='lots'", "a number >= 1, or auto"),
    ({"batch_size": 0}, "batch_size=0", "a number >= 1, or auto"),
    ({"max_length": "long"}, "max_length='long'", ">= 1"),
    ({"max_length": -3}, "max_length=-3", ">= 1"),
    ({"device": "gpu"}, "device='gpu'", "cpu, cuda"),
    ({"max_failures": 2}, "max_failures=2", "from 0 to 1"),
    ({"max_failures": "some"}, "max_failures='some'", "from 0 to 1"),
    ({"max_failures": True}, "max_failures=True", "from 0 to 1"),
    ({"journal": "/proc/nowhere"}, "journal='/proc/nowhere'", "cannot be written"),
    ({"token": "hf_xyz"}, "token=", "set it in the environment"),
    ({"journal": "x", "tp_plan": "auto"}, "journal=", "tp_plan"),
]


def message_of(call) -> str:
    """The message of the error that is meant for users, which is one line."""
    with pytest.raises(LmEvalTTSError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(("given", "names", "helps"), GENERATION, ids=lambda v: str(v)[:40])
def test_a_wrong_generation_argument(given, names, helps):
    message = message_of(lambda: parse_settings(given))
    assert names in message
    assert helps in message


@pytest.mark.parametrize(("content", "names", "helps"), PROMPT_FILES, ids=lambda v: str(v)[:40])
def test_a_wrong_prompt_file(tmp_path: Path, content, names, helps):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = message_of(lambda: parse_settings({"prompt_file": str(path), "prompt_style": "r1"}))
    assert names in message
    assert helps in message


@pytest.mark.parametrize(("content", "says"), DATA, ids=lambda v: str(v)[:40])
def test_a_wrong_data_file(tmp_path: Path, content, says):
    (tmp_path / "toy.jsonl").write_bytes(content)
    columns = {"id": "id", "question": "problem", "answer": "answer"}
    hub = {"path": "no/such", "split": "test"}
    message = message_of(lambda: load_benchmark("toy", hub, columns, data_dir=str(tmp_path)))
    assert "toy.jsonl" in message
    assert says in message


@pytest.mark.parametrize(("given", "names", "helps"), MODEL, ids=lambda v: str(v)[:40])
def test_a_wrong_model_argument(tiny_checkpoint, given, names, helps):
    from lm_eval_tts.models.hf import TTSHF

    arguments = {"pretrained": str(tiny_checkpoint), "device": "cpu", **given}
    message = message_of(lambda: TTSHF(**arguments))
    assert names in message
    assert helps in message
    assert "\n" not in message
    assert "hf_xyz" not in message


def test_the_journal_must_be_a_folder(tiny_checkpoint, tmp_path):
    from lm_eval_tts.models.hf import TTSHF

    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"journal='.*file' cannot be written \(File exists\)"):
        TTSHF(pretrained=str(tiny_checkpoint), device="cpu", journal=str(tmp_path / "file"))
