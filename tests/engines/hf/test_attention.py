"""Attention that copies no keys gives what transformers' own gives, and is put back afterwards."""

from types import SimpleNamespace

import pytest
import torch
import transformers
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from lm_eval_tts.engines.hf.attention import GROUPED_SDPA, grouped_heads, grouped_sdpa


def make_llama(**changes) -> torch.nn.Module:
    sizes = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = transformers.LlamaConfig(**{**sizes, **heads, **changes})
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("tokens", [1, 5])
@pytest.mark.parametrize("value_size", [8, 6])
def test_grouped_heads_attend_as_in_transformers(groups, tokens, value_size):
    torch.manual_seed(0)
    query = torch.randn(2, 2 * groups, tokens, 8)
    key, value = torch.randn(2, 2, 11, 8), torch.randn(2, 2, 11, value_size)
    hidden = torch.rand(2, 1, tokens, 11) < 0.5
    mask = torch.zeros(hidden.shape).masked_fill_(hidden, torch.finfo(torch.float32).min)
    module = SimpleNamespace(num_key_value_groups=groups)
    want, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    have, _ = grouped_sdpa(module, query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(have, want)


def test_a_model_attends_so_only_meanwhile():
    model = make_llama()
    with grouped_heads(model):
        assert model.config._attn_implementation == GROUPED_SDPA
    assert model.config._attn_implementation == "sdpa"


def test_a_model_that_was_told_to_attend_otherwise_does():
    model = make_llama()
    model.set_attn_implementation("eager")
    with grouped_heads(model):
        assert model.config._attn_implementation == "eager"


def test_a_model_that_knows_its_own_attention_only_keeps_it():
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.FalconConfig(
            vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=4
        )
    )
    with grouped_heads(model):
        assert model.config._attn_implementation == "sdpa"
