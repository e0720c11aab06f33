"""Is every decoder of the installed transformers exact, or refused with a reason?

    python scripts/sweep_architectures.py [type ...] [--json sweep.json]

For each causal language model type: a tiny random one in float32, with windows of 32 tokens where
its config names any, loaded as `tts-hf` loads it. Rows of very different length, some longer than
every window, are decoded greedily beside each other, and must be those of plain `generate` alone.
Each type ends as one of

    exact       on slots, or by `generate` (which and why is said)
    refused     no engine is made, or a request fails with a reason
    not built   the type has no tiny model that plain `generate` can run
    WRONG       other tokens than alone: a fault of this package
"""

import argparse
import json
import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import GenerationConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.program import Generate
from lm_eval_tts.engines.hf.engine import fit_engine
from lm_eval_tts.engines.tokenizer import ByteTokenizer

# What makes a config small, by the names that configs have for it.
SIZES = {
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), 120),
    "encoder_hash_byte_group_vocab": 120,
    "rotary_dim": 4,
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "word_embed_proj_dim"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner"), 48),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim", "intermediate_size_mlp"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "decoder_layers"), 2),
    **dict.fromkeys(("encoder_layers", "n_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "n_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "n_kv_heads"), 2),
    **dict.fromkeys(("head_dim", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "context_length"), 256),
    **dict.fromkeys(("sliding_window", "window_size", "attention_chunk_size"), 32),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "n_group", "num_experts_per_token"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("topk_group", "first_k_dense_replace", "bos_token_id"), 1),
    **dict.fromkeys(("kv_lora_rank", "q_lora_rank", "state_size", "mamba_d_state"), 16),
    "attention_types": [[["global", "local"], 1]],
    "per_layer_config": {},
    "initializer_range": 0.5,
    "init_std": 0.5,
    "pad_token_id": 0,
    "eos_token_id": 0,
}
LENGTHS = (3, 17, 70, 9, 132)  # tokens of the rows
NEW_TOKENS = 12
SECONDS = 60  # of CPU time for each type, and each way to build one
MOST_PARAMETERS = 20_000_000


# Tried in turn, until plain `generate` runs: sizes that some types want otherwise.
OTHERWISE: tuple[dict[str, Any], ...] = ({}, {"num_key_value_heads": 4}, {"layer_types": None})

# What single types want besides; their checks say so.
_LINEAR, _FULL, _SLIDING = "linear_attention", "full_attention", "sliding_attention"
_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_expand": 2}
_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
_ZAMBA = {
    "num_hidden_layers": 6,
    "attention_hidden_size": 64,
    "attention_head_dim": 16,
    "num_key_value_heads": 4,
}
_INKLING = {
    "unpadded_vocab_size": 120,
    "swa_num_attention_heads": 4,
    "swa_num_key_value_heads": 2,
    "swa_head_dim": 8,
    "sliding_window_size": 32,
    "n_layers_per_attn_res_block": 1,
}
_GEMMA3N = {
    "num_kv_shared_layers": 0,
    "activation_sparsity_pattern": [0.0, 0.0],
    "layer_types": [_SLIDING, _FULL],
}
_QWEN4 = {
    "layer_types": [_LINEAR, "indexed_attention"],
    "indexer_n_heads": 4,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 8,
    "indexer_budget": 64,
    "indexer_compress_ratio": 4,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
OF_TYPE: dict[str, dict[str, Any]] = {
    "bailing_hybrid": {
        "num_key_value_heads": 4,
        "layer_types": [_LINEAR, _FULL],
        "mlp_layer_types": ["dense", "sparse"],
        "linear_head_dim": 8,
        "linear_num_heads": 4,
        "num_expert_group": 2,
    },
    "bamba": {**_MAMBA, "attn_layer_indices": [1]},
    "cohere_compass_text": {
        "num_key_value_heads": 4,
        "layer_types": [_SLIDING, _FULL],
        "rope_parameters": {_FULL: _ROPE, _SLIDING: _ROPE},
    },
    "dbrx": {
        "d_model": 32,
        "attn_config": {"rope_theta": 10000.0, "kv_n_heads": 2, "clip_qkv": 8},
        "ffn_config": {
            "hidden_size": 32,
            "ffn_hidden_size": 32,
            "moe_num_experts": 4,
            "moe_top_k": 2,
        },
    },
    "deepseek_v2": {"num_key_value_heads": 4, "q_lora_rank": None, "num_experts_per_tok": 2},
    "dory": {
        "num_hidden_layers": 8,
        "n_input_layers": 2,
        "n_recurrent_layers": 4,
        "n_output_layers": 2,
        "layer_types": [_SLIDING, "mlp"] * 2 + [_FULL, "mlp"] * 2,
    },
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "dots3_note_text": {
        "num_key_value_heads": 4,
        "head_dim": 16,
        "mlp_layer_types": ["dense", "sparse"],
        "layer_types": ["indexed_attention", _SLIDING],
        "index_head_dim": 8,
        "index_n_heads": 4,
        "index_topk": 16,
    },
    "gemma3n": {"text_config": _GEMMA3N},
    "gemma3n_text": _GEMMA3N,
    "granitemoehybrid": {**_MAMBA, "layer_types": [_LINEAR, _FULL]},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8, "moe_topk": 2},
    "inkling2_text": {**_INKLING, "layer_types": ["hybrid_sliding", "hybrid"]},
    "inkling2_loop_text": {
        **_INKLING,
        "num_hidden_layers": 4,
        "layer_types": ["hybrid_sliding", "hybrid"] * 2,
        "loop_layer_index_start": 1,
        "loop_layer_index_end": 3,
    },
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", _FULL], "num_dense_layers": 1},
    "longcat_flash": {
        "num_key_value_heads": 4,
        "zero_expert_num": 2,
        "expert_ffn_hidden_size": 32,
        "moe_topk": 2,
    },
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 2},
    "ministral": {"head_dim": 8, "layer_types": [_SLIDING, _FULL]},
    "qwen4_exp": {"text_config": _QWEN4},
    "qwen4_exp_text": _QWEN4,
    "recurrent_gemma": {"num_hidden_layers": 3, "attention_window_size": 32, "lru_width": 32},
    "reformer": {
        "is_decoder": True,
        "axial_pos_shape": [16, 16],
        "axial_pos_embds_dim": [16, 16],
        "attention_head_size": 8,
        "feed_forward_size": 48,
        "attn_layers": ["local", "lsh"],
        "hash_seed": 1,  # else its hashes are random, and so is what it writes
    },
    "xlm": {"emb_dim": 32},
    "xlstm": {"hidden_size": 128, "embedding_dim": 128},
    "xmod": {"default_language": "en_XX", "is_decoder": True},
    "zamba": {
        **_ZAMBA,
        "layers_block_type": [_LINEAR, _LINEAR, "hybrid"] * 2,
        "n_mamba_heads": 2,
    },
    "zamba2": {
        **_ZAMBA,
        "num_hidden_layers": 2,
        "layers_block_type": [_LINEAR, "hybrid"],
        "hybrid_layer_ids": [1],
        "n_mamba_heads": 4,
        "mamba_headdim": 16,
        "num_query_groups": 4,
    },
    "zaya": {
        "num_experts_per_tok": 1,
        "layer_types": ["hybrid", "hybrid"],
        "router_hidden_size": 16,
    },
}


def tiny(model_type: str, **other: Any) -> Any:
    """Return a tiny random model of a type; the sizes that its config does not have stay out. What
    its class would have `generate` do besides (forced tokens ...) stays out too.
    other: sizes in place of those of `SIZES`; None leaves one out."""
    known = transformers.CONFIG_MAPPING[model_type]().to_dict()
    values = small(known)
    for name, value in (OF_TYPE.get(model_type, {}) | other).items():
        if name in known:
            inner = values.get(name)
            values[name] = inner | value if isinstance(inner, dict) else value
    values = {name: value for name, value in values.items() if value is not None}
    config = transformers.AutoConfig.for_model(model_type, **values)
    with torch.device("meta"):
        size = transformers.AutoModelForCausalLM.from_config(config).num_parameters()
    if size > MOST_PARAMETERS:
        raise ValueError(f"its smallest config has {size / 1e6:.0f} million parameters")
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    model.generation_config = GenerationConfig()
    return model


def small(known: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a config small, the configs in it too."""
    inner = {n: v for n, v in known.items() if n.endswith("_config") and isinstance(v, dict)}
    values = {
        name: {**value, **smaller} for name, value in inner.items() if (smaller := small(value))
    }
    values |= {name: size for name, size in SIZES.items() if known.get(name) is not None}
    if kinds := known.get("layer_types"):
        values["layer_types"] = ([*dict.fromkeys(kinds)][:2] * 2)[:2]
    return values


def rows() -> list[tuple[int, ...]]:
    """Return made-up prompts."""
    generator = torch.Generator().manual_seed(1)
    return [tuple(torch.randint(2, 120, (n,), generator=generator).tolist()) for n in LENGTHS]


def alone(model: Any, ids: tuple[int, ...]) -> tuple[int, ...]:
    """Return what plain greedy `generate` writes after one row."""
    ends = {"max_new_tokens": NEW_TOKENS, "pad_token_id": 0, "eos_token_id": 0}
    config = GenerationConfig(do_sample=False, **ends)
    mask = torch.ones(1, len(ids), dtype=torch.long)
    with torch.inference_mode():
        out = model.generate(torch.tensor([ids]), attention_mask=mask, generation_config=config)
    return tuple(out[0, len(ids) :].tolist())


def together(engine: Engine, prompts: list[tuple[int, ...]]) -> dict[int, Any]:
    """Return what an engine writes after all rows at once, or why it does not."""
    for number, ids in enumerate(prompts):
        engine.add_request(number, Generate(ids, NEW_TOKENS), number)
    found: dict[int, Any] = {}
    while engine.num_unfinished:
        found |= {output.request_id: output.result for output in engine.step()}
    return found


def sweep(model_type: str) -> tuple[str, str]:
    """Return how a type ends, and the engine or the reason."""
    for other in OTHERWISE:
        try:
            model = tiny(model_type, **other)
            want = [alone(model, ids) for ids in rows()]
            break
        except Exception as error:
            reason = first_line(error)
    else:
        return "not built", reason
    try:
        engine = fit_engine(
            model, ByteTokenizer(), eos_token_ids=[0], max_length=256, max_num_seqs=4
        )
        found = together(engine, rows())
    except Exception as error:
        return "refused", first_line(error)
    failed = [result for result in found.values() if isinstance(result, Exception)]
    if failed:
        return "refused", first_line(failed[0])
    have = [found[number][0].sampled_ids for number in range(len(want))]
    how = f"{type(engine).__name__}, {engine.max_num_seqs} at once"
    wrong = [LENGTHS[n] for n in range(len(want)) if have[n] != want[n]]
    return ("WRONG", f"{how}: rows of {wrong} tokens") if wrong else ("exact", how)


def first_line(error: BaseException) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in what takes more CPU time, again after as much more."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("types", nargs="*", default=sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
    parser.add_argument("--json", type=Path, help="file to write the outcomes to")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    transformers.utils.logging.set_verbosity_error()
    outcomes, start = {}, time.perf_counter()
    for model_type in args.types:
        with within(SECONDS):
            outcomes[model_type] = sweep(model_type)
        print(f"{model_type:24}", *outcomes[model_type], sep="  ", flush=True)
    counts = Counter(outcome for outcome, _ in outcomes.values())
    print(
        dict(counts),
        f"in {time.perf_counter() - start:.0f} s, transformers {transformers.__version__}",
    )
    if args.json:
        args.json.write_text(json.dumps(outcomes, indent=1) + "\n")
    sys.exit(1 if counts["WRONG"] else 0)


if __name__ == "__main__":
    main()
