"""Every architecture gives on shared slots, in float32, the greedy ids of `generate` alone."""

import pytest
import torch
import transformers
from emulated_graphs import Graphs
from hf_helpers import complete_all, generate_alone
from sweep_architectures import sweep

from lm_eval_tts.core.program import Generate
from lm_eval_tts.engines.hf.engine import HFEngine, fit_engine
from lm_eval_tts.engines.hf.generate import GenerateEngine
from lm_eval_tts.engines.tokenizer import ByteTokenizer

pytestmark = pytest.mark.slow

SMALL = {
    "vocab_size": 120,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.5,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 0,
    "tie_word_embeddings": False,
}
MOE = {
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [3.0, 4.0, 5.0, 6.0],
    "original_max_position_embeddings": 40,
}
SLIDING = ["sliding_attention", "full_attention"]
# Name: model type and what its config needs beside SMALL.
ON_SLOTS = {
    "llama": ("llama", {}),
    "llama_eager": ("llama", {"attn_implementation": "eager"}),
    "qwen2": ("qwen2", {}),
    "qwen2_sliding": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
    ),
    "qwen3": ("qwen3", {}),
    "qwen3_moe": ("qwen3_moe", MOE),
    "phi3": ("phi3", {}),
    "phi3_sliding": ("phi3", {"sliding_window": 7}),
    "phi3_longrope": (
        "phi3",
        {"rope_parameters": LONGROPE, "original_max_position_embeddings": 40},
    ),
    "gemma2": ("gemma2", {"sliding_window": 7, "attn_implementation": "eager"}),
    "gemma3": ("gemma3_text", {"sliding_window": 7, "layer_types": SLIDING}),
    "mistral_sliding": ("mistral", {"sliding_window": 7}),
    "olmo2": ("olmo2", {}),
    "gpt_oss": (
        "gpt_oss",
        {**MOE, "sliding_window": 7, "layer_types": SLIDING, "attn_implementation": "eager"},
    ),
    "granite": ("granite", {}),
    "cohere": ("cohere", {}),
    "smollm3": ("smollm3", {}),
    "llama4_chunked": (
        "llama4_text",
        {
            **MOE,
            "attention_chunk_size": 8,
            "intermediate_size_mlp": 48,
            "layer_types": ["chunked_attention", "full_attention"],
            "no_rope_layers": [1, 0],
        },
    ),
    "gpt2": ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}),
    "gpt_neox": ("gpt_neox", {}),
    "opt": ("opt", {"ffn_dim": 48, "word_embed_proj_dim": 32}),
    "deepseek_v3": (
        "deepseek_v3",
        {
            "num_key_value_heads": 4,
            "n_routed_experts": 4,
            "n_group": 2,
            "topk_group": 1,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "first_k_dense_replace": 1,
            "kv_lora_rank": 16,
            "q_lora_rank": 16,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8,
            "v_head_dim": 12,
            "head_dim": 8,
        },
    ),
}
EXACT_PATH = {
    "falcon_alibi": ("falcon", {"alibi": True, "num_ln_in_parallel_attn": 1, "head_dim": None}),
    "bloom": ("bloom", {"n_layer": 2, "n_head": 4}),
    "mamba": ("mamba", {"state_size": 4}),
    "lfm2": ("lfm2", {"layer_types": ["conv", "full_attention"], "block_multiple_of": 8}),
}


# As EXACT_PATH; whether padded batches are exact as well.
LONG_ROWS = {
    "llama_with_an_unused_window": ("llama", {"sliding_window": 32}, None),
    "gpt_neo_local": (
        "gpt_neo",
        {
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 32,
            "intermediate_size": None,
        },
        None,
    ),
    "llama_dynamic": (
        "llama",
        {
            "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0},
            "max_position_embeddings": 48,
        },
        1,
    ),
    "llama_longrope": ("llama", {"rope_parameters": LONGROPE}, 1),
    "rwkv": ("rwkv", {"attention_hidden_size": 32, "context_length": 256}, 1),
}


def make_model(model_type: str, changes: dict) -> torch.nn.Module:
    changes = dict(changes)
    attention = changes.pop("attn_implementation", None)
    values = {name: value for name, value in {**SMALL, **changes}.items() if value is not None}
    config = transformers.AutoConfig.for_model(model_type, **values)
    torch.manual_seed(0)
    kwargs = {"attn_implementation": attention} if attention else {}
    model = transformers.AutoModelForCausalLM.from_config(config, **kwargs)
    return model.eval()


def make_prompts() -> list[tuple[int, ...]]:
    """Six prompts from 3 to 44 tokens; with longrope, one is long from the start."""
    generator = torch.Generator().manual_seed(1)
    lengths = [3, 17, 30, 9, 44, 21]
    return [
        tuple(torch.randint(2, 120, (length,), generator=generator).tolist()) for length in lengths
    ]


def sampled(engine, prompts, max_tokens: int) -> list[tuple[int, ...]]:
    results = complete_all(engine, [Generate(prompt, max_tokens) for prompt in prompts])
    return [completion.sampled_ids for (completion,) in results]


def slots(model, num_slots: int, record=None) -> HFEngine:
    limits = {"eos_token_ids": [0], "max_length": 256, "max_num_seqs": num_slots}
    return HFEngine(model, ByteTokenizer(), record=record, **limits)


@pytest.mark.parametrize("name", ON_SLOTS)
def test_greedy_ids_equal_generate_alone_also_after_retract_force_and_fork(name):
    model = make_model(*ON_SLOTS[name])
    prompts = make_prompts()
    want = [generate_alone(model, prompt, 24) for prompt in prompts]
    engine = slots(model, 4)
    assert sampled(engine, prompts, 24) == want
    # Retract by 0 to 3 tokens, force three, and fork: two continuations of each.
    forks = []
    for number, (prompt, ids) in enumerate(zip(prompts, want, strict=True)):
        kept = prompt + ids[: len(ids) - 1 - number % 4]
        forks += [(*kept, 7, 8, 9), (*kept, 7, 8, 11)]
    assert sampled(engine, forks, 12) == [generate_alone(model, p, 12) for p in forks]


@pytest.mark.parametrize("name", ON_SLOTS)
def test_captured_steps_write_what_steps_write_one_by_one(name):
    model = make_model(*ON_SLOTS[name])
    want = sampled(slots(model, 3), make_prompts(), 30)
    graphs = Graphs()
    assert sampled(slots(model, 3, graphs), make_prompts(), 30) == want
    assert graphs.replayed > 20
    assert graphs.captured <= 6  # three kinds of rows, twice where RoPE has two


@pytest.mark.parametrize("name", ON_SLOTS)
def test_the_probe_accepts_what_is_right(name):
    assert slots(make_model(*ON_SLOTS[name]), 3).probe() < 1e-3


@pytest.mark.parametrize("name", EXACT_PATH)
def test_a_model_that_cannot_share_slots_takes_the_exact_path_and_says_so(name, caplog):
    model = make_model(*EXACT_PATH[name])
    engine = fit_engine(model, ByteTokenizer(), eos_token_ids=[0], max_length=256, max_num_seqs=4)
    assert isinstance(engine, GenerateEngine)
    assert "cannot share a cache of slots" in caplog.text
    prompt = make_prompts()[1]
    assert sampled(engine, [prompt], 12) == [generate_alone(model, prompt, 12)]


@pytest.mark.parametrize("name", LONG_ROWS)
def test_rows_longer_than_every_window_are_those_of_generate_beside_short_ones(name):
    model_type, changes, most_at_once = LONG_ROWS[name]
    model = make_model(model_type, changes)
    engine = fit_engine(model, ByteTokenizer(), eos_token_ids=[0], max_length=256, max_num_seqs=4)
    prompts = [*make_prompts()[:2], make_prompts()[4] * 3]
    assert sampled(engine, prompts, 12) == [generate_alone(model, p, 12) for p in prompts]
    assert most_at_once in (None, engine.max_num_seqs)


@pytest.mark.parametrize(
    "model_type",
    [
        "bart",
        "big_bird",
        "cohere2_moe",
        "cpmant",
        "ctrl",
        "cwm",
        "deepseek_v3",
        "doge",
        "electra",
        "exaone_moe",
        "falcon",
        "falcon_mamba",
    ],
)
def test_a_type_with_its_own_config_is_exact_by_one_engine_or_the_other(model_type):
    outcome, how = sweep(model_type)
    assert outcome == "exact", how


def test_the_probe_sees_a_wrong_mask(monkeypatch):
    engine = slots(make_model(*ON_SLOTS["mistral_sliding"]), 3)
    monkeypatch.setattr(engine._model.masks, "_limits", {"full_attention": (0, 0)})
    assert engine.probe() > 1e-3
