"""What the discovery hook costs at interpreter start: with it and without it, in turn.

Prints the median wall time of `python -c pass` in milliseconds both ways, and their ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path


def start(disabled: str) -> float:
    """Return the seconds that one interpreter start takes."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "pass"],
        check=True,
        env={**os.environ, "LM_EVAL_TTS_DISABLE": disabled},
    )
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=100, help="starts of each kind")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args()
    pairs = [(start("0"), start("1")) for _ in range(args.runs)]
    with_hook, without = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    figures = {"with_hook_ms": with_hook, "without_ms": without, "ratio": ratio}
    print(f"with the hook {with_hook:.1f} ms, without {without:.1f} ms, ratio {ratio:.3f}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
