"""The baseline of a gate: a small JSON file with the outcome of each document, to be committed.

One line per document, so that a diff of two baselines can be read."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lm_eval_tts.core.faults import MALFORMED
from lm_eval_tts.errors import DataError
from lm_eval_tts.results.documents import Outcomes
from lm_eval_tts.results.formats import nulled
from lm_eval_tts.results.runs import Run

FORMAT = 1


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What a run of one task was and did."""

    task: str
    fingerprint: Mapping[str, Any]  # what decides its outcomes, by name
    outcomes: Outcomes  # of each document


def record_run(run: Run, outcomes: Outcomes, metrics: Sequence[str]) -> RecordedRun:
    """Return what a baseline keeps of a run; the accuracy metric is kept as `accuracy`."""
    found = {**outcomes.metrics, "accuracy": outcomes.metrics[run.metric]}
    kept = {name: found[name] for name in metrics if name in found}
    return RecordedRun(run.task, fingerprint(run, outcomes), replace(outcomes, metrics=kept))


def fingerprint(run: Run, outcomes: Outcomes) -> dict[str, Any]:
    """Return everything that decides a run's outcomes, as far as its results file says."""
    setup = {name.replace("_", " "): value for name, value in asdict(run.setup).items()}
    documents = {"documents": outcomes.fingerprint, "repeats": outcomes.repeats}
    return {**run.measure, **documents, **setup, "settings": dict(run.setup.settings)}


def write_baseline(path: Path, tasks: Sequence[RecordedRun]) -> None:
    """Write a baseline. Raises DataError if the file cannot be written."""
    blocks = ",\n".join(f"  {json.dumps(task.task)}: {_block(task)}" for task in tasks)
    text = f'{{\n "format": {FORMAT},\n "tasks": {{\n{blocks}\n }}\n}}\n'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise DataError(f"the baseline {path} cannot be written: {error.strerror}") from error


def _block(task: RecordedRun) -> str:
    outcomes = task.outcomes
    said = json.dumps(nulled(task.fingerprint), indent=2, ensure_ascii=False).replace("\n", "\n   ")
    columns = ["document", "label", *outcomes.metrics]
    values = zip(*outcomes.metrics.values(), strict=True)
    rows = ",\n".join(
        "    " + json.dumps([key, label, *map(_short, some)], ensure_ascii=False)
        for key, label, some in zip(outcomes.documents, outcomes.labels, values, strict=True)
    )
    return (
        f'{{\n   "fingerprint": {said},\n   "columns": {json.dumps(columns)},\n'
        f'   "documents": [\n{rows}\n   ]\n  }}'
    )


def _short(value: float) -> float | int | None:
    """Return a value of few digits, as an integer where it is one; None for NaN."""
    if math.isnan(value):
        return None
    return int(value) if value == int(value) else round(float(value), 6)


def read_baseline(path: Path) -> dict[str, RecordedRun]:
    """Return a baseline's tasks by name. Raises DataError if it is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise DataError(
                f"the baseline {path} has format {content['format']!r}, this version reads "
                f"{FORMAT}: write it anew with --update"
            )
        return {name: _task(name, block) for name, block in content["tasks"].items()}
    except FileNotFoundError as error:
        raise DataError(f"there is no baseline {path}: write it with --update") from error
    except OSError as error:
        raise DataError(f"the baseline {path} cannot be read: {error.strerror}") from error
    except DataError:
        raise
    except MALFORMED as error:
        raise DataError(
            f"{path} is not a baseline of this command ({error}): write it anew with --update"
        ) from error


def _task(name: str, block: Mapping[str, Any]) -> RecordedRun:
    columns, rows = block["columns"], block["documents"]
    if not rows or any(len(row) != len(columns) for row in rows):
        raise ValueError(f"a row of {name} does not have {len(columns)} values")
    said = block["fingerprint"]
    if not isinstance(said.get("settings", {}), dict):
        raise TypeError(f"the settings of {name} are not names with values")
    keys, labels, *values = zip(*rows, strict=True)
    documents = tuple(map(str, keys))
    arrays = (np.array(some, dtype=float) for some in values)
    metrics = dict(zip(columns[2:], arrays, strict=True))
    outcomes = Outcomes(documents, documents, tuple(map(str, labels)), metrics, said["repeats"])
    return RecordedRun(name, said, outcomes)
