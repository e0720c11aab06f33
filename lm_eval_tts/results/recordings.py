"""Recorded generations: lm-eval's samples files, and JSONL or CSV files with a response column.

Rows are read as they come; nothing is known here about tasks, grading or models."""

import csv
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from lm_eval_tts.core.identity import id_of, mapping_in, question_of
from lm_eval_tts.errors import DataError
from lm_eval_tts.results.files import SampleRow, parse_row, records_of, texts_in


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded response, and what says which document it answers."""

    response: str
    question: str | None
    doc_id: str | None
    options: Mapping[str, str] | None  # by letter as they stood then; None where not recorded
    metrics: SampleRow  # all of its row, such as the token counts of our own samples files
    answered: SampleRow  # what our own samples files say of the response


def recording_files(path: str | Path, task: str | None = None) -> list[Path]:
    """Return the files to read: `path` itself, or in a folder the newest samples of `task`. A
    folder without samples files gives all its JSONL and CSV files. Raises DataError if there is
    nothing to read."""
    root = Path(path).expanduser()
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise DataError(f"path={str(path)!r}: there is no such file or folder")
    samples = sorted(root.glob("**/samples_*.jsonl"))
    if samples:
        # The date begins with a year, so that math500_cot does not match math500_cot_long.
        own = [p for p in samples if p.match(f"samples_{task}_[0-9]*.jsonl")]
        if not own:
            names = ", ".join(sorted({p.name for p in samples})[:5])
            raise DataError(f"path={str(path)!r} has no samples of task {task!r}; it has {names}")
        return [max(own, key=lambda p: p.name)]
    found = sorted(p for kind in ("jsonl", "csv") for p in root.glob(f"**/*.{kind}"))
    if not found:
        raise DataError(f"path={str(path)!r} has no .jsonl or .csv files")
    return found


def load_recordings(path: Path, response_column: str = "response") -> list[Recording]:
    """Return the recordings of a file in its order, repeats of a document one after the other.
    Raises DataError if the file cannot be read, or a row has no response."""
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"{path} has no rows")
    first_filter = rows[0].get("filter")
    return [
        recording
        for number, row in enumerate(rows, 1)
        if row.get("filter") == first_filter  # lm-eval logs the same responses for each filter
        for recording in _recordings(row, response_column, f"{path}, row {number}")
    ]


def _rows(path: Path) -> Iterator[SampleRow]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            if path.suffix == ".csv":
                csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
                yield from csv.DictReader(lines)
                return
            for number, line in enumerate(lines, 1):
                try:
                    if line.strip():
                        yield parse_row(line)
                except ValueError as error:
                    raise DataError(f"{path}, line {number}: {error}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _recordings(row: SampleRow, response_column: str, place: str) -> Iterator[Recording]:
    """Yield the responses of a row: lm-eval's `resps`, or the one in the response column."""
    if row.get(response_column) is not None:
        responses = [str(row[response_column])]
    elif isinstance(row.get("resps"), list):
        responses = texts_in(row["resps"])
    else:
        raise DataError(
            f"{place}: no column {response_column!r}; name it by response_column=, "
            f"the row has {', '.join(map(str, row))}"
        )
    doc = mapping_in(row, "doc") or row
    known = question_of(doc), id_of(doc), mapping_in(doc, "options") or None, row
    for response, record in zip_longest(responses, records_of(row)[: len(responses)]):
        yield Recording(response, *known, record or {})
