"""Results on disk as soon as they exist: a folder of append-only files, one for each rank.

    <folder>/rank0.journal      <crc32> <key> <JSON>      one record a line
    <folder>/rank0.lock         held while a process writes rank0.journal

A long JSON is deflated, in base64, which begins with an "e", as no JSON does. The first record
identifies the run; one of another run is refused. A record is in the file before its result counts,
so whatever ends the process, nothing finished is lost; a power cut may cost the last second. A
record that is torn or damaged is dropped with a note, and so is a file whose first record is. Every
rank reads all files, so a run may continue with another number of ranks. Links are not followed to
write. Knows nothing of engines or of what is stored."""

import base64
import contextlib
import json
import logging
import os
import re
import time
import zlib
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from lm_eval_tts.core.disk import check_writable, locked, refuse_links
from lm_eval_tts.errors import MALFORMED, SettingsError

logger = logging.getLogger(__name__)

RUN, TASK = "run", "task"  # keys of records that describe; others hold results
SYNC_SECONDS = 1.0
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
Facts = Mapping[str, str]
# File, offset and length of a record; numbers alone, which the garbage collector need not follow.
_Place = tuple[int, int, int]
# What reading a record raises whose checksum is right and whose content is not what we write.
BROKEN = (*MALFORMED, zlib.error)
PACKED_FROM = 1000  # bytes of JSON; to deflate less takes longer than to write it
_BEGINNING = re.compile(rb"\0|[0-9a-f]{1,8}( |$)")  # a power cut leaves blocks of NUL

_to_json = json.JSONEncoder(separators=(",", ":")).encode
_of_json = json.JSONDecoder().decode  # `json.loads` looks at the type of each text first


def make_record(key: str, content: Any) -> bytes:
    """Return the line of a result, anything that JSON can hold."""
    packed = _to_json(content).encode()
    if len(packed) > PACKED_FROM:
        packed = base64.b64encode(zlib.compress(packed, 1))
    body = key.encode() + b" " + packed
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _is_whole(line: bytes) -> bool:
    return line.endswith(b"\n") and b"%08x" % zlib.crc32(line[9:-1]) == line[:8]


def record_key(line: bytes) -> str:
    """Return the key of a record. Raises ValueError where a line is not as it was written."""
    if not _is_whole(line):
        raise ValueError("the checksum is not that of the record")
    return line[9:].split(b" ", 1)[0].decode()


def content_of(line: bytes) -> Any:
    """Return the result in a record. Raises one of `BROKEN` where it is not as we write it."""
    packed = line[line.index(b" ", 9) + 1 :]
    text = zlib.decompress(base64.b64decode(packed)) if packed[:1] == b"e" else packed
    return _of_json(text.decode())


class Journal(contextlib.AbstractContextManager["Journal"]):
    """Results by key. Close it, or use it in a `with`, to free the lock with all on disk."""

    def __init__(self, folder: str | Path, run: Facts, rank: int = 0) -> None:
        """Open the folder's journal, or begin one.
        run: what makes results of two runs differ; names and values are shown to the user. Raises
        SettingsError where the folder cannot be written, another process writes it, or it is the
        journal of another run."""
        self.folder = Path(folder).expanduser()
        check_writable("journal", self.folder)
        self._run = dict(run)
        self.lost: str | None = None  # why what was written is not there any more, if so
        self._path = self.folder / f"rank{rank}.journal"
        refuse_links("journal", [self._path.with_suffix(x) for x in (".journal", ".lock", ".new")])
        self._lock = locked("journal", self._path.with_suffix(".lock"))
        self._places: dict[str, _Place] = {}
        self._files: list[Path] = []
        self._readers: dict[int, FileIO] = {}
        self._tasks: dict[str, dict[str, Any]] = {}
        self._unwritten: dict[str, bytes] = {}
        self._told = False
        try:
            self._begin()
            for path in sorted(self.folder.glob("rank*.journal")):
                self._read(path)
            self._own = self._files.index(self._path)
        except BaseException:
            self._lock.release()
            raise
        flags = os.O_WRONLY | os.O_APPEND | NO_LINKS
        self._file = os.fdopen(os.open(self._path, flags), "ab", buffering=0)
        self._end = self._path.stat().st_size
        self._synced = time.monotonic()
        if rank == 0:
            count = len(self._places)
            logger.info("journal %s: %d finished results taken over", self.folder, count)

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Count the results, those that could not be written yet included."""
        return len(self._places) + len(self._unwritten)

    def get(self, key: str) -> Any:
        """Return the result of a key as JSON, or None."""
        if key in self._unwritten:
            return content_of(self._unwritten[key])
        if (place := self._places.get(key)) is None:
            return None
        try:
            number, offset, length = place
            file = self._readers.get(number) or self._files[number].open("rb", buffering=0)
            self._readers[number] = file
            file.seek(offset)
            return content_of(file.read(length))
        except (OSError, *BROKEN) as error:
            self.forget(key, str(error))
            return None

    def forget(self, key: str, reason: str) -> None:
        """Drop a result that cannot be used, so that it is computed again."""
        logger.warning("journal %s: a result is computed again (%s)", self.folder, reason)
        self._places.pop(key, None)

    def add(self, key: str, result: Any) -> bool:
        """Append a result, anything that JSON can hold; False if the key has one, which stays. A
        full disk is not an error: what cannot be written is kept, and tried again with the next."""
        if key in self._places or key in self._unwritten:
            return False
        self._unwritten[key] = make_record(key, result)
        self._write()
        return True

    def check_task(self, task: str, settings: Facts, documents: Facts) -> None:
        """Note what a task asks for, or compare it with what was noted.
        documents: a digest of each prompt, by document; new ones may join. Raises SettingsError for
        other settings, or another prompt of a document."""
        known = self._tasks.get(task, {"settings": settings, "documents": {}})
        if known["settings"] != settings:
            raise self._refusal(f"task {task}", known["settings"], settings)
        seen = known["documents"]
        if other := [name for name, now in documents.items() if seen.get(name, now) != now]:
            raise SettingsError(
                f"journal={str(self.folder)!r} is of another version of task {task}: the prompt of "
                f"document {other[0]} was different; name a new folder by journal="
            )
        if task not in self._tasks or documents.keys() - seen.keys():
            merged = {"settings": dict(settings), "documents": {**seen, **documents}}
            self._tasks[task] = merged
            with contextlib.suppress(OSError):  # the first result will say so
                self._append(make_record(TASK, {"task": task, **merged}))

    def close(self) -> None:
        """Bring everything to the disk and let others write."""
        if not self._file.closed:
            self._write()
            if self._unwritten:
                logger.warning("%d results are not in the journal", len(self._unwritten))
            with contextlib.suppress(OSError):  # a disk that is full was told of
                self._sync()
            for file in (self._file, *self._readers.values()):
                file.close()
        self._lock.release()

    def _begin(self) -> None:
        """Make the file with its first record, whole or not at all; put a damaged one aside."""
        if self._path.exists() and self._path.stat().st_size:
            if self._has_head(self._path):
                return
            with self._path.open("rb") as old:
                is_ours = _BEGINNING.match(old.read(9)) or any(map(_is_whole, old))
            if not is_ours:
                raise SettingsError(
                    f"journal={str(self.folder)!r}: {self._path.name} is not a journal of this "
                    "package: name another folder"
                )
            os.replace(self._path, self._path.with_suffix(".damaged"))
            logger.warning("%s: its head is damaged, it is started anew", self._path)
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with fresh.open("xb") as file:  # which follows no link
            file.write(make_record(RUN, self._run))
        os.replace(fresh, self._path)

    def _has_head(self, path: Path) -> bool:
        """Compare the run of a file; False where its first record cannot be read."""
        run = None
        with path.open("rb") as file, contextlib.suppress(*BROKEN):
            first = file.readline()
            run = content_of(first) if record_key(first) == RUN else None
        if isinstance(run, dict) and run != self._run:
            raise self._refusal("run", run, self._run)
        return run is not None

    def _read(self, path: Path) -> None:
        """Take in a file: compare its run, note where its results are, cut a torn end off."""
        try:
            if not path.is_file():  # to open a named pipe would wait for who writes it
                logger.warning("%s is left out: it is not a file", path)
            elif self._has_head(path):
                self._take_all(path)
            else:
                logger.warning("%s: its head is damaged, it is left out", path)
        except OSError as error:
            logger.warning("%s is left out: %s", path, error.strerror or error)

    def _take_all(self, path: Path) -> None:
        self._files.append(path)
        offset, end, damaged, torn = 0, 0, 0, 0
        with path.open("rb") as file:
            for line in file:
                try:
                    self._take(line, offset)
                    end, damaged, torn = offset + len(line), damaged + torn, 0
                except BROKEN:
                    torn += 1
                offset += len(line)
        if damaged:
            logger.warning("%s: %d damaged records are computed again", path, damaged)
        if torn and path == self._path:
            logger.warning("%s: the last record was torn, it is computed again", path)
            os.truncate(path, end)

    def _take(self, line: bytes, offset: int) -> None:
        """Note a record of the last file. Raises one of `BROKEN` if it is damaged."""
        key = record_key(line)
        if key == TASK:
            noted = content_of(line)
            first = {"settings": noted["settings"], "documents": {}}
            self._tasks.setdefault(noted["task"], first)["documents"].update(noted["documents"])
        elif key != RUN:
            self._places.setdefault(key, (len(self._files) - 1, offset, len(line)))

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
        place = (self._own, self._end, len(line))
        self._end += len(line)
        return place

    def _sync(self) -> None:
        """Bring the file to the disk. Raises OSError. Notices that it was removed, or its disk is
        gone, while we write to it."""
        there = False
        with contextlib.suppress(OSError):
            there = os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        if not there and self.lost is None:
            self.lost = f"journal {self.folder} was removed or can no longer be reached"
            logger.error("%s: what is finished is not kept there", self.lost)
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()
