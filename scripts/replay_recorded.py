"""Grade the recorded runs anew through tts-replay and print them beside the published figures.

The recordings (a folder of JSONL files, see its README) are of the research this project grew from,
github.com/yash9439/Test-time-compute-SLMs. The published accuracy counts a response as right when
all numbers of the reference occur among its last 35 words.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.models.replay import TTSReplay

ROOT = Path(__file__).resolve().parents[1]


class Published(NamedTuple):
    """A recorded run: the task to grade it by, and what was published for it, in % and tokens."""

    task: str
    accuracy: float | None = None
    tokens: int | None = None


RUNS = {
    "math500_Qwen-Standard": Published("math500_standard", 25.0, 852),
    "math500_Qwen-ZeroShot": Published("math500_zeroshot", 35.8, 753),
    "math500_Qwen-COT": Published("math500_cot", 38.0, 801),
    "math500_SFT-1e5": Published("math500_r1", 34.0, 2357),
    "aime24_Qwen-Standard": Published("aime24_standard", 3.33, 762),
    "aime24_Qwen-ZeroShot": Published("aime24_zeroshot", 0.0, 830),
    "aime24_Qwen-COT": Published("aime24_cot", 6.67, 1592),
    "aime24_SFT-1e5": Published("aime24_r1", 0.0, 5338),
    "math500_PhiBF-ZeroShot": Published("math500_zeroshot"),
    **{f"math500_PhiBF-Wait_{n}": Published("math500_zeroshot") for n in range(1, 6)},
}
COLUMNS = ("exact_match", "answered", "format_soft", "loop", "total_tokens", "failed")


def grade(recorded: Path, task: str, manager: TaskManager, tokenizer: str | None) -> dict:
    """Return the metrics of one recording."""
    results = simple_evaluate(
        model=TTSReplay(path=str(recorded), tokenizer=tokenizer),
        tasks=[task],
        task_manager=manager,
        bootstrap_iters=0,
        log_samples=False,
        gen_kwargs="delimiters=reasoning" if task.endswith("_r1") else None,
    )
    return {name: results["results"][task].get(f"{name},none") for name in COLUMNS}


def cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shared = ROOT.parent / "shared"
    parser.add_argument("--recorded", type=Path, default=shared / "recorded")
    parser.add_argument("--data", type=Path, default=shared / "data")
    parser.add_argument("--tokenizer", help="Hub name or folder, to count tokens with")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    args = parser.parse_args()
    manager = TaskManager(
        include_path=task_configs(), include_defaults=False, metadata={"data_dir": str(args.data)}
    )
    print("| run | published | ours | answered | format | loops | tokens published | tokens |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for name, published in RUNS.items():
        have = grade(args.recorded / f"{name}.jsonl", published.task, manager, args.tokenizer)
        if have["failed"]:
            parser.exit(1, f"{name}: {have['failed']:.1%} of the documents are not recorded\n")
        rows.append({"run": name, **published._asdict(), **have})
        cells = (
            name,
            cell(published.accuracy, ".1f"),
            cell(100 * have["exact_match"], ".1f"),
            cell(have["answered"], ".1%"),
            cell(have["format_soft"], ".1%"),
            cell(have["loop"], ".1%"),
            cell(published.tokens, "d"),
            cell(have["total_tokens"], ".0f"),
        )
        print("| " + " | ".join(cells) + " |", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
