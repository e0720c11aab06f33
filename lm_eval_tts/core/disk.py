"""The package's own data, and whether a folder can be written: asked before work is spent on what
goes there."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lm_eval_tts.errors import SettingsError

if TYPE_CHECKING:
    from filelock import FileLock

MIN_FREE_BYTES = 64 * 2**20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where PyYAML was built with it


def read_yaml(name: str) -> Any:
    """Return the content of a data file of the package."""
    path = Path(__file__).parents[1] / name
    return _LOADER(path.read_text(encoding="utf-8")).get_single_data()


def check_writable(name: str, folder: str | Path) -> None:
    """Make a folder and write to it.
    name: the setting that gave it. Raises SettingsError where that cannot be done, or where less
    than 64 MiB are free."""
    path = Path(folder).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
        free = shutil.disk_usage(path).free
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(
            f"{name}={str(folder)!r} cannot be written ({reason}): name a folder that can be"
        ) from error
    if free < MIN_FREE_BYTES:
        raise SettingsError(
            f"{name}={str(folder)!r}: the disk has {free / 2**20:.0f} MiB left, at least "
            f"{MIN_FREE_BYTES // 2**20} are needed: make room or name another folder"
        )


def refuse_links(name: str, paths: Iterable[Path]) -> None:
    """Raise SettingsError where a file that is to be written is a link or a folder.
    name: the setting that gave their folder."""
    for path in paths:
        if path.is_symlink() or path.is_dir():
            kind = "a link" if path.is_symlink() else "a folder"
            raise SettingsError(
                f"{name}={str(path.parent)!r}: {path.name} is {kind}, not a file: remove it, or "
                "name another folder"
            )


def locked(name: str, path: Path) -> "FileLock":
    """Return a lock that this process holds. Raises SettingsError where another one holds it."""
    from filelock import FileLock, Timeout  # slow to import, and only journals lock

    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"{name}={str(path.parent)!r} is being written by another process: wait for it, or "
            "name another folder"
        ) from None
    return lock
