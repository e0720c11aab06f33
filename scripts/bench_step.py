"""What one decoding step of the hf engine costs: ops, copies, synchronisations, penalties, memory.

    python scripts/bench_step.py models/smollm2-135m-instruct

Ops, copies and synchronisations are counted on an emulated device (tests/emulated_device.py), so
they are those of a GPU; times are of this machine. The last lines say what a card would give if
each op took so many microseconds of the host and the weights were read once a step.
"""

import argparse
import copy
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache

from lm_eval_tts.core.program import GREEDY, Generate, Sampling
from lm_eval_tts.engines.hf.engine import HFEngine
from lm_eval_tts.engines.hf.history import Draw
from lm_eval_tts.engines.hf.memory import CACHE_SHARE
from lm_eval_tts.engines.hf.sampler import Sampler
from lm_eval_tts.engines.tokenizer import ByteTokenizer

OP_MICROSECONDS = (8, 12)  # of host time, a fast and a usual host
CARD_BYTES = 1e12  # that a card reads in a second
PENALTIES = Sampling(repetition_penalty=1.1, frequency_penalty=0.2, presence_penalty=0.1)
MIXED = (
    GREEDY,
    Sampling(temperature=0.8, top_p=0.9),
    Sampling(temperature=1.0, top_k=20, min_p=0.05),
    PENALTIES,
)


def started(model: Any, rows: int, settings: tuple[Sampling, ...]) -> HFEngine:
    """Return an engine all of whose rows decode."""
    limits = {"eos_token_ids": [0], "max_length": 512, "max_num_seqs": rows}
    engine = HFEngine(model, ByteTokenizer(), **limits)
    for number in range(rows):
        prompt = tuple(range(5, 25 + number % 7))
        sampling = settings[number % len(settings)]
        engine.add_request(number, Generate(prompt, 200, sampling=sampling), number)
    for _ in range(3):
        engine.step()
    return engine


def count(model: Any, rows: int) -> dict[str, dict[str, int]]:
    """Return what steps make on an emulated device, and what a step of plain `generate` makes."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from emulated_device import EmulatedDevices, counts, move

    found = {}
    with EmulatedDevices(), torch.inference_mode():
        there = copy.deepcopy(model)
        move(there, "emu:0")
        for name, settings in (("greedy", (GREEDY,)), ("all settings", MIXED)):
            engine = started(there, rows, settings)
            counts.clear()
            engine.step()
            found[name] = dict(counts)
        cache, ids = DynamicCache(config=model.config), torch.ones(rows, 20, dtype=torch.long)
        there(ids.to("emu:0"), past_key_values=cache, logits_to_keep=1)
        counts.clear()
        there(ids[:, :1].to("emu:0"), past_key_values=cache, logits_to_keep=1)
        found["plain forward"] = dict(counts)
    return found


def seconds(work: Any, turns: int = 7) -> float:
    """Return the shortest time of some turns, of this process: others do not count."""
    times = []
    for _ in range(turns):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def penalty(rows: int, length: int, vocabulary: int, sampling: Sampling) -> float:
    """Return the seconds that sampling takes for rows of so many tokens."""
    logits = torch.randn(rows, vocabulary)
    ids = [torch.randint(0, vocabulary, (length,)).tolist() for _ in range(rows)]
    sampler, drawn = Sampler(), [length // 2]

    def step() -> None:
        drawn[0] += 1
        sampler.sample(logits, [Draw(sampling, i, drawn[0], ids[i]) for i in range(rows)])
        for row in ids:
            row.append(5)

    step()
    return seconds(step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", help="Hub name or folder")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=4096, help="tokens of rows with penalties")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(args.checkpoint, dtype=torch.float32).eval()
    counted = count(model, args.rows)
    for name, numbers in counted.items():
        ops, *copies = (numbers.get(key, 0) for key in ("ops", "up", "down", "sync"))
        print(f"{name:14} {ops:6d} ops, {copies[0]} up, {copies[1]} down, {copies[2]} waits")

    engine = started(model, args.rows, (GREEDY,))
    step = seconds(engine.step)
    vocabulary = model.get_input_embeddings().num_embeddings
    plain, with_penalties = (
        penalty(args.rows, args.length, vocabulary, sampling) for sampling in (GREEDY, PENALTIES)
    )
    print(
        f"a step of {args.rows} rows takes {step * 1e3:.0f} ms, {plain * 1e3:.1f} to sample; "
        f"with penalties on {args.length} tokens a row {with_penalties * 1e3:.1f}: "
        f"{1 + (with_penalties - plain) / step:.2f} times the step"
    )
    cache = engine._model.cache
    size = sum(buffer.nbytes for buffer in cache._buffers())
    bound = engine._model.max_tokens() * sum(cache.bytes_per_token().values())
    print(
        f"cache: {size / 2**20:.0f} MiB now, at most {bound / 2**20:.0f} MiB, "
        f"{CACHE_SHARE:.0%} of what is free, all of it for one sequence where it is alone"
    )
    weights = sum(p.nbytes for p in model.parameters()) / 2  # in bfloat16
    ops = counted["all settings"]["ops"]
    for micro in OP_MICROSECONDS:
        by_ops, by_memory = ops * micro * 1e-6, weights / CARD_BYTES
        rate = args.rows / max(by_ops, by_memory)
        print(f"a card, at {micro} us an op and 1 TB/s: {rate:,.0f} tokens/s with {args.rows} rows")


if __name__ == "__main__":
    main()
