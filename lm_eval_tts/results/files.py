"""Finds and reads the files of finished runs: lm-eval's results_*.json and their samples files.

A file that cannot be used becomes an `UnreadFile` and is skipped; nothing here raises for one."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lm_eval_tts.core.identity import mapping_in

# results_<date>.json; <name>_<date>.json for `--output_path name.json`; results.json before 0.4.3.
_RESULTS = re.compile(r"results\.json|(.+)_(\d{4}-\d\d-\d\dT[\d.-]+)\.json")
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
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    if isinstance(error, IsADirectoryError):
        return "no results_*.json in this folder"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
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
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    yield parse_row(line)
                except ValueError as error:
                    yield UnreadFile(path, f"line {number} is left out: {error}")
    except OSError as error:
        yield UnreadFile(path, _why(error))


def parse_row(line: str | bytes) -> SampleRow:
    """Return the JSON object in a line. Raises ValueError, with the reason, where there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON in UTF-8: {error}") from error
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    return row


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
    if not isinstance(value, (bool, int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def first_of_each_file(unread: Sequence[UnreadFile]) -> list[UnreadFile]:
    """Return the first reason of each file, with the number of further ones."""
    by_path: dict[Path, list[UnreadFile]] = {}
    for one in unread:
        by_path.setdefault(one.path, []).append(one)
    return [
        UnreadFile(path, some[0].reason + (f" (and {len(some) - 1} more)" if some[1:] else ""))
        for path, some in by_path.items()
    ]
