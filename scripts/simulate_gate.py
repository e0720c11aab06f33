"""How often the gate is wrong: false alarms and misses over 1,000 synthetic runs each.

A run and its baseline share their problems: each has a difficulty, drawn from a beta distribution
of mean 0.5, and is solved or not by both; `churn` is how many problems flip by chance alone, half
each way. Then a loss is put in: right answers that turn wrong. Tokens are gamma-distributed over
problems; those of one problem differ between the runs by a lognormal factor of mean 1, sigma 0.5.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from lm_eval_tts.core.metrics import GATED, Metric
from lm_eval_tts.results import gate

RULE = GATED["accuracy"]
RISES = tuple(share * GATED["tokens"].margin for share in (0.0, 0.5, 1.0, 2.0))
SIGMA = 0.5
SIZES = (30, 200, 500, 1319)  # AIME24, arith and GPQA-Diamond, MATH-500, GSM8K
LOSSES = (0.0, 0.5 * RULE.margin, RULE.margin, 2 * RULE.margin, 4 * RULE.margin)


def accuracy_run(rng: np.random.Generator, size: int, churn: float, loss: float):
    """Return scores before and after, of shape (size,)."""
    before = (rng.random(size) < rng.beta(0.5, 0.5, size)).astype(float)
    flipped = rng.random(size) < churn
    after = np.where(flipped, 1 - before, before)
    turned = (before == 1) & ~flipped & (rng.random(size) < loss / max(0.5 * (1 - churn), 1e-9))
    return before, np.where(turned, 0.0, after)


def token_run(rng: np.random.Generator, size: int, churn: float, rise: float):
    """Return tokens before and after; they grow by the share `rise`."""
    before = rng.gamma(1.5, 500, size)
    return before, before * (1 + rise) * rng.lognormal(-(SIGMA**2) / 2, SIGMA, size)


def rates(make, rule: Metric, size: int, churn: float, loss: float, num_runs: int):
    """Return the share of each status."""
    rng = np.random.default_rng([size, int(1000 * churn), int(1000 * loss)])
    found: Counter[str] = Counter(
        gate.decide("check", *make(rng, size, churn, loss), rule, gate.ALPHA)[0]
        for _ in range(num_runs)
    )
    return {status: found[status] / num_runs for status in gate.EXIT_CODES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=1000, help="synthetic runs of each case")
    parser.add_argument("--churn", type=float, default=0.1, help="share that flips by chance")
    parser.add_argument("--tokens", action="store_true", help="simulate tokens instead (slow)")
    parser.add_argument("--json", type=Path, help="file to write the rates to")
    args = parser.parse_args()
    kinds = (("accuracy", accuracy_run, LOSSES), ("tokens", token_run, RISES))
    name, make, losses = kinds[args.tokens]
    cases = [(size, loss) for size in SIZES for loss in losses]
    print("| check | problems | true loss | passed | undecided | regressed |")
    print("|---|---|---|---|---|---|")
    rows = []
    for size, loss in cases:
        found = rates(make, GATED[name], size, args.churn, loss, args.runs)
        rows.append({"check": name, "problems": size, "loss": loss, **found})
        shown = " | ".join(f"{found[s]:.1%}" for s in ("passed", "undecided", "regressed"))
        print(f"| {name} | {size} | {loss:.1%} | {shown} |", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
