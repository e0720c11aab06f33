"""Finished runs as tidy tables: a row for each run, or for each document, and each point of it.

    from lm_eval_tts import runs_df, samples_df
    runs_df("results").pivot_table("accuracy", "strategy", "benchmark")

The column `point` names the budget or the wait of an intermediate point; it is empty in the row of
a run or a response itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_eval_tts.core.metrics import METRIC
from lm_eval_tts.results.formats import csv_text, encodable
from lm_eval_tts.results.leaderboard import build_leaderboard
from lm_eval_tts.results.leaderboard_report import board_records
from lm_eval_tts.results.runs import Run, load_runs
from lm_eval_tts.results.samples import read_sample_texts

if TYPE_CHECKING:
    import pandas as pd

Paths = str | Path | Iterable[str | Path]
TableRow = dict[str, Any]


def runs_df(paths: Paths, metric: str | None = None) -> pd.DataFrame:
    """Return a row for each run and point: setup, accuracy with its interval, tokens, rank.
    paths: results files and folders. metric: as in `load_runs`. Raises DataError."""
    return _frame(run_records(_runs(paths, metric)))


def samples_df(paths: Paths, metric: str | None = None) -> pd.DataFrame:
    """Return a row for each document of each run and each point: question, response, answer,
    reference, score, and every figure of the samples file. Arguments as in `runs_df`."""
    return _frame(sample_records(_runs(paths, metric)))


def _runs(paths: Paths, metric: str | None) -> list[Run]:
    return load_runs([paths] if isinstance(paths, str | Path) else paths, metric).runs


def table_of(records: Iterable[TableRow], form: str) -> str | bytes:
    """Return rows as "csv" or "parquet"."""
    if form == "csv":
        return csv_text(list(records))
    return bytes(_frame(map(encodable, records)).to_parquet())


def _frame(records: Iterable[TableRow]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(records))


def run_records(runs: list[Run]) -> Iterator[TableRow]:
    """Yield the rows of `runs_df`."""
    for record in board_records(build_leaderboard(runs)):
        points, passed = record.pop("points"), record.pop("pass_at")
        record |= record.pop("choices")
        record |= {name: "; ".join(record[name]) for name in ("not_comparable", "fronts")}
        record |= {f"pass@{k}": value for k, value in passed.items()}
        yield {"point": "", **record}
        unknown = dict.fromkeys(name for name in record if name in METRIC or name == "fronts")
        for point in points:
            label = point.pop("label")
            yield {"point": label, **record, **unknown, **point}


def sample_records(runs: list[Run]) -> Iterator[TableRow]:
    """Yield the rows of `samples_df`."""
    for run in runs:
        setup = {"benchmark": run.benchmark, "task": run.task, **run.setup.record()}
        for sample in read_sample_texts(run):
            same = {**setup, "document": sample.label, "problem": sample.problem}
            same |= {"prompt": sample.prompt, "reference": sample.reference}
            figures = {name: value for name, value in sample.figures.items() if "@" not in name}
            rows = [
                {"point": "", "response": text, "answer": answer, "score": sample.score, **figures}
                for text, answer in zip_longest(map("".join, sample.responses), sample.extracted)
            ]
            for repeat, row in [*enumerate(rows), *((0, point) for point in sample.points)]:
                yield {**same, "repeat": repeat, **row, "file": str(run.samples_path)}
