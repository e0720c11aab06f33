"""Write a policy of the small world as a GGUF file, for llama.cpp.

    python scripts/export_gguf.py world-small-sft world-small-sft.gguf

Weights stay float32. Every word of the vocabulary is one that llama.cpp looks for before it splits
text, as its own tokenizers have no pattern like the world's.
"""

from __future__ import annotations

import argparse
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer

from lm_eval_tts.checkpoints import find_checkpoint

BLOCK = {  # of a Llama of transformers, and what llama.cpp calls it
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OTHERS = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
}


def gguf_name(name: str) -> str:
    """Return llama.cpp's name of a weight."""
    if name in OTHERS:
        return OTHERS[name]
    _, _, number, *part, _ = name.split(".")
    return f"blk.{number}.{BLOCK['.'.join(part)]}.weight"


def interleave(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Return a projection with the two halves of each head in turns, as llama.cpp rotates them;
    [heads x size, hidden]."""
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def add_vocabulary(writer: gguf.GGUFWriter, tokenizer: Any, size: int) -> None:
    """Write the tokens: single bytes, words, marks, and as many as there are rows to spare."""
    vocabulary = {index: token for token, index in tokenizer.get_vocab().items()}
    added, marks = set(tokenizer.get_added_vocab().values()), set(tokenizer.all_special_ids)
    tokens, kinds = list[str](), list[int]()
    for index in range(size):
        token = vocabulary.get(index, f"<|unused {index}|>")
        plain = token if index in added else tokenizer.convert_tokens_to_string([token])
        if index in marks:
            kind = gguf.TokenType.CONTROL
        elif index not in vocabulary:
            kind = gguf.TokenType.UNUSED
        else:
            kind = gguf.TokenType.USER_DEFINED if len(token) > 1 else gguf.TokenType.NORMAL
        tokens.append(token if kind == gguf.TokenType.NORMAL else plain)
        kinds.append(kind)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["Ġ Ġ"])  # the list must not be empty; there is no such token
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def export(checkpoint: str, path: str) -> None:
    """Write a checkpoint to a file."""
    folder = find_checkpoint(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(folder)
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    add_vocabulary(writer, AutoTokenizer.from_pretrained(folder), config.vocab_size)
    for name, parameter in model.named_parameters():
        weight = parameter.detach().float().numpy()
        if "q_proj" in name or "k_proj" in name:
            weight = interleave(weight, config.num_attention_heads)
        writer.add_tensor(gguf_name(name), weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkpoint", help="folder, or name of a checkpoint of this package")
    parser.add_argument("path", help="GGUF file to write")
    args = parser.parse_args()
    export(args.checkpoint, args.path)


if __name__ == "__main__":
    main()
