"""Which requests belong together: those whose prompt continues an earlier one.

Replicas do not share their prefix caches, so the requests of one problem should meet the same one.
A strategy's first request is the problem's prompt; whatever follows begins with it."""

from collections.abc import Sequence


class Sessions:
    """Finds the session of a prompt: one for each prompt that begins with no earlier one. Memory is
    one entry for each session; time is proportional to its first prompt."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], int] = {}

    def of(self, token_ids: Sequence[int]) -> int:
        """Return the session's number, counting from 0."""
        state = 0
        for length, token in enumerate(token_ids, 1):
            state = hash((state, token))
            if (session := self._known.get((length, state))) is not None:
                return session
        return self._known.setdefault((len(token_ids), state), len(self._known))


class Ranks:
    """Assigns the rows of a session to one rank, new sessions to the rank with the fewest."""

    def __init__(self, num_ranks: int) -> None:
        self._sessions = Sessions()
        self._rank_of: dict[int, int] = {}
        self._load = [0] * num_ranks

    def take(self, token_ids: Sequence[int]) -> int:
        """Return the rank for a row, which is under way until `release`."""
        session = self._sessions.of(token_ids)
        rank = self._rank_of.setdefault(session, self._load.index(min(self._load)))
        self._load[rank] += 1
        return rank

    def release(self, rank: int) -> None:
        """Note that a row of this rank is done."""
        self._load[rank] -= 1
