"""Agreement with labelled responses and loops of recorded ones, where these are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lm_eval_tts.grading import grade, has_loop

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
LABELS = SHARED / "grading" / "labels.jsonl"
RECORDED = SHARED / "recorded"


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        pytest.skip(f"the data of {path.name} is not at hand (it is never part of the repository)")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_verdicts_agree_with_the_labels() -> None:
    rows = [row for row in _rows(LABELS) if row["label"] is not None]
    disagreements = []
    for row in rows:
        kind = "choice" if row["benchmark"] == "gpqa" else "math"
        verdict = grade(row["response"], row["reference"], kind, row.get("options"))
        if verdict.correct != bool(row["label"]):
            disagreements.append((row["id"], verdict.correct, row["weight"]))
    total = sum(row["weight"] for row in rows)
    assert len(disagreements) <= 0.015 * len(rows), disagreements
    assert sum(correct for _, correct, _ in disagreements) < 0.005 * len(rows), disagreements
    assert sum(weight for _, _, weight in disagreements) <= 0.005 * total, disagreements


def test_no_right_response_is_taken_for_a_loop() -> None:
    right = [row for row in _rows(LABELS) if row["label"]]
    assert right
    assert not [row["id"] for row in right if has_loop(row["response"])]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    # The notes of these runs count 78 and 14 loops, by a method they do not state; found: 81, 12.
    [("math500_SFT-1e5", 74, 82), ("aime24_SFT-1e5", 9, 14), ("math500_PhiBF-ZeroShot", 0, 1)],
)
def test_loops_of_real_runs_are_found(name: str, low: int, high: int) -> None:
    rows = _rows(RECORDED / f"{name}.jsonl")
    assert low <= sum(has_loop(row["response"]) for row in rows) <= high
