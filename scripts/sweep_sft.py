"""Fine-tune at several learning rates, evaluate each result, and put all on one leaderboard.

    python scripts/sweep_sft.py --output models/sweep --tasks math500_r1,aime24_r1 -- \
        --model_name_or_path Qwen/Qwen2.5-1.5B-Instruct --dataset simplescaling/s1K-1.1 --bf16

What follows `--` goes to train_sft.py. A learning rate whose adapter or results are there already
is not computed again, so an interrupted sweep goes on where it was.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from lm_eval_tts.cli import main as lm_eval_tts

TRAIN = Path(__file__).with_name("train_sft.py")
LEARNING_RATES = ["2e-4", "1e-4", "1e-5", "5e-6", "1e-6"]


def train(folder: Path, learning_rate: str, rest: list[str]) -> None:
    """Make the adapter of one learning rate."""
    if (folder / "adapter_model.safetensors").is_file():
        return
    own = ["--learning_rate", learning_rate, "--output_dir", str(folder)]
    subprocess.run([sys.executable, str(TRAIN), *own, *rest], check=True)


def evaluate(base: str, adapter: Path | None, folder: Path, args: argparse.Namespace) -> None:
    """Write lm-eval's results of the base, or of an adapter on it."""
    if list(folder.glob("**/results_*.json")):
        return
    model_args = f"pretrained={base}" + (f",peft={adapter}" if adapter else "")
    command = [sys.executable, "-m", "lm_eval", "--model", "tts-hf", "--model_args", model_args]
    command += ["--tasks", args.tasks, "--batch_size", args.batch_size]
    command += ["--output_path", str(folder), "--log_samples"]
    subprocess.run(command + (["--limit", args.limit] if args.limit else []), check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the sweep")
    parser.add_argument("--tasks", required=True, help="what each adapter is evaluated on")
    parser.add_argument("--learning-rates", nargs="+", default=LEARNING_RATES)
    parser.add_argument("--batch_size", default="auto")
    parser.add_argument("--limit", help="documents of each task")
    parser.add_argument("rest", nargs="*", help="arguments of train_sft.py, behind --")
    args = parser.parse_args()
    if "--model_name_or_path" not in args.rest:
        parser.error("train_sft.py needs --model_name_or_path: give it behind --")
    base = args.rest[args.rest.index("--model_name_or_path") + 1]
    evaluate(base, None, args.output / "results" / "base", args)
    for rate in args.learning_rates:
        train(args.output / f"lr-{rate}", rate, args.rest)
        evaluate(base, args.output / f"lr-{rate}", args.output / "results" / f"lr-{rate}", args)
    results = str(args.output / "results")
    lm_eval_tts(["leaderboard", results, "-o", str(args.output / "leaderboard.html")])
    lm_eval_tts(["leaderboard", results])


if __name__ == "__main__":
    main()
