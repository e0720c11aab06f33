"""The scores that were read: a prefix that a cache holds is not read again for them."""

import hashlib
from array import array
from collections.abc import Iterator, Mapping

from lm_eval_tts.reward_models.inputs import Input

MOST_KNOWN = 200_000  # scores kept, some 20 MB; without them inputs are read from their start


class KnownScores:
    """Scores by all that they depend on: the tokens up to their position, and `long`.
    long: the input is one whose keys are rotated by the long factors of "longrope"."""

    def __init__(self) -> None:
        self._scores: dict[bytes, float] = {}

    def make_room(self) -> None:
        """Forget all of them if they are too many; not between reading and `of`."""
        if len(self._scores) > MOST_KNOWN:
            self._scores.clear()

    def missing(self, item: Input, long: bool = False) -> list[int]:
        """Return the positions of an input whose scores are not known."""
        return [p for p, key in _keys(item, long) if key not in self._scores]

    def note(self, item: Input, scores: Mapping[int, float], long: bool = False) -> None:
        """Keep some scores of an input, by their positions."""
        self._scores.update({key: scores[p] for p, key in _keys(item, long) if p in scores})

    def of(self, item: Input, long: bool = False) -> tuple[float, ...]:
        """Return the scores of an input, none of which may be missing."""
        return tuple(self._scores[key] for _, key in _keys(item, long))


def _keys(item: Input, long: bool) -> Iterator[tuple[int, bytes]]:
    """Yield each position (in ascending order) and a digest of the tokens up to it."""
    state, start = hashlib.blake2b(bytes([long]), digest_size=16), 0
    for position in item.positions:
        state.update(array("q", item.token_ids[start : position + 1]).tobytes())
        start = position + 1
        yield position, state.digest()
