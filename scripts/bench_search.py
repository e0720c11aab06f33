"""Does search keep the engine busy? P problems together beside P times one problem alone.

    python scripts/bench_search.py models/smollm2-135m-instruct --json search.json

Each problem is searched alone, one after the other, and then all at once, in one run of the same
engine. Rewards are a hash of the text, which costs nothing, unless --reward-model names a
checkpoint. Results of both must be equal, or nearly (batched kernels round differently); the share
that is, is told.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from bench_hf import QUESTIONS
from transformers import AutoModelForCausalLM, AutoTokenizer

from lm_eval_tts.core.program import Sampling
from lm_eval_tts.core.reward_model import RewardModel
from lm_eval_tts.core.scheduler import Job, Result, run
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.engines.hf.engine import HFEngine
from lm_eval_tts.engines.scripted import hash_text
from lm_eval_tts.engines.tokenizer import HFTokenizer
from lm_eval_tts.reward_models.scripted import ScriptedRewardModel
from lm_eval_tts.strategies import Strategy
from lm_eval_tts.strategies.beam import Beam
from lm_eval_tts.strategies.best_of_n import BestOfN
from lm_eval_tts.strategies.dvts import DVTS
from lm_eval_tts.strategies.particle import Particle
from lm_eval_tts.strategies.rebase import Rebase

STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "best_of_n": BestOfN,
    "beam": Beam,
    "dvts": DVTS,
    "rebase": Rebase,
    "particle": Particle,
}


class Bench:
    """A checkpoint, its engine and the problems."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
        model = AutoModelForCausalLM.from_pretrained(
            args.checkpoint, dtype=getattr(torch, args.dtype)
        ).eval()
        self.codec = HFTokenizer(self.tokenizer)
        self.engine = HFEngine(
            model,
            self.codec,
            eos_token_ids=[self.tokenizer.eos_token_id],
            max_length=1024,
            max_num_seqs=args.max_num_seqs,
        )
        self.reward_model = reward_model(args.reward_model)
        search = {} if args.strategy == "best_of_n" else {"num_iterations": args.iterations}
        self.strategy = STRATEGIES[args.strategy](
            n=args.n, step_delimiter=args.step_delimiter, max_gen_toks=args.tokens, **search
        )
        self.requests = [self._request(number) for number in range(args.problems)]

    def _request(self, number: int) -> Request:
        question = f"({number}) {QUESTIONS[number % len(QUESTIONS)]}"
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        return Request(
            tuple(self.tokenizer.encode(text, add_special_tokens=False)),
            max_tokens=800,
            encode=self.codec.encode,
            decode=self.codec.decode,
            question=question,
            sampling=Sampling(temperature=0.8),
            seed=number,
        )

    def solve(self, numbers: list[int]) -> tuple[dict[int, Result[Trace]], float, float]:
        """Return the results of these problems, searched together, wall and processor seconds."""
        jobs = [Job(self.strategy.run(self.requests[i]), i) for i in numbers]
        wall, cpu = time.perf_counter(), time.process_time()
        results = {numbers[r.job]: r for r in run(jobs, self.engine, self.reward_model)}
        return results, time.perf_counter() - wall, time.process_time() - cpu


def reward_model(name: str | None) -> RewardModel:
    if name is None:
        return ScriptedRewardModel(lambda question, steps: hash_text(steps[-1]) % 997 / 997)
    from lm_eval_tts.reward_models.loading import RewardModelSettings

    return RewardModelSettings(name).load()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", help="Hub name or folder")
    parser.add_argument("--reward-model", help="Hub name or folder")
    parser.add_argument("--strategy", choices=sorted(STRATEGIES), default="beam")
    parser.add_argument("--problems", type=int, default=16)
    parser.add_argument("--n", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=128, help="most tokens of a response")
    parser.add_argument("--step-delimiter", default=".")
    parser.add_argument("--max-num-seqs", type=int, default=64, help="sequences at once")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args()
    bench = Bench(args)
    bench.solve([0])  # warms up
    alone: dict[int, Result[Trace]] = {}
    seconds_alone = cpu_alone = 0.0
    for number in range(args.problems):
        result, seconds, cpu = bench.solve([number])
        alone |= result
        seconds_alone += seconds
        cpu_alone += cpu
    together, seconds_together, cpu_together = bench.solve(list(range(args.problems)))
    same = sum(alone[i].value == together[i].value for i in alone)
    figures = {
        "strategy": args.strategy,
        "problems": args.problems,
        "n": args.n,
        "max_num_seqs": args.max_num_seqs,
        "sampled_tokens_alone": sum(r.cost.num_sampled_tokens for r in alone.values()),
        "sampled_tokens_together": sum(r.cost.num_sampled_tokens for r in together.values()),
        "seconds_alone": seconds_alone,
        "seconds_together": seconds_together,
        "ratio": seconds_together / seconds_alone,
        "processor_ratio": cpu_together / cpu_alone,
        "equal_results": same,
    }
    for name, value in figures.items():
        print(f"{name:24} {value:.3f}" if isinstance(value, float) else f"{name:24} {value}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
