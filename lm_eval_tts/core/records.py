"""Records of a journal: one line each, `<crc32> <key> <JSON>`; a long JSON is deflated, in base64,
which begins with an "e", as no JSON does."""

import base64
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lm_eval_tts.core.faults import MALFORMED

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


def content_of(line: bytes) -> Any:
    """Return the result in a record. Raises one of `BROKEN` where it is not as we write it."""
    packed = line[line.index(b" ", 9) + 1 :]
    text = zlib.decompress(base64.b64decode(packed)) if packed[:1] == b"e" else packed
    return _of_json(text.decode())


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their places in bytes."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            yield offset, line
            offset += len(line)


def record_key(line: bytes) -> str:
    """Return the key of a record. Raises ValueError where a line is not as it was written."""
    if not _is_whole(line):
        raise ValueError("the checksum is not that of the record")
    return line[9:].split(b" ", 1)[0].decode()


def looks_damaged(path: Path) -> bool:
    """Whether a file that does not begin as ours do may once have been ours. Raises OSError."""
    with path.open("rb") as file:
        start = file.read(9)
    return (
        not start or bool(_BEGINNING.match(start)) or any(_is_whole(x) for _, x in lines_of(path))
    )
