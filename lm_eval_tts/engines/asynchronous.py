"""An engine over any coroutine that samples one sequence: a server, or vLLM's AsyncLLM.

The event loop runs in a separate thread, so it goes on while programs are resumed and works in
notebooks, where the main thread has a loop already. What comes back is handed over at the next
step.

Replicas do not share their prefix caches, so the requests of one problem should meet the same one.
A strategy's first request is the problem's prompt; whatever follows begins with it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from typing import Any, TypeVar

from typing_extensions import Unpack

from lm_eval_tts.core.engine import Output
from lm_eval_tts.engines.requests import BatchRow, Limits, RowEngine, SampledTokens
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.errors import RequestError

_T = TypeVar("_T")


class Background:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def start(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Start a coroutine; the future may be waited for and cancelled from here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine to its end."""
        return self.start(work).result()


class AsyncEngine(RowEngine):
    """Runs up to `max_num_seqs` rows at once, each by `sample(row)`.
    sample: returns all that a part of a row sampled, or raises RequestError; cancelled when a
    request is aborted."""

    def __init__(
        self,
        sample: Callable[[BatchRow], Coroutine[Any, Any, SampledTokens]],
        background: Background,
        tokenizer: Tokenizer,
        **limits: Unpack[Limits],
    ) -> None:
        super().__init__(tokenizer, **limits)
        self._sample = sample
        self._background = background
        self._live: dict[Future[None], BatchRow] = {}

    def abort(self, request_id: int) -> None:
        """Drop a request; unknown ids are ignored."""
        super().abort(request_id)
        for future in [future for future, row in self._live.items() if row.done]:
            del self._live[future]
            future.cancel()

    def step(self) -> list[Output]:
        """Wait until a row is done, and return the requests that finished with it."""
        for row in self.take(self.max_num_seqs - len(self._live)):
            self._live[self._background.start(self._sample_parts(row))] = row
        for future in wait(self._live, return_when=FIRST_COMPLETED).done:
            row = self._live.pop(future)
            try:
                future.result()
                self.finished(row)
            except RequestError as error:
                self.fail(row, error)
        return self.pop_finished()

    async def _sample_parts(self, row: BatchRow) -> None:
        """Sample a row; where endings are masked at first, in two parts: all of one, none of the
        other. A stop string of several tokens is masked until one that began in time is over."""
        if least := row.op.min_tokens:
            longest = max((len(self.tokenizer.encode(stop)) for stop in row.op.stop), default=1)
            await self._sample_part(row, min(row.max_tokens, least + longest - 1), least)
            ended = not row.sampled or row.sampled[-1] in self.eos_token_ids
            if ended or len(row.sampled) >= row.max_tokens:
                return
        await self._sample_part(row, row.max_tokens - len(row.sampled), 0)

    async def _sample_part(self, row: BatchRow, most: int, least: int) -> None:
        ids, seed = row.op.token_ids + tuple(row.sampled), row.seed + len(row.sampled)
        op = replace(row.op, token_ids=ids, max_tokens=most, min_tokens=least)
        self.take_part(row, await self._sample(BatchRow(op, seed, most, list(ids))))


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
