"""The tiny reasoner that comes with the package: what it weighs, and that it reasons."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from lm_eval_tts.checkpoints import DEFAULTS, FOLDER, NAMES, find_checkpoint
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.prompts import build_messages, fill_instruction, load_prompts

CARD = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_each_checkpoint_is_small_and_has_its_hash_in_the_card():
    listed = dict(re.findall(r"^\| (\S+safetensors) \| \d+ \| `(\w{64})` \|$", CARD, re.M))
    weights = {str(p.relative_to(FOLDER)): p for p in FOLDER.glob("*/*.safetensors")}
    assert {name.split("/")[0] for name in weights} == set(NAMES)
    for name, path in weights.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[name]
        assert path.stat().st_size < 8e6


def test_no_file_tells_where_it_was_made():
    for path in FOLDER.glob("*/*.json"):
        content = json.loads(path.read_text())
        assert content.get("_name_or_path", "") == ""
        assert content.get("base_model_name_or_path", DEFAULTS["pretrained"]) in NAMES


def test_names_are_found_and_others_left_alone(tmp_path, monkeypatch):
    assert Path(find_checkpoint("arith-sft")).is_dir()
    assert find_checkpoint("Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"
    (tmp_path / "arith-sft").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("arith-sft") == "arith-sft"  # the user's own folder of that name


@pytest.mark.parametrize("style", ["standard", "cot", "cod", "r1", "reasoning"])
def test_the_reasoner_is_told_each_style_by_a_token_of_its_own(style):
    from transformers import AutoTokenizer

    prompts, tokenizer = load_prompts(), AutoTokenizer.from_pretrained(FOLDER / "arith-base")
    asked = prompts.style(style)
    instruction = fill_instruction(asked, prompts.preset(asked.delimiters), {})
    messages = build_messages([{"role": "user", "content": "Q"}], asked, instruction, "system")
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == f"{instruction}User: Q\nAssistant: "
    assert tokenizer.decode(tokenizer.encode(text)[:1]) == instruction


@pytest.fixture(scope="module")
def model():
    from lm_eval_tts.models.hf import TTSHF

    return TTSHF(device="cpu", batch_size=64)


def evaluate(model, *tasks: str, limit: int = 64) -> dict[str, dict[str, float]]:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    ours = TaskManager(include_path=task_configs(), include_defaults=False)
    results = simple_evaluate(
        model=model, tasks=list(tasks), limit=limit, bootstrap_iters=0, task_manager=ours
    )
    return results["results"]


@pytest.mark.slow
def test_without_pretrained_it_is_the_default_and_says_so(caplog):
    from lm_eval_tts.models.hf import TTSHF

    caplog.set_level("INFO")
    info = TTSHF(device="cpu").get_model_info()
    assert {name: info[name] for name in DEFAULTS} == DEFAULTS
    (said,) = [r.message for r in caplog.records if "no pretrained=" in r.message]
    assert "peft=arith-grpo" in said


@pytest.mark.slow
def test_accuracy_rises_with_the_thinking_budget(model):
    table = evaluate(model, "arith_budget")["arith_budget"]
    curve = [table[f"exact_match@{budget},none"] for budget in (16, 64, 256)]
    assert curve[0] < curve[1] < curve[2]
    assert curve[2] > 0.6


@pytest.mark.slow
def test_sft_and_grpo_keep_the_format_that_the_base_does_not_know(model):
    rates = {}
    for adapter in (None, "arith-sft", "arith-grpo"):
        model.use_adapter(adapter)
        rates[adapter] = evaluate(model, "arith_r1", limit=32)["arith_r1"]
    model.use_adapter(DEFAULTS["peft"])
    assert rates[None]["format_strict,none"] < 0.05
    assert rates["arith-sft"]["format_strict,none"] > 0.9
    assert rates["arith-grpo"]["format_strict,none"] > 0.9
    assert rates["arith-sft"]["exact_match,none"] > rates[None]["exact_match,none"] + 0.3
