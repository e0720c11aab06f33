"""What a journal costs: the embedded demo with the one it keeps by default, and without, in pairs.

    python scripts/bench_journal.py --pairs 10 --limit 200

The two of a pair run one after the other, each first in every second pair. Seconds are those of
the processor, of a process and its graders, from the model's loading to the results' files. Where
others use the machine they still vary by more than a journal costs; so the share of its seconds
that a run spends in the journal's own functions is told too, which they change little. Needs fork
(Linux).
"""

import argparse
import functools
import mmap
import os
import statistics
import struct
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_resume import fork_lm_eval, index_tasks_once

SPENT = mmap.mmap(-1, 8)  # seconds in the journal's functions; shared with the forked processes


def time_journal() -> None:
    """Have forked processes add up the time that they spend for a journal."""
    from lm_eval_tts.core.journal import Journal
    from lm_eval_tts.engines import reliable
    from lm_eval_tts.harness.run_state import RunState
    from lm_eval_tts.models.session import Session

    for name in ("__init__", "add", "get", "close"):
        timed(Journal, name)
    for owner, name in ((reliable, "op_key"), (reliable, "pack"), (reliable, "unpack")):
        timed(owner, name)
    timed(Session, "facts")
    timed(RunState, "forget_journal")


def timed(owner: Any, name: str) -> None:
    """Add the processor's time in a function to `SPENT`."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            spent = time.process_time() - start
            struct.pack_into("d", SPENT, 0, struct.unpack_from("d", SPENT)[0] + spent)

    setattr(owner, name, call)


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

    time_journal()
    index_tasks_once()
    lm_eval.evaluator.add_env_info = lambda results: None  # seconds of pip
    ratios, shares = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.pairs):
            order = (True, False) if number % 2 else (False, True)
            struct.pack_into("d", SPENT, 0, 0.0)
            took = {journal: seconds(Path(folder), args.limit, journal) for journal in order}
            ratios.append(took[True] / took[False] - 1)
            shares.append(struct.unpack_from("d", SPENT)[0] / took[True])
            print(
                f"{took[False]:.2f} s without, {took[True]:.2f} s with: {ratios[-1]:+.1%}; "
                f"in the journal {shares[-1]:.2%}",
                flush=True,
            )
    spread = f"{min(ratios):+.1%} to {max(ratios):+.1%}"
    print(f"median of {len(ratios)} pairs: {statistics.median(ratios):+.1%} ({spread})")
    print(f"in the journal: {min(shares):.2%} to {max(shares):.2%} of a run")


if __name__ == "__main__":
    main()
