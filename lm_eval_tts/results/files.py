"""Finds and reads the files of finished runs: lm-eval's results_*.json and their samples files; and
recorded generations, which may be JSONL or CSV files with a response column too.

A file of a run that cannot be used becomes an `UnreadFile` and is skipped. Nothing is known here
about tasks, grading or models."""

import csv
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from lm_eval_tts.core.identity import id_of, mapping_in, question_of
from lm_eval_tts.errors import DataError

# results_<date>.json; <name>_<date>.json for `--output_path name.json`; results.json before 0.4.3.
_RESULTS = re.compile(r"results\.json|(.+)_(\d{4}-\d\d-\d\dT[\d.-]+)\.json")
_SAID = {
    FileNotFoundError: "there is no such file or folder",
    IsADirectoryError: "no results_*.json in this folder",
}
Content = Mapping[str, Any]  # of a results file, or of a part of it
SampleRow = Mapping[str, Any]


class UnreadFile(NamedTuple):
    """A file that is left out, or only partly used, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def read_results(paths: Iterable[str | Path]) -> tuple[dict[Path, Content], list[UnreadFile]]:
    """Return the results of all files and folders named by their files, oldest first."""
    named: list[Path] = []
    for given in (Path(path).expanduser() for path in paths):
        inside = given.glob("**/*.json") if given.is_dir() else ()
        named += sorted(p for p in inside if _RESULTS.fullmatch(p.name)) or [given]
    found: dict[Path, Content] = {}
    unread: list[UnreadFile] = []
    for path in dict.fromkeys(named):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            unread.append(UnreadFile(path, _why(error)))
            continue
        if isinstance(content, dict) and isinstance(content.get("results"), dict):
            found[path] = content
        else:
            unread.append(UnreadFile(path, "not a results file of lm-eval: it has no `results`"))
    by_date = sorted(found.items(), key=lambda item: finite(item[1].get("date")) or 0.0)
    return dict(by_date), unread


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return _SAID.get(type(error), f"cannot be read: {error.strerror}")
    return f"not JSON in UTF-8: {error}"


def samples_file(results: Path, task: str) -> Path | None:
    """Return the samples of a task that were written with a results file, or None."""
    if Path(task).name != task or "\\" in task:
        return None  # it would lead out of the folder
    match = _RESULTS.fullmatch(results.name)
    date = match[2] if match else None
    named = results.parent / (f"samples_{task}_{date}.jsonl" if date else f"samples_{task}.jsonl")
    if date or named.is_file():
        return named if named.is_file() else None
    old = sorted(p for p in results.parent.glob("*.jsonl") if p.stem.endswith(f"_{task}"))
    return old[0] if len(old) == 1 else None


def read_samples(path: Path) -> Iterator[SampleRow | UnreadFile]:
    """Yield the rows of a samples file one by one, and what is wrong with the other lines."""
    try:
        with path.open("rb") as lines:
            for number, row in _objects(lines):
                wrong = isinstance(row, str)
                yield UnreadFile(path, f"line {number} is left out: {row}") if wrong else row
    except OSError as error:
        yield UnreadFile(path, _why(error))


def _objects(lines: Iterable[str | bytes]) -> Iterator[tuple[int, Any]]:
    """Yield the number of each line with the JSON object in it, or with what is wrong there."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
                yield number, row if isinstance(row, dict) else "not a JSON object"
            except (ValueError, RecursionError) as error:
                yield number, f"not JSON in UTF-8: {error}"


def texts_in(given: Any) -> list[str]:
    """Return the texts of nested lists, as lm-eval keeps responses."""
    if isinstance(given, list):
        return [text for some in given for text in texts_in(some)]
    return [] if given is None else [str(given)]


def records_of(row: SampleRow) -> list[Mapping[str, Any]]:
    """Return what our tasks note about each response of a document; nothing for another's row."""
    record = mapping_in(row, "answered")
    each = record.get("repeats", [record] if record else [])
    return [one if isinstance(one, dict) else {} for one in each] if isinstance(each, list) else []


def point_texts(record: Mapping[str, Any], response: str) -> dict[str, str]:
    """Return the text at each point of an anytime response, by label. record: of `records_of`."""
    return {
        label: response[: one[0]] + str(one[1])
        for label, one in mapping_in(record, "point_texts").items()
        if isinstance(one, list) and len(one) == 2 and isinstance(one[0], int)
    }


def finite(value: Any) -> float | None:
    """Return a number as a float; None for anything else, NaN and infinity included."""
    try:
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    except OverflowError:
        return None


class Recording(NamedTuple):
    """One recorded response, and what says which document it answers."""

    response: str
    question: str | None
    doc_id: str | None
    options: Mapping[str, str] | None  # by letter as they stood then; None where not recorded
    metrics: SampleRow  # all of its row, such as the token counts of our own samples files
    answered: SampleRow  # what our own samples files say of the response


def recording_files(path: str | Path, task: str | None = None) -> list[Path]:
    """Return what to read: `path` itself, or in a folder the newest samples of `task`, else all
    its JSONL and CSV files. Raises DataError if there is nothing to read."""
    root = Path(path).expanduser()
    if root.is_file():
        return [root]
    if samples := sorted(root.glob("**/samples_*.jsonl")):
        # The date begins with a year, so that math500_cot does not match math500_cot_long.
        if own := [p for p in samples if p.match(f"samples_{task}_[0-9]*.jsonl")]:
            return [max(own, key=lambda p: p.name)]
        names = ", ".join(sorted({p.name for p in samples})[:5])
        raise DataError(f"path={str(path)!r} has no samples of task {task!r}; it has {names}")
    if found := sorted(p for kind in ("jsonl", "csv") for p in root.glob(f"**/*.{kind}")):
        return found
    raise DataError(f"path={str(path)!r} has no .jsonl or .csv files")


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
            for number, row in _objects(lines):
                if isinstance(row, str):
                    raise DataError(f"{path}, line {number}: {row}")
                yield row
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
