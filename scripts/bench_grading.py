"""Pairs a second of grading beside math-verify and lm-eval's minerva_math.

    python scripts/bench_grading.py [--recorded ../shared/recorded] [--pairs 1000] [--json FILE]

The pairs are the answers found in recorded responses with their references, each pair once. The
three take turns on small batches of the same pairs in one run, so that the machine's load falls on
all of them alike. Our caches are empty at the start and no pair comes twice. minerva_math only
works with ANTLR 4.11 (`pip install --target DIR antlr4-python3-runtime==4.11`, PYTHONPATH=DIR).
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lm_eval_tts.grading import Item, grade_many
from lm_eval_tts.grading.equality import matches

ROOT = Path(__file__).resolve().parents[1]
Pair = tuple[str, str]
Judge = Callable[[str, str], bool]
BATCH = 20


def recorded_pairs(folder: Path) -> list[Pair]:
    rows = [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    verdicts = grade_many([Item(row["response"], row["reference"]) for row in rows])
    pairs = {
        (verdict.answer, row["reference"])
        for verdict, row in zip(verdicts, rows, strict=True)
        if verdict.answer
    }
    return sorted(pairs)


def math_verify() -> Judge:
    from math_verify import parse, verify

    return lambda answer, reference: verify(parse(f"${reference}$"), parse(f"${answer}$"))


def math_verify_parsed(pairs: list[Pair]) -> Judge:
    """math-verify's verify alone: the parsing is done before the clock starts."""
    from math_verify import parse, verify

    parsed = {pair: tuple(parse(f"${text}$") for text in pair) for pair in pairs}
    return lambda answer, reference: verify(*reversed(parsed[answer, reference]))


def minerva_math() -> Judge | None:
    try:
        from lm_eval.tasks.minerva_math.utils import is_equiv, normalize_final_answer
    except (ImportError, AssertionError) as error:
        print(f"minerva_math left out: {str(error)[:120]}", file=sys.stderr)
        return None
    return lambda answer, reference: is_equiv(
        normalize_final_answer(answer), normalize_final_answer(reference)
    )


def seconds(judge: Judge, batch: list[Pair]) -> tuple[float, list[bool]]:
    start = time.perf_counter()
    results = []
    for pair in batch:
        try:
            results.append(bool(judge(*pair)))
        except Exception:  # a judge that fails on a pair has answered no
            results.append(False)
    return time.perf_counter() - start, results


def run(judges: dict[str, Judge], pairs: list[Pair]) -> dict[str, tuple[float, int]]:
    spent = dict.fromkeys(judges, 0.0)
    equal = dict.fromkeys(judges, 0)
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        names = list(judges)
        random.Random(start).shuffle(names)
        for name in names:
            time_spent, results = seconds(judges[name], batch)
            spent[name] += time_spent
            equal[name] += sum(results)
    return {name: (len(pairs) / spent[name], equal[name]) for name in judges}


def clear_caches() -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("lm_eval_tts.grading"):
            for function in vars(module).values():
                getattr(function, "cache_clear", lambda: None)()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recorded", type=Path, default=ROOT.parent / "shared" / "recorded")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    pairs = recorded_pairs(options.recorded)
    pairs = random.Random(0).sample(pairs, min(options.pairs, len(pairs)))
    warm_up = ("\\frac{1}{2}", "x")
    judges: dict[str, Judge] = {
        "lm_eval_tts": lambda answer, reference: bool(matches(answer, reference)),
        "math-verify": math_verify(),
        "  verify alone": math_verify_parsed([*pairs, warm_up]),
    }
    if minerva := minerva_math():
        judges["minerva_math"] = minerva
    for judge in judges.values():  # libraries are loaded first
        judge(*warm_up)
    clear_caches()
    rows = run(judges, pairs)
    ours = rows["lm_eval_tts"][0]
    print(f"{len(pairs)} pairs\n{'':14}{'pairs/s':>10}{'ours is':>10}{'equal':>8}")
    for name, (rate, equal) in rows.items():
        print(f"{name:14}{rate:10.0f}{ours / rate:9.1f}x{equal:8d}")
    if options.json:
        figures = {name: {"pairs_per_second": r, "equal": e} for name, (r, e) in rows.items()}
        options.json.write_text(json.dumps({"pairs": len(pairs), **figures}, indent=2))


if __name__ == "__main__":
    main()
