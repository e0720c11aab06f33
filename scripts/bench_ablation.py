"""What the constants of the hf engine are worth: budget forcing under other values, in turn.

    python scripts/bench_constants.py models/smollm2-135m-instruct

The workload is `forcing` of bench_hf.py. Each value runs `--repeats` times, in turn with others,
and is given as its rate over that of the default in the same turn: the median, and the range.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from unittest import mock

from bench_hf import Bench, add_arguments

from lm_eval_tts.engines import hf

VALUES = {"RIDE_ALONG": [0, 1, 4], "FORWARD_TOKENS": [256, 1024, 4096]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_arguments(parser)
    args = parser.parse_args()
    forcing = Bench(args).methods()["forcing"]
    variants = [(name, value) for name, values in VALUES.items() for value in values]
    ratios: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(args.repeats):
        rates = {}
        for name, value in variants:
            with mock.patch.object(hf, name, value):
                start = time.perf_counter()
                rates[name, value] = forcing() / (time.perf_counter() - start)
        for name, value in variants:
            ratios[name, value].append(rates[name, value] / rates[name, getattr(hf, name)])
    rows = [
        {"constant": n, "value": v, "ratio": statistics.median(r), "range": [min(r), max(r)]}
        for (n, v), r in ratios.items()
    ]
    for row in rows:
        low, high = row["range"]
        print(f"{row['constant']:15} {row['value']:5d} {row['ratio']:5.2f} ({low:.2f}-{high:.2f})")
    if args.json:
        args.json.write_text(json.dumps({"settings": vars(args), "rows": rows}, default=str) + "\n")


if __name__ == "__main__":
    main()
