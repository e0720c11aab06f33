"""What tells weights, configs, tokenizers and files apart: all that decides a token."""

import copy
import json

import pytest
import torch

from lm_eval_tts.core import identity
from lm_eval_tts.core.identity import (
    config_digest,
    files_digest,
    files_of,
    tokenizer_digest,
    weights_digest,
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int8])
@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_any_one_value_changes_the_digest_of_weights(dtype, size, monkeypatch):
    monkeypatch.setattr(identity, "BLOCK", 16)

    def digest(tensor):
        module = torch.nn.Module()
        module.register_buffer("w", tensor)
        return weights_digest(module)

    whole = torch.zeros(size, dtype=dtype)
    seen = {digest(whole)}
    for place in {0, size // 2, size - 1}:
        changed = whole.clone()
        changed[place] = 1
        seen.add(digest(changed))
    assert len(seen) == 1 + len({0, size // 2, size - 1})
    assert digest(whole.clone()) in seen


def test_values_that_change_places_change_the_digest_too():
    layer = torch.nn.Linear(8, 8, bias=False)
    before = weights_digest(layer)
    with torch.no_grad():
        layer.weight.copy_(layer.weight.flip(0).clone())
    assert weights_digest(layer) != before


def test_one_row_of_an_embedding_is_seen(tiny_model):
    model = copy.deepcopy(tiny_model)
    assert weights_digest(model) == weights_digest(tiny_model)
    with torch.no_grad():
        model.get_input_embeddings().weight[123] += 1e-3
    assert weights_digest(model) != weights_digest(tiny_model)


@pytest.mark.parametrize(
    ("name", "value"), [("rms_norm_eps", 1e-3), ("rope_theta", 5e5), ("hidden_act", "gelu")]
)
def test_what_a_model_computes_by_is_in_the_digest_of_its_config(tiny_model, name, value):
    model = copy.deepcopy(tiny_model)
    setattr(model.config, name, value)
    assert config_digest(model) != config_digest(tiny_model)


def test_where_a_model_came_from_is_not(tiny_model):
    model = copy.deepcopy(tiny_model)
    model.config.name_or_path = "/elsewhere"
    assert config_digest(model) == config_digest(tiny_model)


@pytest.mark.parametrize("change", [{"lora_alpha": 99}, {"use_rslora": True}])
def test_the_scale_of_an_adapter_is_in_the_digest(tiny_model, change):
    from peft import LoraConfig, get_peft_model

    def adapted(**changes):
        config = LoraConfig(**{"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], **changes})
        return config_digest(get_peft_model(copy.deepcopy(tiny_model), config))

    assert adapted(**change) != adapted() == adapted()


def test_a_tokenizer_is_known_by_more_than_its_vocabulary(tiny_tokenizer):
    other = copy.deepcopy(tiny_tokenizer)
    assert tokenizer_digest(other) == tokenizer_digest(tiny_tokenizer)
    rules = json.loads(other.backend_tokenizer.to_str())
    rules["model"]["merges"] = rules["model"]["merges"][:-1]
    other._tokenizer = type(other.backend_tokenizer).from_str(json.dumps(rules))
    assert other.get_vocab() == tiny_tokenizer.get_vocab()
    assert tokenizer_digest(other) != tokenizer_digest(tiny_tokenizer)


def test_all_bytes_of_files_count(tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"a" * 1000)
    (folder / "generation_config.json").write_text("{}")
    first = files_digest(folder)
    assert files_digest(folder) == first
    (folder / "model.safetensors").write_bytes(b"a" * 999 + b"b")
    assert (last := files_digest(folder)) != first
    (folder / "README.md").write_text("decides nothing")
    known = files_of({"a": "org/name", "b": None, "c": str(folder)})
    assert known == {"a": "org/name", "b": "", "c": last}
