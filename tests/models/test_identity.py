"""What a journal is tied to: every change that can change a token or a rating, and nothing else."""

import json
import shutil

import pytest
from reward_checkpoints import token_classification
from safetensors.torch import load_file, save_file

from lm_eval_tts.models.hf import TTSHF


def facts(folder, **arguments) -> dict[str, str]:
    return TTSHF(pretrained=str(folder), device="cpu", **arguments).session.facts()


@pytest.fixture
def checkpoint(tiny_checkpoint, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")


def change_json(path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_row(folder) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][201] += 1e-3
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def change_merges(folder) -> None:
    rules = json.loads((folder / "tokenizer.json").read_text())
    rules["model"]["merges"].reverse()
    (folder / "tokenizer.json").write_text(json.dumps(rules))


CHANGES = {
    "one row of the embedding": (change_row, "weights"),
    "norm": (lambda f: change_json(f / "config.json", rms_norm_eps=1e-3), "config"),
    "activation": (lambda f: change_json(f / "config.json", hidden_act="gelu"), "config"),
    "ends": (
        lambda f: change_json(f / "generation_config.json", eos_token_id=[0, 7]),
        "ends of turn",
    ),
    "tokenizer": (change_merges, "tokenizer"),
    "context": (lambda f: change_json(f / "config.json", max_position_embeddings=99), "max_length"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_checkpoint_is_seen_and_named(checkpoint, tiny_checkpoint, change):
    apply, name = CHANGES[change]
    apply(checkpoint)
    assert facts(checkpoint)[name] != facts(tiny_checkpoint)[name]


@pytest.mark.parametrize("arguments", [{}, {"batch_size": 7}, {"trust_remote_code": True}], ids=str)
def test_a_checkpoint_elsewhere_and_another_batch_size_are_no_change(
    checkpoint, tiny_checkpoint, arguments
):
    assert facts(checkpoint, **arguments) == facts(tiny_checkpoint)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"dtype": "bfloat16"}, "dtype"), ({"max_length": 100}, "max_length")],
    ids=["dtype", "context"],
)
def test_an_argument_that_decides_is_seen(tiny_checkpoint, arguments, name):
    assert facts(tiny_checkpoint, **arguments)[name] != facts(tiny_checkpoint)[name]


@pytest.mark.parametrize("change", ["config", "weights"])
def test_a_change_of_the_reward_model_is_seen(tiny_checkpoint, tmp_path, change):
    (tmp_path / "prm").mkdir()
    path = token_classification(tmp_path / "prm").path

    def of_reward_model():
        known = facts(tiny_checkpoint, reward_model=str(path), reward_model_device="cpu")
        return known["reward_model_weights"]

    before = of_reward_model()
    assert before == of_reward_model()
    if change == "config":
        change_json(path / "config.json", rms_norm_eps=1e-3)
    else:
        change_row(path)
    assert before != of_reward_model()
