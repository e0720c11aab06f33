"""Load many samples and write their leaderboard: seconds, and memory at its highest.

100 runs of 500 samples, or others, are made up in a temporary folder, in the size of real ones
(about 7 KB a sample). Each stage runs in a process of its own, so that its memory can be measured.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = "we add the two numbers and check that it holds so the next step is right"


def make(folder: Path, num_runs: int, num_samples: int, num_words: int) -> int:
    """Write the runs; return their bytes."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from results_helpers import sample, write_run

    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS.split(), k=num_words)) for _ in range(50)]
    for number in range(num_runs):
        skill = 0.3 + 0.4 * number / num_runs
        rows = [
            sample(
                i,
                exact_match=float(rng.random() < skill),
                total_tokens=rng.gauss(800, 200),
                resps=[[f"<think>{texts[(i + number) % 50]}</think>{i}"]],
            )
            for i in range(num_samples)
        ]
        write_run(folder / str(number), rows, model_args={"pretrained": f"checkpoint-{number}"})
    return sum(path.stat().st_size for path in folder.glob("**/*") if path.is_file())


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(stage: str, folder: Path) -> dict[str, float]:
    """Run one stage in this process."""
    from lm_eval_tts.results import leaderboard, leaderboard_report
    from lm_eval_tts.results.runs import load_runs
    from lm_eval_tts.results.samples import read_outcomes

    before, started = peak_megabytes(), time.perf_counter()
    runs = load_runs([folder]).runs
    if stage == "load":
        kept = [read_outcomes(run) for run in runs]
        assert all(outcomes for outcomes, _ in kept)
    else:
        board = leaderboard.build_leaderboard(runs)
        if stage == "html":
            with open(os.devnull, "w", encoding="utf-8") as out:
                out.writelines(leaderboard_report.page_parts(board))
    peak = peak_megabytes()
    return {"seconds": time.perf_counter() - started, "added_mb": peak - before, "peak_mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--words", type=int, default=1300, help="of a response")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--stage", choices=("load", "leaderboard", "html"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        print(json.dumps(measure(args.stage, args.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        size = make(Path(name), args.runs, args.samples, args.words)
        print(f"{args.runs} runs of {args.samples} samples, {size / 1e6:.0f} MB")
        found = {}
        for stage in ("load", "leaderboard", "html"):
            command = [sys.executable, __file__, "--stage", stage, "--folder", name]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[stage] = json.loads(out)
            print(
                f"{stage:12}{found[stage]['seconds']:6.1f} s"
                f"{found[stage]['added_mb']:8.0f} MB above the imports"
                f"{found[stage]['peak_mb']:8.0f} MB in all"
            )
    if args.json:
        args.json.write_text(json.dumps({"megabytes": size / 1e6, **found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
