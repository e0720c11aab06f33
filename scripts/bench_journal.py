"""What a journal costs: the embedded demo with the one it keeps by default, and without, in pairs.

    python scripts/bench_journal.py --pairs 10 --limit 200

The two of a pair run one after the other, each first in every second pair. Seconds are those of
the processor, of a process and its graders, from the model's loading to the results' files, so
that others on the machine disturb them little; needs fork (Linux).
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from bench_resume import fork_lm_eval, index_tasks_once


def seconds(folder: Path, limit: int, journal: bool) -> float:
    """Run the demo; return the processor's seconds."""
    arguments = ["--model", "tts-hf", "--tasks", "arith_budget", "--log_samples"]
    arguments += ["--output_path", str(folder / "results"), "--limit", str(limit)]
    arguments += [] if journal else ["--model_args", "journal=false"]
    pid = fork_lm_eval(arguments, {}, folder / "log")
    _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit((folder / "log").read_text()[-3000:])
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--limit", type=int, default=200, help="problems of a run")
    args = parser.parse_args()
    import lm_eval.__main__
    import lm_eval.evaluator
    import lm_eval.models.huggingface

    import lm_eval_tts.models.hf  # noqa: F401

    index_tasks_once()
    lm_eval.evaluator.add_env_info = lambda results: None  # seconds of pip
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        seconds(Path(folder), args.limit, journal=True)  # files are in memory from here on
        for number in range(args.pairs):
            order = (True, False) if number % 2 else (False, True)
            took = {journal: seconds(Path(folder), args.limit, journal) for journal in order}
            ratios.append(took[True] / took[False] - 1)
            print(
                f"{took[False]:.2f} s without, {took[True]:.2f} s with: {ratios[-1]:+.1%}",
                flush=True,
            )
    spread = f"{min(ratios):+.1%} to {max(ratios):+.1%}"
    print(f"median of {len(ratios)} pairs: {statistics.median(ratios):+.1%} ({spread})")


if __name__ == "__main__":
    main()
