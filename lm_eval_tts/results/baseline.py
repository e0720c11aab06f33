"""The baseline of a gate: a small JSON file with the outcome of each document, to be committed.

One line per document, so that a diff of two baselines can be read."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lm_eval_tts.core.metrics import GATED
from lm_eval_tts.errors import MALFORMED, DataError
from lm_eval_tts.results.files import UnreadFile
from lm_eval_tts.results.formats import nulled
from lm_eval_tts.results.runs import Run, one_of_each_task
from lm_eval_tts.results.samples import Outcomes, fingerprint, read_all

FORMAT = 1


class RecordedRun(NamedTuple):
    """What a run of one task was and did."""

    fingerprint: Mapping[str, Any]  # what decides its outcomes, by name, as far as its file says
    outcomes: Outcomes  # of each document, the metrics of GATED alone


def record_runs(runs: Sequence[Run]) -> tuple[dict[str, RecordedRun], list[UnreadFile]]:
    """Return what runs did, by task, and what was wrong with their samples. Raises DataError where
    no run has samples."""
    found: dict[str, RecordedRun] = {}
    read, unread = read_all(one_of_each_task("the results", runs).values())
    for run, outcomes in read:
        if outcomes is None:
            reason = f"{run.task} has no samples to pair: run lm_eval with --log_samples"
            unread.append(UnreadFile(run.results_path, reason))
            continue
        setup = {name.replace("_", " "): value for name, value in asdict(run.setup).items()}
        documents = {"documents": fingerprint(outcomes.documents), "repeats": outcomes.repeats}
        said = {**run.measure, **documents, **setup, "settings": dict(run.setup.settings)}
        metrics = {**outcomes.metrics, "accuracy": outcomes.metrics[run.metric]}
        kept = {m.name: metrics[m.name] for m in GATED.values() if m.name in metrics}
        found[run.task] = RecordedRun(said, replace(outcomes, metrics=kept))
    if not found:
        raise DataError("; ".join(map(str, unread)))
    return found, unread


def write_baseline(path: Path, tasks: Mapping[str, RecordedRun]) -> None:
    """Write a baseline, its runs by task. Raises DataError if the file cannot be written."""
    blocks = {}
    for task, (said, outcomes) in tasks.items():
        # Of few digits, as integers where they are ones.
        short = [
            [int(v) if v.is_integer() else round(v, 6) for v in some.tolist()]
            for some in outcomes.metrics.values()
        ]
        blocks[task] = {
            "fingerprint": said,
            "columns": ["document", "label", *outcomes.metrics],
            "documents": list(zip(outcomes.documents, outcomes.labels, *short, strict=True)),
        }
    content = nulled({"format": FORMAT, "tasks": blocks})
    text = json.dumps(content, indent=1, ensure_ascii=False)
    # A line for each document: what is five deep follows on what it is in.
    text = re.sub(r",\n {5}", ", ", re.sub(r"(?<=[\[{])\n {5}|\n {4}(?=[\]}])", "", text))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise DataError(f"the baseline {path} cannot be written: {error.strerror}") from error


def read_baseline(path: Path) -> dict[str, RecordedRun]:
    """Return a baseline's tasks by name. Raises DataError if it is not one."""
    anew = "write it anew with --update"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (found := content["format"]) == FORMAT:
            return {name: _task(name, block) for name, block in content["tasks"].items()}
    except FileNotFoundError as error:
        raise DataError(f"there is no baseline {path}: write it with --update") from error
    except OSError as error:
        raise DataError(f"the baseline {path} cannot be read: {error.strerror}") from error
    except MALFORMED as error:
        raise DataError(f"{path} is not a baseline of this command ({error}): {anew}") from error
    raise DataError(
        f"the baseline {path} has format {found!r}, this version reads {FORMAT}: {anew}"
    )


def _task(name: str, block: Mapping[str, Any]) -> RecordedRun:
    columns, rows = block["columns"], block["documents"]
    if not rows or any(len(row) != len(columns) for row in rows):
        raise ValueError(f"a row of {name} does not have {len(columns)} values")
    said = block["fingerprint"]
    if not isinstance(said.get("settings", {}), dict):
        raise TypeError(f"the settings of {name} are not names with values")
    keys, labels, *values = zip(*rows, strict=True)
    documents, labels = (tuple(map(str, some)) for some in (keys, labels))
    metrics = {n: np.array(some, float) for n, some in zip(columns[2:], values, strict=True)}
    return RecordedRun(said, Outcomes(documents, documents, labels, metrics, said["repeats"]))
