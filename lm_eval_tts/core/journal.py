"""Results on disk as soon as they are there: a folder of append-only files, one for each rank.

    <folder>/rank0.journal      <crc32> <key> <JSON, deflated, in base64>      one record a line
    <folder>/rank0.lock         held while a process writes rank0.journal

The first record tells the run; one of another run is refused. A record is in the file before its
result counts, so whatever ends the process, nothing finished is lost; a power cut may cost the
last second. A record that is torn or damaged is dropped with a note. Every rank reads all files,
so a run may continue with another number of ranks. Knows nothing of engines or of what is stored.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from lm_eval_tts.core.disk import check_writable
from lm_eval_tts.errors import SettingsError

logger = logging.getLogger(__name__)

RUN, TASK = "run", "task"  # keys of records that describe; others hold results
SYNC_SECONDS = 1.0
Facts = Mapping[str, str]


class _Place(NamedTuple):
    path: Path
    offset: int
    length: int


class Journal:
    """Results by key. Close it, or use it in a `with`, so that the lock goes and all is on disk."""

    def __init__(self, folder: str | Path, run: Facts, rank: int = 0) -> None:
        """Open the folder's journal, or begin one.

        run: what makes results of two runs differ; names and values are shown to the user.
        Raises SettingsError where the folder cannot be written, another process writes it, or it
        is the journal of another run.
        """
        self.folder = Path(folder).expanduser()
        check_writable("journal", self.folder)
        self._run = dict(run)
        self._path = self.folder / f"rank{rank}.journal"
        self._lock = _locked(self._path.with_suffix(".lock"), self.folder)
        self._places: dict[str, _Place] = {}
        self._tasks: dict[str, dict[str, Any]] = {}
        self._unwritten: dict[str, bytes] = {}
        self._told = False
        try:
            self._begin()
            for path in sorted(self.folder.glob("rank*.journal")):
                self._read(path)
        except BaseException:
            self._lock.release()
            raise
        self._file = self._path.open("ab", buffering=0)
        self._end = self._path.stat().st_size
        self._synced = time.monotonic()
        if rank == 0:
            logger.info(
                "journal %s: %d finished results taken over", self.folder, len(self._places)
            )

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Count the results, those that could not be written yet included."""
        return len(self._places) + len(self._unwritten)

    def get(self, key: str) -> Any:
        """Return the result of a key as JSON, or None."""
        if key in self._unwritten:
            return _payload(self._unwritten[key])
        if (place := self._places.get(key)) is None:
            return None
        with place.path.open("rb", buffering=0) as file:
            file.seek(place.offset)
            line = file.read(place.length)
        return _payload(line)

    def add(self, key: str, result: Any) -> bool:
        """Append a result, anything that JSON can tell; False if the key has one, which stays.

        A full disk is no error: what cannot be written is kept, and tried again with the next.
        """
        if key in self._places or key in self._unwritten:
            return False
        self._unwritten[key] = _line(key, result)
        self._write()
        return True

    def check_task(self, task: str, settings: Facts, documents: Facts) -> None:
        """Note what a task was asked for, or compare with what was noted.

        documents: a digest of each prompt, by document; new ones may join.
        Raises SettingsError for other settings, or another prompt of a document.
        """
        known = self._tasks.get(task, {"settings": settings, "documents": {}})
        if known["settings"] != settings:
            raise self._refusal(f"task {task}", known["settings"], settings)
        seen = known["documents"]
        if other := [
            name for name in documents if seen.get(name, documents[name]) != documents[name]
        ]:
            raise SettingsError(
                f"journal={str(self.folder)!r} is of another version of task {task}: the prompt of "
                f"document {other[0]} was another one; name a new folder by journal="
            )
        if task not in self._tasks or documents.keys() - seen.keys():
            merged = {"settings": dict(settings), "documents": {**seen, **documents}}
            self._tasks[task] = merged
            with contextlib.suppress(OSError):  # the first result will say so
                self._append(_line(TASK, {"task": task, **merged}))

    def close(self) -> None:
        """Bring everything to the disk and let others write."""
        if not self._file.closed:
            self._write()
            if self._unwritten:
                logger.warning("%d results are not in the journal", len(self._unwritten))
            with contextlib.suppress(OSError):  # a disk that is full was told of
                self._sync()
            self._file.close()
        self._lock.release()

    def _begin(self) -> None:
        """Make the file with its first record, whole or not at all."""
        if self._path.exists() and self._path.stat().st_size:
            return
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(_line(RUN, self._run))
        os.replace(fresh, self._path)

    def _read(self, path: Path) -> None:
        """Take in a file: compare its run, note where its results are, cut a torn end off."""
        _check_kind(path, self.folder)
        end, damaged, torn = 0, 0, 0
        for offset, line in _lines(path):
            if not _is_whole(line):
                torn += 1
                continue
            self._take(path, offset, line)
            end, damaged, torn = offset + len(line), damaged + torn, 0
        if damaged:
            logger.warning("%s: %d damaged records are computed again", path, damaged)
        if torn and path == self._path:
            logger.warning("%s: the last record was torn, it is computed again", path)
            os.truncate(path, end)

    def _take(self, path: Path, offset: int, line: bytes) -> None:
        key = line[9:].split(b" ", 1)[0].decode()
        if key == RUN and (run := _payload(line)) != self._run:
            raise self._refusal("run", run, self._run)
        if key == TASK:
            self._join_task(_payload(line))
        elif key != RUN:
            self._places.setdefault(key, _Place(path, offset, len(line)))

    def _join_task(self, noted: dict[str, Any]) -> None:
        known = self._tasks.setdefault(
            noted["task"], {"settings": noted["settings"], "documents": {}}
        )
        known["documents"].update(noted["documents"])

    def _refusal(self, what: str, was: Facts, now: Facts) -> SettingsError:
        names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        changes = ", ".join(f"{n} was {was.get(n)}, is {now.get(n)}" for n in names)
        return SettingsError(
            f"journal={str(self.folder)!r} is of another {what}: {changes}; "
            "name a new folder by journal=, or run what it was made with"
        )

    def _write(self) -> None:
        """Append what is not written yet, as far as the disk takes it."""
        try:
            for key, line in list(self._unwritten.items()):
                self._places[key] = self._append(line)
                del self._unwritten[key]
            if time.monotonic() - self._synced > SYNC_SECONDS:
                self._sync()
        except OSError as error:
            if not self._told:
                logger.warning(
                    "journal %s cannot be written (%s): the run goes on, its results are kept in "
                    "memory and written as soon as that works again",
                    self.folder,
                    error.strerror or error,
                )
            self._told = True

    def _append(self, line: bytes) -> _Place:
        """Append a line, or nothing of it. Raises OSError."""
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
        except BaseException:
            os.truncate(self._path, self._end)
            raise
        place = _Place(self._path, self._end, len(line))
        self._end += len(line)
        return place

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()


def _check_kind(path: Path, folder: Path) -> None:
    """Raise SettingsError unless a file begins as ours do."""
    with path.open("rb") as file:
        first = file.readline()
    if not _is_whole(first) or first[9:].split(b" ", 1)[0].decode() != RUN:
        raise SettingsError(
            f"journal={str(folder)!r}: {path.name} is not a journal of this package, or its head "
            "is damaged: name a new folder"
        )


def _locked(path: Path, folder: Path) -> FileLock:
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"journal={str(folder)!r} is being written by another process: wait for it, or name "
            "another folder"
        ) from None
    return lock


def _line(key: str, content: Any) -> bytes:
    packed = base64.b64encode(zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1))
    body = key.encode() + b" " + packed
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _is_whole(line: bytes) -> bool:
    return line.endswith(b"\n") and b"%08x" % zlib.crc32(line[9:-1]) == line[:8]


def _payload(line: bytes) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(line.rsplit(b" ", 1)[1])))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    offset = 0
    with path.open("rb") as file:
        for line in file:
            yield offset, line
            offset += len(line)
