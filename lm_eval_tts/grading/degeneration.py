"""Whether a text ends in a repetition loop.

Two signs are looked for, as OpenCompass does (opencompass/utils/repeat_analysis.py: repeated
patterns of 32 tokens, and the ratio of gzip): a period that repeats up to the end, and an ending
that compresses far better than text does. Here the first is found by the prefix function of the
reversed ending (Knuth, Morris and Pratt 1977), over characters, since a grader has no tokenizer.
"""

from __future__ import annotations

import re
import zlib

ENDING = 4_000  # characters looked at
MIN_REPEATED = 200  # characters that a period must cover, and
MIN_REPEATS = 4  # times it must occur
MIN_COMPRESSED = 1_500  # characters below which compressibility says nothing
# Of the compressed size. Chosen on recorded runs: long endings that enumerate cases without a loop
# measured 0.14 and more, a few near repeats between 0.13 and 0.18 are not counted.
MAX_RATIO = 0.13
COUNTED = 2_000  # characters whose compressibility is judged


# Tags that were closed behind a loop, by the model or by whoever forced its answer.
_CLOSING_TAGS = re.compile(r"(?:\s*<[/|][^<>\n]{1,30}>)+\s*\Z")


def has_loop(text: str) -> bool:
    """Say whether a text ends in a repetition, closing tags aside.

    >>> has_loop("So x = 1. " * 40)
    True
    """
    ending = " ".join(_CLOSING_TAGS.sub("", text[-2 * ENDING :]).split())[-ENDING:]
    return _repeats_to_the_end(ending) or _compresses(ending[-COUNTED:])


def _repeats_to_the_end(text: str) -> bool:
    """Some suffix of at least MIN_REPEATED characters is at least MIN_REPEATS equal periods."""
    backwards = text[::-1]
    borders = [0] * len(backwards)
    border = 0
    for i in range(1, len(backwards)):
        while border and backwards[i] != backwards[border]:
            border = borders[border - 1]
        border += backwards[i] == backwards[border]
        borders[i] = border
        length = i + 1
        if length >= max(MIN_REPEATED, MIN_REPEATS * (length - border)):
            return True
    return False


def _compresses(text: str) -> bool:
    if len(text) < MIN_COMPRESSED:
        return False
    data = text.encode("utf-8", "replace")
    return len(zlib.compress(data, 6)) < MAX_RATIO * len(data)
