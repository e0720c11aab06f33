"""Evaluate a base and adapters on it, one after the other on one loaded model, and print tables.

    python scripts/compare_checkpoints.py

compares the base, SFT and GRPO of the tiny reasoner that comes with the package; other checkpoints
by --pretrained and --adapters, in vLLM by --model tts-vllm. Writes lm-eval's results files, which
`lm-eval-tts leaderboard` reads.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import lm_eval
import torch
from lm_eval.loggers import EvaluationTracker

from lm_eval_tts.cli import main as lm_eval_tts
from lm_eval_tts.models.hf import TTSHF

TASKS = "arith_zeroshot,arith_r1,arith_budget,arith_progressive"
NO_ADAPTER = "none"
ADAPTER_ARGUMENTS = {"tts-hf": "peft", "tts-vllm": "lora_local_path"}


def load(args: argparse.Namespace) -> Any:
    """Return the base, ready for adapters."""
    if args.model == "tts-hf":
        return TTSHF(args.pretrained, batch_size=args.batch_size, device=args.device)
    from lm_eval_tts.models.vllm import TTSVLLM

    return TTSVLLM(args.pretrained, enable_lora=True, max_lora_rank=args.max_lora_rank)


def evaluate(model: Any, adapter: str | None, args: argparse.Namespace) -> None:
    """Run the tasks and write results and samples as lm_eval's command does."""
    named = f",{ADAPTER_ARGUMENTS[args.model]}={adapter}" if adapter else ""
    tracker = EvaluationTracker(output_path=str(args.output))
    results = lm_eval.simple_evaluate(
        model=model,
        model_args=f"pretrained={args.pretrained}{named}",
        tasks=args.tasks.split(","),
        limit=args.limit,
        bootstrap_iters=0,
        evaluation_tracker=tracker,
    )
    results["config"]["model"] = tracker.general_config_tracker.model_source = args.model
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in results["configs"]:
        tracker.save_results_samples(task_name=task, samples=samples[task])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="tts-hf", choices=ADAPTER_ARGUMENTS)
    parser.add_argument("--pretrained", default="arith-base")
    parser.add_argument("--adapters", nargs="+", default=[NO_ADAPTER, "arith-sft", "arith-grpo"])
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--limit", type=int, help="documents of each task")
    parser.add_argument("--batch_size", default="auto", help="of tts-hf")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--max_lora_rank", type=int, default=16, help="of tts-vllm")
    parser.add_argument("--output", type=Path, default=Path("results/checkpoints"))
    args = parser.parse_args()
    model = load(args)
    for name in args.adapters:
        adapter = None if name == NO_ADAPTER else name
        model.use_adapter(adapter)
        evaluate(model, adapter, args)
    for command in ("leaderboard", "curve"):
        lm_eval_tts([command, str(args.output)])


if __name__ == "__main__":
    main()
