"""What a reward model reads in a beam search, and how long it takes, with prefixes kept and anew.

    python scripts/bench_reward_model.py [--beams 16] [--width 4] [--iterations 12] [--json FILE]

A small random Llama scores a search whose steps are random tokens: the best beams / width paths go
on, each in `width` ways. Both ways of reading take turns on the same paths in one run.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, LlamaConfig

from lm_eval_tts.reward_models.hf import PaddedReader, Scorer, SlotReader, fit_reader
from lm_eval_tts.reward_models.inputs import Input

VOCABULARY, MAX_LENGTH = 512, 2048


def random_scorer() -> Scorer:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=4,
        max_position_embeddings=MAX_LENGTH,
        num_labels=2,
    )
    model = AutoModelForTokenClassification.from_config(config).eval()
    return Scorer(model.model, lambda hidden: model.score(hidden).softmax(-1)[:, 1])


def extended(path: Input, num_tokens: int, rng: random.Random) -> Input:
    ids = (*path.token_ids, *(rng.randrange(VOCABULARY) for _ in range(num_tokens)))
    return Input(ids, (*path.positions, len(ids) - 1))


def search(args: argparse.Namespace, readers: dict[str, Any]) -> dict[str, Any]:
    rng = random.Random(0)
    seconds = dict.fromkeys(readers, 0.0)
    tokens = dict.fromkeys(readers, 0)
    difference = 0.0
    paths = [extended(Input((), ()), args.prompt, rng)]
    for _ in range(args.iterations):
        paths = [extended(path, args.step, rng) for path in paths for _ in range(args.width)]
        paths = (paths * args.beams)[: args.beams]  # the first round has one path
        scores = []
        for name, reader in readers.items():
            start = time.perf_counter()
            with torch.inference_mode():
                results = reader.read(paths)
            seconds[name] += time.perf_counter() - start
            tokens[name] += sum(result.num_tokens for result in results)
            scores.append([result.scores for result in results])
        pairs = zip(*(torch.tensor(s) for s in scores), strict=True)
        difference = max(difference, *(float((a - b).abs().max()) for a, b in pairs))
        ranked = sorted(zip(scores[0], paths, strict=True), key=lambda pair: -pair[0][-1])
        paths = [path for _, path in ranked[: max(1, args.beams // args.width)]]
    return {
        "tokens": tokens,
        "seconds": seconds,
        "tokens_ratio": tokens["anew"] / tokens["kept"],
        "seconds_ratio": seconds["anew"] / seconds["kept"],
        "largest_difference": difference,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--beams", type=int, default=16)
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--prompt", type=int, default=150, help="tokens of the question")
    parser.add_argument("--step", type=int, default=40, help="tokens of a step")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args()
    scorer = random_scorer()
    kept = fit_reader(scorer, args.batch_size, MAX_LENGTH)
    assert isinstance(kept, SlotReader)
    figures = search(args, {"kept": kept, "anew": PaddedReader(scorer, args.batch_size)})
    print(json.dumps(figures, indent=2))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
