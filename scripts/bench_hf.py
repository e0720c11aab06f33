"""Tokens per second of budget forcing on a transformers checkpoint, beside what people do today.

The same requests, the methods in turn, `--repeats` times:

    stock     model.generate in static batches, one segment, nothing forced
    batching  transformers' own continuous batching, one segment
    slots     our engine, one segment; on a GPU its steps are captured, and
    eager     none of them
    rounds    2 waits and an answer at each level by rounds: all rows wait for the slowest, and
              every round computes its prompts anew
    single    the same, one request at a time (of the first few requests)
    forcing   the same by our engine
    anytime   our engine, thoughts of `--thinking` tokens with answers at 5 budgets on the way, of
              a quarter of the requests, and
    longest   only the longest of these
    waits     our engine, thoughts as long that wait twice, with an answer at each wait, and
    last      only the answer at the end

Rates are of the tokens that were sampled; greedy decoding, so that all do the same work up to
floating-point differences. Below them stands what bench_step.py counts of a step.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from bench_step import report
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.scheduler import Job, run
from lm_eval_tts.core.trace import Delimiters, Request
from lm_eval_tts.engines.hf.engine import HFEngine
from lm_eval_tts.engines.hf.generate import GenerateEngine
from lm_eval_tts.engines.hf.graphs import recorder_for
from lm_eval_tts.engines.tokenizer import HFTokenizer
from lm_eval_tts.strategies import Strategy
from lm_eval_tts.strategies.budget import Budget
from lm_eval_tts.strategies.progressive import Progressive
from lm_eval_tts.strategies.single import Single

QUESTIONS = [
    "A train leaves at 9 and arrives at 17 after two stops. How long is it under way?",
    "What is 17 times 23?",
    "List the prime numbers below 50 and add them up, explaining each step of your work.",
    "Simplify (x + 2)(x - 2) + 4.",
    "Which is larger, 3/7 or 5/12? Show how you know.",
    "How many ways are there to choose 3 of 8 books if two of them must not be taken together?",
    "Explain why the sum of two odd numbers is even.",
    "A rectangle is twice as long as it is wide and has a perimeter of 36. Find its area.",
    "Solve 3x - 7 = 2x + 5.",
    "What is the probability of two sixes with two dice? Give the reasoning first.",
]
DELIMITERS = Delimiters("<think>\n", "</think>", "\n<answer>", "</answer>")


class Bench:
    """A checkpoint and the requests that all methods answer."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(
            args.checkpoint, dtype=getattr(torch, args.dtype)
        ).eval()
        self.model.to(args.device)
        self.codec = HFTokenizer(self.tokenizer)
        self.eos = [self.tokenizer.eos_token_id]
        self.prompts = [self._prompt(i) for i in range(args.requests)]
        # Varied lengths: from a quarter of the cap to the cap, in an order that mixes them.
        self.caps = [args.cap * (1 + 7 * i % 4) // 4 for i in range(args.requests)]

    def _prompt(self, number: int) -> tuple[int, ...]:
        question = f"({number}) {QUESTIONS[number % len(QUESTIONS)]}"
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def engine(self, kind: type, num_seqs: int, **options: object) -> Engine:
        """Return a new engine, with nothing in its cache."""
        limits = {"eos_token_ids": self.eos, "max_length": 2048, "max_num_seqs": num_seqs}
        return kind(self.model, self.codec, **limits, **options)

    def run(self, engine: Engine, make: Callable[[int], Strategy], requests: int) -> int:
        """Run a strategy for each request and return how many tokens were sampled."""
        codec = self.codec
        asked = [
            Request(prompt, 1500, codec.encode, codec.decode, delimiters=DELIMITERS)
            for prompt in self.prompts[:requests]
        ]
        jobs = (Job(make(self.caps[i]).run(request), i) for i, request in enumerate(asked))
        return sum(result.cost.num_sampled_tokens for result in run(jobs, engine))

    def stock(self) -> int:
        """Static batches of `generate`, as the stock hf model runs them, one cap a batch."""
        total = 0
        size = self.args.slots
        for start in range(0, len(self.prompts), size):
            prompts, caps = self.prompts[start : start + size], self.caps[start : start + size]
            width = max(map(len, prompts))
            ids = torch.tensor([[self.eos[0]] * (width - len(p)) + list(p) for p in prompts])
            mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
            config = GenerationConfig(
                max_new_tokens=max(caps), eos_token_id=self.eos, pad_token_id=self.eos[0]
            )
            with torch.inference_mode():
                out = self.model.generate(
                    ids.to(self.args.device),
                    attention_mask=mask.to(self.args.device),
                    generation_config=config,
                )
            for row, cap in zip(out[:, width:].tolist(), caps, strict=True):
                ended = row.index(self.eos[0]) + 1 if self.eos[0] in row else len(row)
                total += min(ended, cap)  # what lies behind a row's own cap is of no use
        return total

    def batching(self) -> int:
        """Transformers' continuous batching; it knows one cap for all."""
        config = GenerationConfig(
            max_new_tokens=self.args.cap,
            eos_token_id=self.eos[0],
            pad_token_id=self.eos[0],
            do_sample=False,
        )
        outputs = self.model.generate_batch(
            inputs=[list(p) for p in self.prompts], generation_config=config, progress_bar=False
        )
        lengths = [len(output.generated_tokens) for output in outputs.values()]
        return sum(map(min, lengths, self.caps))

    def methods(self) -> dict[str, Callable[[], int]]:
        """Return the methods by name, in the order they run; each returns its sampled tokens."""
        slots, count = self.args.slots, self.args.requests
        few = min(self.args.single, count)
        budgets = [self.args.thinking * k // 5 for k in range(1, 6)]

        def waiting(tokens: int) -> Strategy:
            return Progressive(num_waits=2, max_thinking_tokens=tokens, max_answer_tokens=16)

        def progressive(cap: int) -> Strategy:
            return waiting(3 * cap)

        def thinking(*budgets: int, num_waits: int = 99) -> Callable[[int], Strategy]:
            # So many waits that a thought goes on to the budget and does not end by itself.
            strategy = Budget(
                max_thinking_tokens=budgets, num_waits=num_waits, max_answer_tokens=16
            )
            return lambda cap: strategy

        def ours(make: Callable[[int], Strategy], requests: int, num_seqs: int = slots) -> int:
            engine = self.engine(HFEngine, num_seqs, record=recorder_for(self.model))
            return self.run(engine, make, requests)

        def one(cap: int) -> Strategy:
            return Single(max_gen_toks=cap)

        return {
            "stock": self.stock,
            "batching": self.batching,
            "slots": lambda: ours(one, count),
            "eager": lambda: self.run(self.engine(HFEngine, slots), one, count),
            "slots_x2": lambda: ours(one, count, 2 * slots),
            "rounds": lambda: self.run(self.engine(GenerateEngine, slots), progressive, count),
            "single": lambda: self.run(self.engine(GenerateEngine, 1), progressive, few),
            "forcing": lambda: ours(progressive, count),
            "anytime": lambda: ours(thinking(*budgets), count // 4),
            "longest": lambda: ours(thinking(budgets[-1]), count // 4),
            "waits": lambda: ours(lambda cap: waiting(budgets[-1]), count // 4),
            "last": lambda: ours(thinking(budgets[-1], num_waits=2), count // 4),
        }


RATIOS = [
    ("slots", "stock", "rate", "ours one segment / stock"),
    ("slots", "eager", "rate", "ours one segment / without CUDA graphs"),
    ("slots_x2", "stock", "rate", "ours with twice the slots / stock"),
    ("slots", "batching", "rate", "ours one segment / transformers' batching"),
    ("forcing", "rounds", "rate", "ours with forcing / rounds"),
    ("forcing", "single", "rate", "ours with forcing / one at a time"),
    ("forcing", "stock", "rate", "ours with forcing / stock one segment"),
    ("anytime", "longest", "seconds", "time of 5 budgets / of the longest alone"),
    ("waits", "last", "seconds", "time of an answer at each wait / of the last alone"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that describe a workload."""
    parser.add_argument("checkpoint", help="Hub name or folder")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--slots", type=int, default=32, help="sequences at once, for all methods")
    parser.add_argument("--cap", type=int, default=100, help="longest segment in tokens")
    parser.add_argument("--single", type=int, default=3, help="requests of the method `single`")
    parser.add_argument("--thinking", type=int, default=500, help="tokens of an anytime thought")
    parser.add_argument("--repeats", type=int, default=1, help="turns of all methods")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, xpu, mps ...")
    parser.add_argument("--json", type=Path, help="file to write the rows to")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--skip", nargs="*", default=[], help="methods to leave out")
    args = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    kind = torch.device(args.device).type
    if kind != "cpu" and not torch.get_device_module(kind).is_available():
        sys.exit(f"no {kind} device is here: leave --device= out to measure on the CPU")
    bench = Bench(args)
    skipped = {*args.skip, *(() if recorder_for(bench.model) else ("eager",))}
    methods = {name: run for name, run in bench.methods().items() if name not in skipped}
    rows = {name: {"tokens": 0, "seconds": 0.0} for name in methods}
    for _ in range(args.repeats):
        for name, method in methods.items():
            start = time.perf_counter()
            rows[name]["tokens"] += method()
            rows[name]["seconds"] += time.perf_counter() - start
            print(".", end="", flush=True)
    print()
    for name, row in rows.items():
        row["rate"] = row["tokens"] / row["seconds"]
        tokens, seconds, rate = row.values()
        print(f"{name:10} {tokens:6d} tokens {seconds:7.1f} s {rate:7.1f} tokens/s")
    if kind == "cuda":
        peak, free = torch.cuda.max_memory_allocated(), torch.cuda.mem_get_info()[0]
        print(f"memory: {peak / 2**30:.1f} GiB at most, {free / 2**30:.1f} GiB free")
    for ours, other, figure, label in RATIOS:
        if ours in rows and other in rows:
            print(f"{rows[ours][figure] / rows[other][figure]:6.2f}  {label}")
    print(*report(bench.model.cpu(), args.slots), sep="\n")
    if args.json:
        args.json.write_text(json.dumps({"settings": vars(args), "rows": rows}, default=str) + "\n")


if __name__ == "__main__":
    main()
