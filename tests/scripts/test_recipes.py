"""The training recipes, run for a few steps as a user runs them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest
import sweep_sft as sweep_module
from conftest import save_tiny_llama
from reward_checkpoints import load_reward_model
from safetensors.torch import load_file

from lm_eval_tts.checkpoints import FOLDER
from lm_eval_tts.core.program import Score
from lm_eval_tts.reward_models.families import FAMILIES

pytestmark = pytest.mark.slow
pytest.importorskip("trl", reason="the recipes need the extra: pip install 'lm_eval_tts[train]'")

ROOT = Path(__file__).resolve().parents[2]
SMOLLM2 = ROOT / "models" / "smollm2-135m-instruct"
S1K = [
    {
        "question": f"What is {i} plus {i}?",
        "deepseek_thinking_trajectory": f"I add {i} and {i}.",
        "deepseek_attempt": f"It is {2 * i}.",
    }
    for i in range(8)
]
GSM8K = [
    {"question": f"Tom has {i} pens and buys {i}. How many?", "answer": f"Sum.\n#### {2 * i}"}
    for i in range(8)
]
STEPS = [
    {
        "question": f"What is {i} plus {i} plus 1?",
        "steps": [f"{i}+{i}={2 * i}", "9"],
        "labels": [1, 0],
    }
    for i in range(8)
]
CUT = ("--max_completion_length", 16)


def recipe(name: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess:
    result = forked.run(ROOT / "scripts" / f"{name}.py", *arguments, cwd=ROOT)
    if check:
        assert result.returncode == 0, result.stderr[-3000:]
    return result


def rows(folder: Path, content: list[dict]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return path


def logged(folder: Path, key: str) -> list[float]:
    """Values that the trainer logged, step by step."""
    (state,) = sorted(folder.glob("checkpoint-*/trainer_state.json"))[-1:]
    return [entry[key] for entry in json.loads(state.read_text())["log_history"] if key in entry]


SHORT = ("--logging_steps", 1, "--save_steps", 1, "--use_cpu", "true", "--bf16", "false")


def test_sft_learns_traces_of_s1k_into_an_adapter_and_goes_on_from_a_checkpoint(
    tiny_checkpoint, tmp_path
):
    common = ("--model_name_or_path", tiny_checkpoint, "--dataset", rows(tmp_path, S1K))
    common += ("--output_dir", tmp_path / "sft", "--learning_rate", 1e-2, *SHORT)
    recipe("train_sft", *common, "--max_steps", 6, "--per_device_train_batch_size", 8)
    losses = logged(tmp_path / "sft", "loss")
    assert losses[-1] < losses[0]
    assert (tmp_path / "sft" / "adapter_model.safetensors").is_file()
    more = ("--max_steps", 7, "--per_device_train_batch_size", 8)
    recipe("train_sft", *common, *more, "--resume_from_checkpoint", "true")
    assert len(logged(tmp_path / "sft", "loss")) == 7


def test_sft_trains_an_adapter_on_a_base_in_four_bits(tmp_path):
    base = save_tiny_llama(tmp_path / "base", hidden_size=64)
    recipe(
        *("train_sft", "--model_name_or_path", base, "--dataset", rows(tmp_path, S1K)),
        *("--output_dir", tmp_path / "sft", "--learning_rate", 1e-2, "--load_in_4bit", "true"),
        *("--max_steps", 6, "--per_device_train_batch_size", 8, *SHORT),
    )
    losses = logged(tmp_path / "sft", "loss")
    assert losses[-1] < losses[0]


def test_a_sweep_evaluates_each_learning_rate_and_puts_all_on_one_leaderboard(
    tiny_checkpoint, tmp_path, monkeypatch, capfd
):
    def sweep_sft(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["sweep_sft.py", *map(str, arguments)])
        sweep_module.main()
        return capfd.readouterr().out

    monkeypatch.setattr(sweep_module.subprocess, "run", forked.command)
    sweep = ("--output", tmp_path / "sweep", "--tasks", "arith_r1", "--limit", 2)
    sweep += ("--learning-rates", "1e-2", "1e-3", "--batch_size", 2, "--")
    training = ("--model_name_or_path", tiny_checkpoint, "--dataset", rows(tmp_path, S1K))
    training += ("--max_steps", 1, "--use_cpu", "true", "--bf16", "false")
    table = sweep_sft(*sweep, *training)
    assert table.count("| single max_gen_toks=512 |") == 3  # the base and two adapters
    assert (tmp_path / "sweep" / "leaderboard.html").is_file()
    again = sweep_sft(*sweep, *training)
    assert table.endswith(again)  # the table alone: nothing is computed twice


def test_grpo_is_rewarded_on_problems_of_gsm8k(tiny_checkpoint, tmp_path):
    recipe(
        *("train_grpo", "--model_name_or_path", tiny_checkpoint),
        *("--dataset", rows(tmp_path, GSM8K), "--output_dir", tmp_path / "grpo"),
        *("--max_steps", 2, "--per_device_train_batch_size", 4, "--num_generations", 2),
        *("--max_completion_length", 24, "--rewards", "correctness", "tag_count", *SHORT),
    )
    assert len(logged(tmp_path / "grpo", "reward")) == 2
    assert logged(tmp_path / "grpo", "rewards/tag_count/mean")
    assert (tmp_path / "grpo" / "adapter_model.safetensors").is_file()


def test_a_process_reward_model_learns_labels_at_the_ends_of_steps(tiny_checkpoint, tmp_path):
    recipe(
        *("train_prm", "--model_name_or_path", tiny_checkpoint),
        *("--dataset", rows(tmp_path, STEPS), "--output_dir", tmp_path / "prm"),
        *("--max_steps", 100, "--learning_rate", 3e-3, "--extra_layers", 1, *SHORT),
        *("--save_steps", 100),
    )
    losses = logged(tmp_path / "prm", "loss")
    assert losses[-1] < losses[0]
    config = json.loads((tmp_path / "prm" / "config.json").read_text())
    assert config["architectures"] == ["LlamaForTokenClassification"]
    reward_model = load_reward_model(str(tmp_path / "prm"))
    assert reward_model._family is FAMILIES["token-classification"]
    items = [Score(row["question"], tuple(row["steps"])) for row in STEPS]
    scores = [result.scores for result in reward_model.score(items)]
    assert min(first for first, _ in scores) > max(second for _, second in scores)


def test_the_base_learns_in_miniature(tmp_path):
    small = ("--steps", 30, "--batch-size", 2)
    output = recipe("train_base", "--output", tmp_path / "base", *small).stdout
    losses = [float(loss) for loss in re.findall(r"'loss': '([0-9.]+)'", output)]
    assert losses[-1] < losses[0] - 1  # from guessing among 264 tokens to knowing the common ones
    assert (tmp_path / "base" / "model.safetensors").stat().st_size < 8e6


@pytest.mark.skipif(not SMOLLM2.is_dir(), reason="models/smollm2-135m-instruct: make smollm2")
@pytest.mark.parametrize(
    ("name", "content", "settings"),
    [
        ("train_sft", S1K, ("--per_device_train_batch_size", 2, "--max_length", 128)),
        (
            "train_grpo",
            GSM8K,
            ("--per_device_train_batch_size", 2, "--num_generations", 2, *CUT),
        ),
        ("train_prm", STEPS, ("--per_device_train_batch_size", 2, "--max_steps", 1)),
    ],
)
def test_each_recipe_runs_on_a_real_small_model(tmp_path, name, content, settings):
    recipe(
        *(name, "--model_name_or_path", SMOLLM2, "--dataset", rows(tmp_path, content)),
        *("--output_dir", tmp_path / "out", "--max_steps", 2, *settings),
        *("--logging_steps", 1, "--save_strategy", "no", "--use_cpu", "true", "--bf16", "false"),
    )
    assert list((tmp_path / "out").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("name", "content"), [("train_sft", GSM8K[:1]), ("train_grpo", S1K), ("train_prm", S1K)]
)
def test_bad_data_is_told_in_one_line_before_training(tiny_checkpoint, tmp_path, name, content):
    bad = [{key: value for key, value in row.items() if key != "question"} for row in content]
    result = recipe(
        *(name, "--model_name_or_path", tiny_checkpoint, "--dataset", rows(tmp_path, bad)),
        *("--output_dir", tmp_path / "out", "--use_cpu", "true", "--bf16", "false"),
        check=False,
    )
    assert result.returncode == 1
    assert "row 1: needs one of question, problem" in result.stderr.splitlines()[-1]


def test_instructions_are_learned_and_nothing_else_changes(tmp_path):
    for name in ("arith-base", "arith-sft", "arith-grpo"):
        shutil.copytree(FOLDER / name, tmp_path / name)
    for name in ("tokenizer.json", "tokenizer_config.json"):  # without the instructions
        shutil.copy(FOLDER / "arith-prm" / name, tmp_path / "arith-base" / name)
    said = recipe("train_instructions", tmp_path, "--steps", 2).stdout
    assert re.search(r"step 0, .*: 0\.\d{5} nats a token", said)
    before, after = (load_file(f / "arith-base/model.safetensors") for f in (FOLDER, tmp_path))
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {"model.embed_tokens.weight"}
    rows = (before[changed.pop()] != after["model.embed_tokens.weight"]).any(-1)
    assert rows.nonzero().flatten().tolist() == list(range(258, 263))
    template = (tmp_path / "arith-sft/chat_template.jinja").read_text()
    assert template == (FOLDER / "arith-sft/chat_template.jinja").read_text()
