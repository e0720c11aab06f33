"""Budget forcing on vLLM, beside plain generation of as many tokens and forcing round by round.

The same requests, the methods in turn, several times; the first two on a `vllm.LLM`, ours on the
AsyncLLM that it uses, each with half of the memory:

    plain    one LLM.generate of as many tokens for each request, nothing forced: the bound
    rounds   the same forcing by LLM.generate of all pending segments: all wait for the slowest
    ours     each request goes on as soon as its own segment is done

A request thinks up to its own limit, is told to wait twice, and answers; limits vary from short to
long, as thoughts do. Prefix caching is on for all and emptied between runs; `cached` is the share
of prompt tokens that it had. Seconds are wall time and, as other work on the machine does not
change them, CPU time of all of vLLM's processes.
"""

import argparse
import json
import logging
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from bench_hf import DELIMITERS, QUESTIONS
from transformers import AutoTokenizer

from lm_eval_tts.core.engine import Engine, Output
from lm_eval_tts.core.scheduler import Job, run
from lm_eval_tts.core.trace import Request
from lm_eval_tts.engines.asynchronous import AsyncEngine
from lm_eval_tts.engines.requests import RowEngine, SampledTokens
from lm_eval_tts.engines.tokenizer import HFTokenizer
from lm_eval_tts.strategies.budget import Budget

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")


class Rounds(RowEngine):
    """An engine whose step answers everything that waits by one LLM.generate."""

    def __init__(self, llm: Any, codec: HFTokenizer, eos: list[int], max_num_seqs: int) -> None:
        max_length = llm.llm_engine.model_config.max_model_len
        limits = {"max_length": max_length, "max_num_seqs": max_num_seqs}
        super().__init__(codec, eos_token_ids=eos, **limits)
        self._llm = llm

    def step(self) -> list[Output]:
        """Answer all that waits, and wait for all of it."""
        from lm_eval_tts.engines.vllm.engine import sampling_params

        rows = self.take(len(self.queue))
        outputs = self._llm.generate(
            [{"prompt_token_ids": list(row.op.token_ids)} for row in rows],
            [sampling_params(row, self.eos_token_ids) for row in rows],
            use_tqdm=False,
        )
        for row, output in zip(rows, outputs, strict=True):
            self.take_part(row, SampledTokens(tuple(output.outputs[0].token_ids)))
            self.finished(row)
        return self.pop_finished()


class Bench:
    """An engine and the requests that all methods answer."""

    def __init__(self, args: argparse.Namespace) -> None:
        from vllm import LLM

        from lm_eval_tts.engines.vllm.engine import Replicas

        self.args = args
        tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
        self.codec = HFTokenizer(tokenizer)
        self.eos = [tokenizer.eos_token_id]
        settings = {
            "model": args.checkpoint,
            "dtype": args.dtype,
            "enforce_eager": True,
            "enable_prefix_caching": True,
            "block_size": args.block_size,
            "max_num_seqs": args.slots,
            "max_model_len": 2048,
            "gpu_memory_utilization": 0.45,
        }
        self.llm, self.replicas = LLM(**settings), Replicas(**settings)
        self.num_steps = 0
        self.prompt_tokens = self.replicas.prompt_tokens
        self._step = self.llm.llm_engine.step
        self.llm.llm_engine.step = self._counted
        core = self.replicas.llm_engine.engine_core
        self._outputs, core.get_output_async = core.get_output_async, self._outputs_counted
        texts = [f"{QUESTIONS[i % len(QUESTIONS)]} ({i})" for i in range(args.requests)]
        chats = [[{"role": "user", "content": text}] for text in texts]
        self.prompts = [
            tuple(tokenizer.apply_chat_template(c, add_generation_prompt=True, return_dict=False))
            for c in chats
        ]
        least, most = args.shortest, args.cap
        spread = [
            (i * 37 % args.requests) / max(1, args.requests - 1) for i in range(args.requests)
        ]
        self.caps = [round(least + (most - least) * share**2) for share in spread]
        self.tokens = [1] * args.requests

    def _counted(self) -> Any:
        self.num_steps += 1
        outputs = self._step()
        for output in outputs:
            sent, cached = len(output.prompt_token_ids), output.num_cached_tokens or 0
            self.prompt_tokens.update(sent=sent, cached=cached)
        return outputs

    async def _outputs_counted(self) -> Any:
        outputs = await self._outputs()
        self.num_steps += 1
        return outputs

    def force(self, engine: Engine) -> None:
        """Run budget forcing over an engine and note each request's sampled tokens."""
        jobs = (
            Job(
                Budget(max_thinking_tokens=(cap,), num_waits=2, max_answer_tokens=16).run(
                    Request(
                        prompt, 1500, self.codec.encode, self.codec.decode, delimiters=DELIMITERS
                    )
                ),
                number,
            )
            for number, (prompt, cap) in enumerate(zip(self.prompts, self.caps, strict=True))
        )
        for result in run(jobs, engine):
            self.tokens[result.job] = result.cost.num_sampled_tokens

    def ours(self) -> None:
        """Force by our engine."""
        self.force(
            AsyncEngine(
                partial(self.replicas.sample, eos_token_ids=frozenset(self.eos)),
                self.replicas.background,
                self.codec,
                eos_token_ids=self.eos,
                max_length=2048,
                max_num_seqs=self.args.slots * 5 // 4,
            )
        )

    def rounds(self) -> None:
        """Force round by round."""
        self.force(Rounds(self.llm, self.codec, self.eos, self.args.requests))

    def plain(self) -> None:
        """Generate as many tokens for each request as forcing sampled for it."""
        from vllm import SamplingParams

        params = [SamplingParams(temperature=0, max_tokens=n, ignore_eos=True) for n in self.tokens]
        prompts = [{"prompt_token_ids": list(prompt)} for prompt in self.prompts]
        self.llm.generate(prompts, params, use_tqdm=False)

    def measure(self, method: Callable[[], None]) -> dict[str, float]:
        """Run a method on an empty cache and return what it took."""
        self.llm.reset_prefix_cache()
        self.replicas.background.run(self.replicas.llm_engine.reset_prefix_cache())
        self.prompt_tokens.clear()
        steps, cpu, start = self.num_steps, cpu_seconds(), time.perf_counter()
        method()
        return {
            "seconds": time.perf_counter() - start,
            "cpu_seconds": cpu_seconds() - cpu,
            "steps": self.num_steps - steps,
            "tokens": sum(self.tokens),
            "prompt_tokens": self.prompt_tokens["sent"],
            "cached": self.prompt_tokens["cached"] / self.prompt_tokens["sent"],
        }


def cpu_seconds() -> float:
    """Return the CPU time of this process and all it has started."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(t.user + t.system for t in (process.cpu_times() for process in processes))


RATIOS = [("ours", "plain"), ("rounds", "plain"), ("rounds", "ours")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", help="Hub name or folder")
    parser.add_argument("--requests", type=int, default=48)
    parser.add_argument("--slots", type=int, default=16, help="sequences at once in vLLM")
    parser.add_argument("--shortest", type=int, default=40, help="tokens of the shortest thought")
    parser.add_argument("--cap", type=int, default=400, help="tokens of the longest thought")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--block-size", type=int, default=32)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    args = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    bench = Bench(args)
    bench.ours()  # warms up, and tells how many tokens `plain` has to make
    rows: dict[str, list[dict[str, float]]] = {"plain": [], "rounds": [], "ours": []}
    for _ in range(args.repeats):
        for name, runs in rows.items():
            runs.append(bench.measure(getattr(bench, name)))
            print(name, {key: round(value, 2) for key, value in runs[-1].items()}, flush=True)
    ratios = {
        f"{one} / {other}, {figure}": statistics.median(run[figure] for run in rows[one])
        / statistics.median(run[figure] for run in rows[other])
        for one, other in RATIOS
        for figure in ("seconds", "cpu_seconds", "steps")
    }
    for name, ratio in ratios.items():
        print(f"{ratio:6.2f}  {name}")
    if args.json:
        content = {"settings": vars(args), "rows": rows, "ratios": ratios}
        args.json.write_text(json.dumps(content, default=str) + "\n")


if __name__ == "__main__":
    main()
