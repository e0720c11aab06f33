"""Where the commands write, and what they say about it."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.results.formats import printable

BAD_INPUT = 2  # exit code


def check_ending(path: Path | None, allowed: Sequence[str], default: str) -> str:
    """Return the format that a file's ending asks for. Raises SettingsError for another."""
    if path is None:
        return default
    ending = path.suffix.lower().lstrip(".")
    if ending not in allowed:
        raise unknown_name(f"ending of {path}", ending, allowed)
    return ending


def opened(path: Path | None) -> AbstractContextManager[TextIO]:
    """Return a file to write to, or standard output, which stays open."""
    if path is None:
        return nullcontext(sys.stdout)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error


def report(notes: Sequence[object], written: Path | None, num_bad: int) -> int:
    """Say on standard error what was noted and written; return the exit code."""
    for note in notes:
        print(printable(f"note: {note}"), file=sys.stderr)
    if written:
        print(f"wrote {written}", file=sys.stderr)
    return BAD_INPUT if num_bad else 0
