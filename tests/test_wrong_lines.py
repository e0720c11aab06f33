"""Command lines that people get wrong: each is one line that says what to do, and exit code 2.

No model is loaded for any of them.
"""

import shlex
import sys
from pathlib import Path

import pytest
from helpers import no_model_and_one_index
from results_helpers import scored, write_run

from lm_eval_tts.cli import main

HF = "lm_eval --model tts-hf --tasks arith_r1 "
OPENAI = "lm_eval --model tts-openai --tasks arith_r1 --model_args "
LINES = [
    # strategies and their settings
    (HF + "--gen_kwargs strategy=maj", "did you mean 'self_consistency'"),
    (HF + "--gen_kwargs strategy=bon", "did you mean 'best_of_n'"),
    (HF + "--gen_kwargs strategy=majority", "did you mean 'self_consistency'"),
    (HF + "--gen_kwargs strategy=best-of", "did you mean 'best_of_n'"),
    (HF + "--gen_kwargs strategy=beam_search", "did you mean 'beam'"),
    (HF + "--gen_kwargs strategy=budget_forcing", "did you mean 'budget'"),
    (HF + "--gen_kwargs strategy=greedy", "did you mean 'single'"),
    (HF + "--gen_kwargs strategy=Budget", "did you mean 'budget'"),
    (HF + "--gen_kwargs strategy=progresive", "did you mean 'progressive'"),
    (HF + "--gen_kwargs strategy=nowhere.py:Mine", "nowhere.py"),
    (HF + "--gen_kwargs strategy=budget,num_wait=2", "did you mean 'num_waits'"),
    (HF + "--gen_kwargs strategy=budget,num_waits=two", "num_waits='two': allowed is"),
    (HF + "--gen_kwargs strategy=budget,num_waits=-2", "num_waits=-2"),
    (
        HF + "--gen_kwargs strategy=budget,max_thinking_token=9",
        "did you mean 'max_thinking_tokens'",
    ),
    (HF + "--gen_kwargs strategy=budget,max_thinking_tokens=lots", "allowed is a whole number"),
    (HF + "--gen_kwargs strategy=budget,max_answer_tokens=0", "max_answer_tokens=0"),
    (HF + "--gen_kwargs strategy=budget,min_thinking_tokens=9999", "min_thinking_tokens=9999"),
    (HF + "--gen_kwargs strategy=budget,prompt_style=cot", "needs a thinking_end"),
    (HF + "--gen_kwargs strategy=self_consistency", "temperature"),
    (HF + "--gen_kwargs strategy=self_consistency,temperature=1,do_sample=true,n=0", "n=0"),
    (HF + "--gen_kwargs strategy=rejection", "temperature"),
    # sampling and prompts
    (HF + "--gen_kwargs temperatur=0.6", "did you mean 'temperature'"),
    (HF + "--gen_kwargs temperature=warm", "temperature='warm': allowed is a number"),
    (HF + "--gen_kwargs temperature=-1", "temperature=-1"),
    (HF + "--gen_kwargs do_sample=true", "set temperature > 0"),
    (HF + "--gen_kwargs do_sample=perhaps", "True or False"),
    (HF + "--gen_kwargs top_p=2", "top_p=2"),
    (HF + "--gen_kwargs top_k=-1", "top_k=-1"),
    (HF + "--gen_kwargs min_p=3", "min_p=3"),
    (HF + "--gen_kwargs repetition_penalty=0", "repetition_penalty=0"),
    (HF + "--gen_kwargs max_gen_toks=0", "max_gen_toks=0"),
    (HF + "--gen_kwargs max_gen_tok=9", "did you mean 'max_gen_toks'"),
    (HF + "--gen_kwargs seed=x", "seed='x'"),
    (HF + "--gen_kwargs prompt_style=cott", "did you mean 'cot'"),
    (HF + "--gen_kwargs prompt_style=token", "set thinking_tokens="),
    (HF + "--gen_kwargs prompt_file=/nowhere.yaml", "/nowhere.yaml cannot be read"),
    (HF + "--gen_kwargs delimiters=thnk", "did you mean 'think'"),
    (HF + "--gen_kwargs instruction_role=boss", "'system' and 'user'"),
    # settings as model arguments
    (HF + "--model_args strategy=votes", "unknown strategy 'votes'"),
    (HF + "--model_args pretrained=/none,strategy=budget,num_waits=x", "num_waits='x'"),
    (HF + "--model_args pretrained=/none --gen_kwargs strategy=bon", "did you mean 'best_of_n'"),
    ("lm_eval --model tts-hf --tasks arith_bon --model_args pretrained=/none", "reward_model="),
    ("lm_eval --model tts-hf --tasks tts_beam --model_args pretrained=/none", "reward_model="),
    (HF + "--model_args token=hf_abc", "set it in the environment"),
    # tasks, samples, limits, folders
    ("lm_eval --model tts-hf --tasks arith_maij", "did you mean arith_maj"),
    ("lm_eval --model tts-hf --tasks gsm8k_platnum", "gsm8k_platinum"),
    ("lm_eval --model tts-hf --tasks aime24_buget", "aime24_budget"),
    ("lm_eval --model tts-hf --tasks math500_boon", "math500_bon"),
    ("lm_eval --model tts-hf --tasks tts_arit", "did you mean tts_arith"),
    (HF + "--limit -1", "--limit -1: allowed is"),
    (HF + "--samples nowhere.json", "--samples nowhere.json cannot be read"),
    (HF + """--samples '{"arith_r1": "0"}'""", "a JSON object of document numbers by task"),
    (HF + """--samples '{"arith_r1": 5}'""", "a JSON object of document numbers by task"),
    (HF + """--samples '{"arith_r1": []}'""", "a JSON object of document numbers by task"),
    (HF + """--samples '{"arith_r1": [-1]}'""", "a JSON object of document numbers by task"),
    (HF + "--limit 0", "--limit 0: allowed is a number of documents"),
    (HF + "--num_fewshot -1", "--num_fewshot -1: allowed is 0 or a number"),
    ("lm_eval --tasks arith_r1", "--model hf needs --model_args pretrained=..."),
    ("lm_eval --model tts_hf --tasks arith_r1", "did you mean 'tts-hf'"),
    ("lm_eval --model TTS-HF --tasks arith_r1", "did you mean 'tts-hf'"),
    ("lm_eval --model ttshf --tasks arith_r1", "did you mean 'tts-hf'"),
    ("lm_eval --model tts.vllm --tasks arith_r1", "did you mean 'tts-vllm'"),
    (HF + "--samples '[1, 2]'", "a JSON object of document numbers by task"),
    (HF + "--include_path /nowhere", "--include_path /nowhere is not a folder"),
    (HF + "--output_path /proc/none", "output_path"),
    # models
    ("lm_eval --model tts-hff --tasks arith_r1", "did you mean 'tts-hf'"),
    ("lm_eval --model tts-vlm --tasks arith_r1", "did you mean 'tts-vllm'"),
    ("lm-eval-tts run --model tts-hg --tasks arith_r1", "did you mean 'tts-hf'"),
    (
        HF + "--model_args pretrained=./no_such_folder",
        "pretrained='./no_such_folder' cannot be loaded",
    ),
    (
        HF + "--model_args pretrained=arith-base,peft=./my-adapter",
        "peft='./my-adapter' cannot be loaded",
    ),
    (HF + "--model_args pretrained=arith-grpo", "pretrained=arith-base,peft=arith-grpo"),
    (HF + "--model_args pretrained=arith-bse", "did you mean 'arith-base'"),
    (HF + "--model_args pretrained=arith-base,peft=arith-stf", "did you mean 'arith-sft'"),
    # documents of tasks that do not run, before a model is loaded
    (HF + """--samples '{"arith_rr": [0]}'""", "did you mean 'arith_r1'"),
    (HF + """--samples '{"arith_r1": [0], "gsm8k": [0]}'""", "allowed: arith_r1"),
    ("lm_eval --model tts-hf --tasks tts_arith --samples '{\"math\": [0]}'", "arith_budget"),
    # what lm_eval's own parser does not take
    (HF + "--limits 2", "did you mean --limit?"),
    (HF + "--gen_kwarg temperature", "temperature"),
    (HF + "--ouput_path results", "did you mean --output_path?"),
    (HF + "--limit two", "invalid float value: 'two'"),
    (HF + "--seed x", "argument --seed: invalid value: 'x'"),
    ("lm_eval --model tts-hf --tasks", "argument --tasks/-t: expected at least one argument"),
    # the package's own command
    ("lm-eval-tts", "Missing command"),
    (HF + "--model_args dtype=float31", "dtype='float31': did you mean 'float32'?"),
    (HF + "--model_args device=cuda:7777", "device='cuda:7777': this machine has no such card"),
    (HF + "--device cuda:7777", "device='cuda:7777': this machine has no such card"),
    (HF + "--model_args pretrained=arith-base,peft=arith-base", "that is no adapter"),
    (OPENAI + "base_url=http://localhost:99999/v1", "allowed is http://<host>:<port>/v1"),
    (OPENAI + "base_url=http://localhost:1,max_retries=2.5", "max_retries=2.5: allowed"),
    ("lm-eval-tts grade RESULTS", "name one samples_*.jsonl"),
    (OPENAI + "base_url=localhost:8000", "allowed is http://<host>:<port>/v1"),
    (OPENAI + "base_url=http://localhost:1,num_concurrent=zero", "num_concurrent='zero': allowed"),
    (OPENAI + "base_url=http://localhost:1,num_concurrent=0", "num_concurrent=0: allowed"),
    (OPENAI + "base_url=http://localhost:1,timeout=soon", "timeout='soon': allowed"),
    ("lm-eval-tts leaderbord RESULTS", "Did you mean 'leaderboard'?"),
    ("lm-eval-tts comapre RESULTS RESULTS", "Did you mean 'compare'?"),
    ("lm-eval-tts leaderboard", "Missing argument 'results'"),
    ("lm-eval-tts leaderboard RESULTS --titel x", "--title"),
    ("lm-eval-tts leaderboard RESULTS --no-pages", "--no-pages"),
    ("lm-eval-tts leaderboard RESULTS -o board.htm", "did you mean 'html'?"),
    (
        "lm-eval-tts leaderboard RESULTS --metric accuracy",
        "no task in it has metric 'accuracy'; it has exact_match",
    ),
    ("lm-eval-tts leaderboard /nowhere", "there is no such file or folder"),
    ("lm-eval-tts curve RESULTS -o curve.jpg", "allowed: csv, html, json, md, png, svg"),
    ("lm-eval-tts compare RESULTS", "Missing argument 'B'"),
    ("lm-eval-tts gate RESULTS", "Missing option '--baseline'"),
    ("lm-eval-tts gate RESULTS --baseline none.json", "write it with --update"),
    ("lm-eval-tts gate RESULTS --baseline b.json --margin acuracy=1", "did you mean 'accuracy'"),
    ("lm-eval-tts gate RESULTS --baseline b.json --juint x.xml", "--junit"),
    ("lm-eval-tts curve RESULTS --joined", "--join"),
    ("lm-eval-tts show", "Missing argument 'target'"),
    ("lm-eval-tts show RESULTS q9", "no document 'q9'"),
    ("lm-eval-tts show /nowhere/results", "there is no such file or folder"),
    ("lm-eval-tts show arith_mja", "did you mean 'arith_maj'"),
    ("lm-eval-tts show arith_r1 --gen_kwargs strategy=bon", "did you mean 'best_of_n'"),
    ("lm-eval-tts export RESULTS", "Missing option '-o' / '--output'"),
    ("lm-eval-tts export RESULTS -o runs.xlsx", "allowed: csv, parquet"),
    ("lm-eval-tts grade nowhere.jsonl", "there is no such file"),
    (
        "lm-eval-tts fit RESULTS --baseline RESULTS --difficulty-by luck",
        "allowed: agreement, both, oracle, reward",
    ),
]


@pytest.fixture
def results(tmp_path) -> Path:
    write_run(tmp_path / "results", scored([1, 0]))
    return tmp_path / "results"


@pytest.fixture(scope="module", autouse=True)
def _no_model_and_one_index():
    """Have no model loaded, and lm_eval's index of tasks made once."""

    def refuse(*args, **kwargs):
        raise AssertionError("a model was loaded")

    with no_model_and_one_index(refuse):
        yield


def run(line: str) -> int:
    """Run a line in this process as a shell would."""
    command, *arguments = shlex.split(line)
    if command == "lm-eval-tts":
        return main(arguments)
    return main(["run", *arguments])


def test_there_are_enough_of_them():
    assert len(LINES) >= 83


@pytest.mark.parametrize(("line", "says"), LINES, ids=[line for line, _ in LINES])
def test_a_wrong_line_is_one_line_with_the_remedy(line, says, results, capsys, monkeypatch):
    monkeypatch.chdir(results.parent)
    monkeypatch.setattr(sys, "argv", ["lm-eval-tts"])
    try:
        code = run(line.replace("RESULTS", str(results)))
    except SystemExit as error:
        code = error.code
    lines = capsys.readouterr().err.splitlines()
    said = [text for text in lines if text.startswith(("lm_eval_tts: ", "lm-eval-tts"))]
    assert code == 2
    assert len(said) == 1
    assert says in said[0]
