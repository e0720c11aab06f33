"""What choices of the hf engine are worth: budget forcing with others in their place, in turn.

    python scripts/bench_ablation.py models/smollm2-135m-instruct

The workload is `forcing` of bench_hf.py. Each variant runs `--repeats` times, in turn with the
engine as it is, and is given as its rate over that of the same turn: the median, and the range.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from unittest import mock

from bench_hf import Bench, add_arguments

from lm_eval_tts.engines.hf import engine as hf
from lm_eval_tts.engines.hf import slot_model

# What is replaced by what, of which module.
VARIANTS = {
    "chunks for any token behind": (hf, "RIDE_ALONG", 0),
    "chunks from 1 token a row": (hf, "RIDE_ALONG", 1),
    "chunks from 4 tokens a row": (hf, "RIDE_ALONG", 4),
    "256 tokens in a forward": (hf, "FORWARD_TOKENS", 256),
    "4,096 tokens in a forward": (hf, "FORWARD_TOKENS", 4096),
    "keys copied for query heads": (slot_model, "grouped_heads", nullcontext),
}


def rate(run: Callable[[], int]) -> float:
    """Return the tokens a second of a run."""
    start = time.perf_counter()
    return run() / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_arguments(parser)
    args = parser.parse_args()
    forcing = Bench(args).methods()["forcing"]
    ratios: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(args.repeats):
        as_it_is = rate(forcing)
        for name, (module, attribute, value) in VARIANTS.items():
            with mock.patch.object(module, attribute, value):
                ratios[name].append(rate(forcing) / as_it_is)
    rows = [
        {"variant": name, "ratio": statistics.median(r), "range": [min(r), max(r)]}
        for name, r in ratios.items()
    ]
    for row in rows:
        low, high = row["range"]
        print(f"{row['variant']:28} {row['ratio']:5.2f} ({low:.2f}-{high:.2f})")
    if args.json:
        args.json.write_text(json.dumps({"settings": vars(args), "rows": rows}, default=str) + "\n")


if __name__ == "__main__":
    main()
