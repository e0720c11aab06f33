"""What penalties need from each row: the ids that it has, kept on the device from step to step.

A step uploads only what is new, and a penalty changes the logits of the ids that a row has, not
those of the whole vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch

from lm_eval_tts.core.program import Sampling
from lm_eval_tts.engines.hf.transfer import Numbers, Parcel
from lm_eval_tts.engines.requests import BatchRow
from lm_eval_tts.engines.uniform import uniform

BELOW_ONE = 1 - 2**-23  # float32 times it is below the factor, so a draw is below the whole mass
ROOM = 256  # tokens; the memory of a row grows in steps of these


class Draw(NamedTuple):
    """What decides one row's next token."""

    sampling: Sampling
    seed: int
    step: int  # how many tokens it has sampled
    ids: Sequence[int]  # all it has so far: the same object at each step, to which the row appends
    logprobs: int | None = None  # as in `Generate`
    banned: tuple[int, ...] = ()  # tokens that were drawn for it, and are masked

    @classmethod
    def of(cls, row: BatchRow) -> Draw:
        """Return the next draw of a row."""
        return cls(row.op.sampling, row.seed, len(row.sampled), row.ids, row.op.logprobs)

    @property
    def number(self) -> float:
        """A uniform number, another for each token that was masked."""
        return min(uniform(self.seed, self.step + (len(self.banned) << 32)), BELOW_ONE)


@dataclass(slots=True)
class _Known:
    """A row on the device; `ids` is kept so that no other list gets its identity."""

    ids: Sequence[int]
    place: int
    count: int = 0  # of its ids that are there


class History:
    """The ids of rows that come and go, [places, length], and the penalties on their logits."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}  # by the identity of their ids
        self._shape = (0, 0)
        self._tokens = torch.zeros(0, 0, dtype=torch.long)
        self._counts = torch.zeros(0, 0)

    def pack(self, rows: Sequence[Draw], parcel: Parcel) -> None:
        """Put into a step's parcel what is new of the rows that have penalties."""
        indices = [i for i, row in enumerate(rows) if _has_penalty(row.sampling)]
        if not indices:
            return
        written = [rows[i] for i in indices]
        known = self._places(written)
        parcel.put("penalized", indices)
        parcel.put("place", [k.place for k in known])
        parcel.put("written", [len(row.ids) for row in written])
        parcel.put("prompt", [len(row.ids) - row.step for row in written])
        for name in ("repetition_penalty", "frequency_penalty", "presence_penalty"):
            parcel.put_fractions(name, [getattr(row.sampling, name) for row in written])
        if any(row.sampling.frequency_penalty or row.sampling.presence_penalty for row in written):
            parcel.put("counting", [1])
        length = self._shape[1]
        parcel.put("at", [k.place * length + i for k in known for i in range(k.count, len(k.ids))])
        parcel.put("new", [token for k in known for token in k.ids[k.count :]])
        for k in known:
            k.count = len(k.ids)

    def _places(self, rows: Sequence[Draw]) -> list[_Known]:
        """Return the rows as they are on the device, new ones in places that are free."""
        longest = max(len(row.ids) for row in rows)
        if len(rows) > self._shape[0] or longest > self._shape[1]:
            self._shape = max(len(rows), self._shape[0]), -(-longest // ROOM) * ROOM
            self._known = {}  # all are copied to the larger memory anew
        now = {id(row.ids) for row in rows}
        self._known = {key: k for key, k in self._known.items() if key in now}
        free = set(range(self._shape[0])) - {k.place for k in self._known.values()}
        for row in rows:
            if id(row.ids) not in self._known:
                self._known[id(row.ids)] = _Known(row.ids, free.pop())
        return [self._known[id(row.ids)] for row in rows]

    @contextmanager
    def penalizing(self, logits: torch.Tensor, numbers: Numbers) -> Iterator[None]:
        """Apply the parcel's penalties to logits [rows, vocabulary] in this block and undo them
        after it: only those of ids that a row has are touched. Repetition (CTRL, section 4.1) is of
        all ids that a row has, frequency and presence are of what was sampled for its request
        alone, as in servers."""
        if "penalized" not in numbers:
            yield
            return
        if self._tokens.shape != self._shape:
            self._tokens = torch.zeros(self._shape, dtype=torch.long, device=logits.device)
        self._tokens.view(-1).index_put_((numbers["at"],), numbers["new"])
        ids = self._tokens[numbers["place"]]
        place = torch.arange(self._shape[1], device=logits.device)
        written = place < numbers["written"][:, None]
        ids = torch.where(written, ids, ids[:, :1])  # ids that stand twice change nothing
        rows, factor = numbers["penalized"][:, None], numbers["repetition_penalty"][:, None]
        plain = logits[rows, ids]
        scores = torch.where(plain < 0, plain * factor, plain / factor)
        if "counting" in numbers:
            sampled = written & (place >= numbers["prompt"][:, None])
            counts = self._count(ids, sampled, logits.shape[1])
            scores = scores - numbers["frequency_penalty"][:, None] * counts
            scores = scores - numbers["presence_penalty"][:, None] * (counts > 0)
        logits[rows, ids] = scores
        try:
            yield
        finally:
            logits[rows, ids] = plain

    def _count(self, ids: torch.Tensor, sampled: torch.Tensor, size: int) -> torch.Tensor:
        """Return how often each of the ids [rows, length] stands where `sampled` of its row is.
        size: of the vocabulary. The memory for that is zero before and after."""
        rows = len(ids)
        if self._counts.shape[0] < rows or self._counts.shape[1:] != (size,):
            self._counts = torch.zeros(rows, size, device=ids.device)
        tally = self._counts[:rows].scatter_add_(1, ids, sampled.float())
        counts = tally.gather(1, ids)
        tally.scatter_(1, ids, 0.0)
        return counts


def _has_penalty(sampling: Sampling) -> bool:
    added = sampling.frequency_penalty, sampling.presence_penalty
    return sampling.repetition_penalty != 1 or any(added)
