"""Train the models of the small world, stage by stage; a stage that is done is left alone.

    python scripts/train_world.py small --output models/world
    python scripts/train_world.py large --output models/world

The small policy has a base, what SFT made of it (a policy that was taught to check itself, one that
was not, and one of a learning rate ten times too high) and a reward model. This one grows from a
policy whose texts had no slips: it knows best what is right. It learns from made-up slips, then
from samples. The large policy has a base and what SFT made of it. An interrupted stage goes on from
its last save; seeds are fixed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import training_data
import world_samples
import world_texts
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from world_models import SIZES, world_llama, world_tokenizer

Row = tuple[list[int], list[int]]  # ids and labels
Rating = Callable[[Any, Any], list[dict[str, Any]]]  # a model and its tokenizer to rated responses
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # ids, labels, what is no padding
UNLABELLED = -100
GROUP = 1024  # rows that are sorted together, so that little is padded
SAVES = 10  # of a stage
REHEARSED = 0.25  # of the rows of SFT, texts of pretraining
NUM_SHORT = 6000  # groups of short texts at the start of pretraining


def batches(rows: Iterator[Row], num_tokens: int, seed: int) -> Iterator[Batch]:
    """Yield batches of about `num_tokens`; the rows of a batch are of like length."""
    rng = random.Random(seed)
    while group := sorted(itertools.islice(rows, GROUP), key=lambda row: len(row[0])):
        made: list[list[Row]] = [[]]
        for row in group:
            if made[-1] and (len(made[-1]) + 1) * len(row[0]) > num_tokens:
                made.append([])
            made[-1].append(row)
        rng.shuffle(made)
        yield from map(collate, made)


def collate(rows: list[Row]) -> Batch:
    """Pad the rows of a batch on the right."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])
    labels = torch.tensor([x + [UNLABELLED] * (width - len(x)) for _, x in rows])
    lengths = torch.tensor([len(ids) for ids, _ in rows])
    return ids, labels, torch.arange(width) < lengths[:, None]


def fit(
    model: Any,
    data: Iterable[Batch],
    steps: int,
    learning_rate: float,
    folder: Path,
    check: Callable[[], dict[str, float]] = dict,
) -> None:
    """Train the parameters that can be, by AdamW with a cosine schedule; a log line at each save.
    check: what else to log."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.1)
    folder.mkdir(parents=True, exist_ok=True)
    saved, start = folder / "training.pt", 0
    if saved.exists():
        state = torch.load(saved)
        start = state["step"]
        optimizer.load_state_dict(state["optimizer"])
        for parameter, value in zip(trained, state["trained"], strict=True):
            parameter.data.copy_(value)
    model.train()
    begun, losses = time.process_time(), list[float]()
    for step, (ids, labels, mask) in enumerate(itertools.islice(data, steps)):
        if step < start:
            continue
        warm, cosine = min(1.0, (step + 1) / (0.05 * steps)), math.cos(math.pi * step / steps)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * warm * (0.51 + 0.49 * cosine)
        loss = model(ids, attention_mask=mask.long(), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % max(1, steps // SAVES) == 0:
            seconds = round(time.process_time() - begun)
            model.eval()
            log = {"step": step + 1, "loss": round(sum(losses) / len(losses), 4), **check()}
            model.train()
            print(folder.name, json.dumps({**log, "CPU seconds": seconds}), flush=True)
            losses.clear()
            state = {"trained": trained, "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, saved.with_suffix(".new"))
            os.replace(saved.with_suffix(".new"), saved)
    model.eval()


def train_base(size: str, folder: Path, steps: int, learning_rate: float) -> None:
    """Pretrain a policy on generated texts."""
    tokenizer = world_tokenizer()
    model = world_llama(size, tokenizer)
    texts = world_texts.pretraining(random.Random(f"pretraining {size}"), NUM_SHORT)
    rows = (text_row(text, tokenizer) for text in texts)
    fit(
        model,
        batches(rows, 1024, seed=0),
        steps,
        learning_rate,
        folder,
        lambda: sum_accuracy(model, tokenizer) | copying(model, tokenizer),
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def text_row(text: world_texts.Text, tokenizer: Any) -> Row:
    """Return a text with its end mark; every other part of it is learned."""
    ids, labels = list[int](), list[int]()
    for number, part in enumerate(text):
        encoded = tokenizer.encode(part)
        ids += encoded
        labels += encoded if number % 2 else [UNLABELLED] * len(encoded)
    end = [tokenizer.eos_token_id]
    return ids + end, labels + end


def sum_accuracy(model: Any, tokenizer: Any) -> dict[str, float]:
    """Return how many sums get the right result."""
    rng = random.Random("sums")
    drawn = [
        world_texts.Equation(rng.randrange(world_texts.POSITIONS), world_texts.draw_turn(rng))
        for _ in range(500)
    ]
    ids = torch.tensor([tokenizer.encode(f"\n={e.value:02}{e.quick}") for e in drawn])
    with torch.inference_mode():
        guessed = model(ids[:, :-1]).logits[:, -2:].argmax(-1)
    return {"sums": round(float((guessed == ids[:, -2:]).all(-1).float().mean()), 3)}


def copying(model: Any, tokenizer: Any) -> dict[str, float]:
    """Return how many tokens of steps that are told again are right, of problems of four levels."""
    rng, right = random.Random("copying"), list[float]()
    for _ in range(40):
        ids, labels = text_row(world_texts.echo(rng, rng.randint(1, 4)), tokenizer)
        with torch.inference_mode():
            guessed = model(torch.tensor([ids[:-1]])).logits[0].argmax(-1).tolist()
        right += [g == x for g, x in zip(guessed, labels[1:], strict=True) if x != UNLABELLED]
    return {"copied": round(sum(right) / len(right), 3)}


def train_sft(base: Path, kind: str, folder: Path, learning_rate: float, steps: int) -> None:
    """Teach a base the prompt styles; kind: one of `world_texts.ROWS`. All weights are trained: an
    adapter of so narrow a model has too few to tell the styles apart. Texts of pretraining are in
    between, without which it can lose its sums."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    rng = random.Random(f"{kind} 0")

    def rows() -> Iterator[Row]:
        while True:
            if rng.random() < REHEARSED:
                yield text_row(world_texts.any_text(rng), tokenizer)
            else:
                yield sft_row(world_texts.ROWS[kind](rng), tokenizer)

    fit(
        model,
        batches(rows(), 2048, seed=0),
        steps,
        learning_rate,
        folder,
        lambda: {"right": world_samples.accuracy(model, tokenizer)},
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def sft_row(row: world_texts.Row, tokenizer: Any) -> Row:
    """Return ids and labels of a row as `train_sft.py` makes them."""
    example = training_data.Example(
        row["question"], row["prefix"], row["completion"], row["instruction"]
    )
    features = training_data.tokenize(example, tokenizer)
    return features["input_ids"], features["labels"]


def train_sums(start: Path, folder: Path) -> None:
    """Train a policy with as many layers again to tell right lines from wrong ones, in workings
    full of slips."""
    from train_prm import load_classifier  # imports TRL, which takes its time

    depth = AutoConfig.from_pretrained(start).num_hidden_layers
    model = load_classifier(str(start), None, extra_layers=depth)
    train_classifier(model, start, world_samples.slips(), folder, 3500, 2e-3)


def train_prm(start: Path, policy: Path, folder: Path, rated: Rating) -> None:
    """Go on from `start` with samples of the policy, which `rated` gives labels."""
    data = folder / "steps.jsonl"
    if not data.exists():
        folder.mkdir(parents=True, exist_ok=True)
        model = AutoModelForCausalLM.from_pretrained(policy).eval()
        own = rated(model, AutoTokenizer.from_pretrained(policy))
        data.write_text("".join(json.dumps(row) + "\n" for row in own), encoding="utf-8")
    own = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    model = AutoModelForTokenClassification.from_pretrained(start)
    train_classifier(model, start, world_samples.mixed(own), folder, 1200, 1e-3)


def train_classifier(
    model: Any,
    start: Path,
    rows: Iterator[dict[str, Any]],
    folder: Path,
    steps: int,
    learning_rate: float,
) -> None:
    """Train a model, which has the tokenizer of `start`, to rate the steps of rows."""
    from train_prm import to_features

    tokenizer = AutoTokenizer.from_pretrained(start)
    features = (to_features(row, tokenizer, "a sample") for row in rows)
    labelled = ((row["input_ids"], row["labels"]) for row in features)
    fit(model, batches(labelled, 2048, seed=0), steps, learning_rate, folder)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def stages(size: str, folder: Path) -> dict[str, Callable[[Path], None]]:
    """Return what trains each checkpoint of a size, in order."""
    base, sft = folder / f"world-{size}", folder / f"world-{size}-sft"
    sums = folder / "world-sums"
    if size == "large":
        return {
            base.name: lambda to: train_base(size, to, 2800, 1.5e-3),
            sft.name: lambda to: train_sft(base, "checking", to, 1e-3, 600),
        }
    return {
        base.name: lambda to: train_base(size, to, 3200, 3e-3),
        sft.name: lambda to: train_sft(base, "checking", to, 2e-3, 1000),
        "world-small-plain": lambda to: train_sft(base, "answering", to, 2e-3, 700),
        "world-small-hot": lambda to: train_sft(base, "checking", to, 2e-2, 1000),
        "world-small-hasty": lambda to: train_sft(base, "hasty", to, 2e-3, 1000),
        "world-careful": lambda to: train_sft(base, "careful", to, 2e-3, 700),
        "world-sums": lambda to: train_sums(folder / "world-careful", to),
        "world-prm": lambda to: train_prm(sums, sft, to, world_samples.rated_samples),
        "world-prm-rollouts": lambda to: train_prm(sums, sft, to, world_samples.rolled_out),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--output", type=Path, default=Path("models/world"))
    args = parser.parse_args()
    for name, train in stages(args.size, args.output).items():
        if not list((args.output / name).glob("*model.safetensors")):
            torch.manual_seed(0)  # new weights are drawn
            train(args.output / name)


if __name__ == "__main__":
    main()
