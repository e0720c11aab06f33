"""Results and samples files as lm-eval 0.4.13 writes them, made up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval_tts.results.leaderboard import build_leaderboard
from lm_eval_tts.results.leaderboard_report import page_parts
from lm_eval_tts.results.runs import load_runs

DATE = "2026-01-{:02}T00-00-00.000000"


def sample(index: int, **changes: Any) -> dict[str, Any]:
    """A row of a samples file; what is changed among doc, target and resps is kept consistent."""
    doc = {"id": f"q{index}", "question": f"What is {index} + 1?", "answer": str(index + 1)}
    doc |= changes.pop("doc", {})
    metrics = {"exact_match": 1.0, "total_tokens": 100.0, "loop": 0.0}
    metrics |= {n: changes.pop(n) for n in list(changes) if n not in ("resps", "filtered_resps")}
    return {
        "doc_id": index,
        "doc": doc,
        "target": doc["answer"],
        "arguments": {"gen_args_0": {"arg_0": doc["question"], "arg_1": {"strategy": "single"}}},
        "resps": [["<think>I add.</think>It is 2."]],
        "filtered_resps": [["2"]],
        "filter": "none",
        "metrics": list(metrics),
        "doc_hash": hashlib.sha256(json.dumps(doc).encode()).hexdigest(),
        **metrics,
        **changes,
    }


# Two first steps, of which the second is kept; it ends in two ways, and a formula.
SEARCH = {
    "tree": [
        [-1, "Add.\n\n", 0.25],
        [-1, "Count $x^2$.\n\n", 0.75],
        [1, "It is $3$.", None],
        [1, "It is $1$.", 0.875],
    ],
    "candidates": [
        {
            "text": f"Count $x^2$.\n\nIt is ${answer}$.",
            "answer": answer,
            "class": number,
            "correct": bool(number),
            "total_tokens": 9,
            "scores": {"reward": reward},
            "last_step": 2 + number,
        }
        for number, (answer, reward) in enumerate([("3", None), ("1", 0.875)])
    ],
}


def searched(index: int, **changes: Any) -> dict[str, Any]:
    """A row of a samples file that a search is behind."""
    row = sample(index, resps=[[SEARCH["candidates"][1]["text"]]], answered=SEARCH, **changes)
    row["metrics"].remove("answered")
    return row


def mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)


def write_run(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    task: str = "toy_cot",
    *,
    day: int = 1,
    model: str = "tts-hf",
    model_args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    tasks: str = "task_configs",
    **changes: Any,
) -> Path:
    """Write a results file and its samples; return the results file.

    tasks: the folder of the folders of task files.
    changes: entries of the results file that replace or add to the usual ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [n for n in rows[0]["metrics"] if isinstance(rows[0][n], (int, float))]
    content = {
        "results": {task: {"alias": task} | {f"{n},none": mean(rows, n) for n in names}},
        "configs": {
            task: {
                "task": task,
                "generation_kwargs": {
                    "strategy": "single",
                    "prompt_style": "cot",
                    **(kwargs or {}),
                },
                "metadata": {
                    "version": 1.0,
                    "grader": 1,
                    "config_source": f"{tasks}/{task.partition('_')[0]}/{task}.yaml",
                },
            }
        },
        "versions": {task: 1.0},
        "n-shot": {task: 0},
        "n-samples": {task: {"original": len(rows), "effective": len(rows)}},
        "config": {
            "model": model,
            "model_args": {"pretrained": "models/base"} if model_args is None else model_args,
            "torch_seed": 1234,
        },
        "date": float(day),
        "total_evaluation_time_seconds": "12.5",
        **changes,
    }
    date = DATE.format(day)
    path = folder / f"results_{date}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"samples_{task}_{date}.jsonl").write_text(lines, encoding="utf-8")
    return path


def scored(scores: Sequence[float], **changes: Any) -> list[dict[str, Any]]:
    """Samples with these scores."""
    return [sample(i, exact_match=float(score), **changes) for i, score in enumerate(scores)]


def page_of(results: Path, to: Path) -> Path:
    """The leaderboard page of the runs in a folder."""
    loaded = load_runs([results])
    with to.open("w", encoding="utf-8") as out:
        out.writelines(page_parts(build_leaderboard(loaded.runs, loaded.unread)))
    return to
