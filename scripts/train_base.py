"""Pretrain the base of the embedded reasoner: a small Llama over bytes, on generated texts.

    python scripts/train_base.py --output models/arith/pretrained
    python scripts/train_base.py --output models/arith/base --anneal models/arith/pretrained \\
        --steps 600 --learning-rate 1e-3

About 25 minutes on one CPU core. The same seed gives the same texts; --resume goes on from the last
checkpoint of an interrupted run.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import arith_texts
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    DataCollatorForTokenClassification,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

END = "<|end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}User: {{ message['content'] }}\n"
    "{% elif message['role'] == 'assistant' %}Assistant: {{ message['content'] }}" + END + "\n"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant: {% endif %}"
)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token for each byte, so that it accepts any text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token="<|pad|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )


def small_llama(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return a Llama of 1.8 M parameters; heads of 32 are the least that vLLM runs on CPUs."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=264,  # 256 bytes and two special tokens, padded to a multiple of 8
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=6,
            head_dim=32,
            initializer_range=0.07,  # 1 / sqrt(hidden_size); from 0.02 copying starts twice as late
            max_position_embeddings=4096,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


class Texts(torch.utils.data.IterableDataset):
    """Texts, each with its end mark; those of a batch are of like length, so that little is padded.

    A text begins its row, as a prompt does, and is never cut: what is asked stays in sight.
    """

    GROUP = 32  # batches that are sorted together

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        make: Callable[[random.Random], Iterator[arith_texts.Text]],
        seed: int,
        batch_size: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._make = make
        self._seed = seed
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield texts without end, the same ones for the same seed."""
        rng = random.Random(self._seed)
        texts = self._make(rng)
        while True:
            group = list(itertools.islice(texts, self.GROUP * self._batch_size))
            group.sort(key=lambda text: len(text.given) + len(text.learned))
            starts = list(range(0, len(group), self._batch_size))
            rng.shuffle(starts)
            for start in starts:
                for text in group[start : start + self._batch_size]:
                    given = self._tokenizer.encode(text.given)
                    learned = self._tokenizer.encode(text.learned + END)
                    labels = [-100] * len(given) + learned
                    yield {"input_ids": given + learned, "labels": labels}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--anneal", type=Path, help="checkpoint to end the pretraining of")
    parser.add_argument("--steps", type=int, default=2800)
    parser.add_argument("--batch-size", type=int, default=16, help="texts of a step")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()

    set_seed(args.seed)
    tokenizer = byte_tokenizer()
    if args.anneal:
        model, make = LlamaForCausalLM.from_pretrained(args.anneal), arith_texts.annealing
    else:
        model, make = small_llama(tokenizer), arith_texts.pretraining
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(args.output / "checkpoints"),
            max_steps=args.steps,
            per_device_train_batch_size=args.batch_size,
            learning_rate=args.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=args.steps // 20,
            weight_decay=0.1,
            adam_beta2=0.98,
            bf16=True,
            use_cpu=not torch.cuda.is_available(),
            logging_steps=max(1, args.steps // 30),
            save_steps=500,
            save_total_limit=1,
            seed=args.seed,
            report_to=[],
        ),
        train_dataset=Texts(tokenizer, make, args.seed, args.batch_size),
        data_collator=DataCollatorForTokenClassification(tokenizer),
    )
    trainer.train(resume_from_checkpoint=args.resume)
    save(trainer.model, tokenizer, args.output)


def save(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the weights as bfloat16 (half the size), to be loaded as float32."""
    model.to(torch.bfloat16).save_pretrained(folder)
    config = LlamaConfig.from_pretrained(folder)
    config.dtype, config.use_cache = torch.float32, True
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
