"""Whether a folder can be written, asked before work is spent on what goes there."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lm_eval_tts.errors import SettingsError

MIN_FREE_BYTES = 64 * 2**20


def check_writable(name: str, folder: str | Path) -> None:
    """Make a folder and write to it.

    name: the setting that gave it. Raises SettingsError where that cannot be done, or where less
    than 64 MiB are free.
    """
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
