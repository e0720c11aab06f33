"""What one decoding step of the hf engine costs: ops, copies, synchronisations, penalties, memory.

    python scripts/bench_step.py models/smollm2-135m-instruct

Ops, copies and synchronisations are counted on an emulated device (tests/emulated_device.py), so
they are those of a GPU; of a captured step (tests/emulated_graphs.py) the whole forward is one op.
Times are of this machine. Two lines say what a card would give if each op took so many microseconds
of the host and the weights were read once a step.
"""

import argparse
import copy
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache

from lm_eval_tts.core.program import GREEDY, Generate, Sampling
from lm_eval_tts.engines.hf.engine import HFEngine
from lm_eval_tts.engines.hf.graphs import Recorder
from lm_eval_tts.engines.hf.memory import CACHE_SHARE
from lm_eval_tts.engines.tokenizer import ByteTokenizer

OP_MICROSECONDS = (8, 12)  # of host time, a fast and a usual host
CARD_BYTES = 1e12  # that a card reads in a second
SOME_IDS = 200  # which any vocabulary has
PENALTIES = Sampling(repetition_penalty=1.1, frequency_penalty=0.2, presence_penalty=0.1)
MIXED = (
    GREEDY,
    Sampling(temperature=0.8, top_p=0.9),
    Sampling(temperature=1.0, top_k=20, min_p=0.05),
    PENALTIES,
)


def started(
    model: Any,
    rows: int,
    settings: tuple[Sampling, ...],
    record: Recorder | None = None,
    length: int = 20,
) -> HFEngine:
    """Return an engine all of whose rows decode. length: of their prompts, in tokens."""
    limits = {"eos_token_ids": [], "max_length": length + 240, "max_num_seqs": rows}
    engine = HFEngine(model, ByteTokenizer(), record=record, **limits)
    for number in range(rows):
        prompt = tuple((7 * i * i + 31 * number) % SOME_IDS for i in range(length + number % 7))
        sampling = settings[number % len(settings)]
        engine.add_request(number, Generate(prompt, 200, sampling=sampling), number)
    for _ in range(4):  # where steps are captured, the last of these is a replay
        engine.step()
    return engine


def count(model: Any, rows: int) -> dict[str, dict[str, int]]:
    """Return what steps make on an emulated device, and what a step of plain `generate` makes."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from emulated_device import EmulatedDevices, counts, move
    from emulated_graphs import Graphs

    found = {}
    with EmulatedDevices(), torch.inference_mode():
        there = copy.deepcopy(model)
        move(there, "emu:0")
        for name, settings in (("greedy", (GREEDY,)), ("all settings", MIXED)):
            for graphs in (None, Graphs()):
                engine = started(there, rows, settings, graphs)
                counts.clear()
                engine.step()
                if graphs:
                    counts["ops"] -= graphs.num_ops - 1
                found[f"{name}, captured" if graphs else name] = dict(counts)
        cache, ids = DynamicCache(config=model.config), torch.ones(rows, 20, dtype=torch.long)
        there(ids.to("emu:0"), past_key_values=cache, logits_to_keep=1)
        counts.clear()
        there(ids[:, :1].to("emu:0"), past_key_values=cache, logits_to_keep=1)
        found["plain forward"] = dict(counts)
    return found


def report(model: Any, rows: int) -> Iterator[str]:
    """Yield lines of what a step makes, and of what a card would give by that.
    model: on the CPU. rows: that decode at once."""
    counted = count(model, rows)
    for name, numbers in counted.items():
        ops, *copies = (numbers.get(key, 0) for key in ("ops", "up", "down", "sync"))
        yield f"{name:22} {ops:6d} ops, {copies[0]} up, {copies[1]} down, {copies[2]} waits"
    weights = 2 * model.num_parameters()  # bytes in bfloat16
    for micro in OP_MICROSECONDS:
        rates = []
        for kind in ("all settings", "all settings, captured"):
            by_ops, by_memory = counted[kind]["ops"] * micro * 1e-6, weights / CARD_BYTES
            rates.append(f"{rows / max(by_ops, by_memory):,.0f}")
        yield (
            f"a card, at {micro} us an op and 1 TB/s: {rates[0]} tokens/s with {rows} rows, "
            f"{rates[1]} captured"
        )


def seconds(work: Any, turns: int = 7) -> float:
    """Return the shortest time of some turns, of this process: others do not count."""
    times = []
    for _ in range(turns):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", help="Hub name or folder")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=4096, help="tokens of rows with penalties")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(args.checkpoint, dtype=torch.float32).eval()
    print(*report(model, args.rows), sep="\n")
    plain, with_penalties = (
        seconds(started(model, args.rows, (sampling,), length=args.length).step)
        for sampling in (GREEDY, PENALTIES)
    )
    print(
        f"a step of {args.rows} rows of {args.length} tokens takes {plain * 1e3:.0f} ms, with "
        f"penalties on them {with_penalties / plain:.2f} times that"
    )
    slots = started(model, args.rows, (GREEDY,))._model
    size = sum(buffer.nbytes for buffer in slots.cache._buffers())
    bound = slots.max_tokens() * sum(slots.cache.bytes_per_token().values())
    print(
        f"cache: {size / 2**20:.0f} MiB now, at most {bound / 2**20:.0f} MiB, "
        f"{CACHE_SHARE:.0%} of what is free, all of it for one sequence where it is alone"
    )


if __name__ == "__main__":
    main()
