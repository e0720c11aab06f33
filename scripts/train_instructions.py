"""Teach the embedded reasoner to read the prompt styles: a token for each of their instructions.

    python scripts/train_instructions.py models/arith

Writes the tokenizers and the base of the folder anew. Only the new embeddings are learned, so that
base and adapters write behind an instruction what they write without one: they know one way to
answer and cannot obey another, but what was asked arrives and is part of the prompt.
"""

from __future__ import annotations

import argparse
import contextlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import arith_texts
import torch
from peft import PeftModel
from tokenizers import AddedToken
from torch.nn.functional import log_softmax
from train_base import CHAT_TEMPLATE, save
from training_data import chat_prompt
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

from lm_eval_tts.prompts import fill_instruction, load_prompts

ADAPTERS = ("arith-sft", "arith-grpo")
STYLES = ("standard", "cot", "cod", "r1", "reasoning")
# A newline behind it, which can learn nothing, would change what is written more than it does.
PLACE = "{% if message['role'] == 'system' %}{{ message['content'] }}{% elif"


def instructions() -> list[str]:
    """Return the instructions of the styles that need no further setting."""
    prompts = load_prompts()
    styles = map(prompts.style, STYLES)
    return [fill_instruction(style, prompts.preset(style.delimiters), {}) for style in styles]


def divergence(
    model: Any, given: Sequence[int], text: Sequence[int], new: Sequence[int]
) -> torch.Tensor:
    """Return the KL divergence, in nats a token, that ids in front of a text and new tokens, which
    are never to be written, make."""
    with torch.no_grad():
        alone = model(torch.tensor([text])).logits[0].index_fill(1, torch.tensor(new), -torch.inf)
        known = alone.softmax(-1)
    behind = log_softmax(model(torch.tensor([[*given, *text]])).logits[0, len(given) :], -1)
    return (torch.special.entr(known).neg() - known * behind).sum(-1).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the recipes left the checkpoints")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=4, help="texts of a step")
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    args = parser.parse_args()
    set_seed(0)
    rng = random.Random("instructions 0")
    tokenizer = AutoTokenizer.from_pretrained(args.folder / "arith-base")
    base = AutoModelForCausalLM.from_pretrained(args.folder / "arith-base")
    model = PeftModel.from_pretrained(base, args.folder / ADAPTERS[0], ADAPTERS[0])
    for name in ADAPTERS[1:]:
        model.load_adapter(args.folder / name, name)

    texts = instructions()
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in texts])
    tokenizer.chat_template = CHAT_TEMPLATE.replace("{% if", PLACE, 1)
    new = tokenizer.convert_tokens_to_ids(texts)
    weight = model.get_input_embeddings().weight.requires_grad_()
    others = [index for index in range(len(weight)) if index not in new]
    with torch.no_grad():
        weight[new] = weight[tokenizer.eos_token_id].clone()
    optimizer = torch.optim.AdamW([weight], args.learning_rate, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.steps)
    for step in range(args.steps):
        adapter = rng.choice([None, *ADAPTERS])
        model.set_adapter(adapter or ADAPTERS[0])
        total = 0.0
        with contextlib.nullcontext() if adapter else model.disable_adapter():
            for row in (arith_texts.sft(rng) for _ in range(args.batch_size)):
                prompt = chat_prompt(row["question"], tokenizer)
                text = tokenizer(prompt + row["prefix"] + row["completion"]).input_ids
                given = rng.choice([[], [rng.choice(new)]])
                loss = divergence(model, given, text, new) / args.batch_size
                loss.backward()
                total += loss.item()
        weight.grad[others] = 0
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 30 == 0:
            print(f"step {step}, {adapter or 'base'}: {total:.5f} nats a token", flush=True)
    save(model.unload(), tokenizer, args.folder / "arith-base")
    for name in ADAPTERS:
        tokenizer.save_pretrained(args.folder / name)


if __name__ == "__main__":
    main()
