"""The models of the small world before training: their tokenizer, and Llamas of two sizes."""

from __future__ import annotations

import itertools
import math

import torch
import world_texts
from dial_problems import LABELS
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END = "<|end|>"
CHAT_TEMPLATE = (
    "{# thinks in <think>, answers in <answer> #}"  # its family: see prompts.yaml
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}User: {{ message['content'] }}\n"
    "{% elif message['role'] == 'system' %}{{ message['content'] }}\n"
    "{% elif message['role'] == 'assistant' %}Assistant: {{ message['content'] }}" + END + "\n"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant: {% endif %}"
)
SPLIT = r"</?[a-z]+>|\\boxed\{|[a-z]\)| ?[A-Za-z]{2,}|[\s\S]"
SIZES = {  # heads of 32 are the least that vLLM runs on CPUs
    "small": {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3},
    "large": {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4},
}


def world_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with a token for each word and instruction of the world, and for each
    byte, so that it accepts any text; a number is its digits."""
    words = [*LABELS, *world_texts.TAGS, *world_texts.WORDS]
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = [*symbols, *dict.fromkeys(word.replace(" ", "Ġ") for word in words)]
    vocabulary = list(dict.fromkeys(vocabulary))
    ids = {symbol: index for index, symbol in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[], ignore_merges=True))
    by_pattern = pre_tokenizers.Split(Regex(SPLIT), behavior="isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([by_pattern, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    texts = itertools.chain(*world_texts.instructions().values())
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in texts])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token="<|pad|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )


def world_llama(size: str, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return a Llama with new weights."""
    shape = SIZES[size]
    heads = shape["hidden_size"] // 32
    model = LlamaForCausalLM(
        LlamaConfig(
            **shape,
            vocab_size=math.ceil(len(tokenizer) / 8) * 8,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            head_dim=32,
            initializer_range=(3 * shape["hidden_size"]) ** -0.5,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    with torch.no_grad():  # sums are learned much later from small embeddings
        model.get_input_embeddings().weight.mul_(3**0.5)
    return model
