"""The requests an engine has under way: their rows, when a row is done, and what is returned."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from lm_eval_tts.core.engine import Output, check_fits
from lm_eval_tts.core.program import Completion, Generate, TokenLogprob
from lm_eval_tts.engines.stopping import complete, ends_with_stop, up_to_ending
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.errors import RequestError


@dataclass(slots=True, eq=False)
class Row:
    """A sequence under way; `ids` are its prompt and all it has sampled."""

    op: Generate
    seed: int
    max_tokens: int
    ids: list[int]
    sampled: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    done: bool = False

    def restart(self) -> None:
        """Forget what was sampled."""
        self.ids, self.sampled, self.logprobs = list(self.op.token_ids), [], []


class Requests:
    """Every request that was added and not yet returned or aborted, and the queue of new rows.

    eos_token_ids: ids that end the turn. max_length: context window in tokens.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, eos_token_ids: Sequence[int], max_length: int
    ) -> None:
        self.queue: deque[Row] = deque()
        self._rows: dict[int, list[Row]] = {}
        self._errors: dict[int, RequestError] = {}
        self.eos_token_ids = frozenset(eos_token_ids)
        self._tokenizer = tokenizer
        self._max_length = max_length

    @property
    def num_unfinished(self) -> int:
        """Sequences added and not yet returned or aborted."""
        return sum(len(rows) for rows in self._rows.values())

    def add(self, request_id: int, op: Generate, seed: int) -> list[Row]:
        """Queue a row for each sample. Raises RequestError if its prompt leaves no room."""
        check_fits(op, self._max_length)
        limit = min(op.max_tokens, self._max_length - len(op.token_ids))
        rows = [Row(op, seed + k, limit, list(op.token_ids)) for k in range(op.n)]
        self._rows[request_id] = rows
        self.queue.extend(rows)
        return rows

    def abort(self, request_id: int) -> list[Row]:
        """Drop a request and return its rows; unknown ids are ignored."""
        rows = self._rows.pop(request_id, [])
        for row in rows:
            row.done = True
        return rows

    def fail(self, row: Row, error: RequestError) -> None:
        """End the request of a row that cannot be served."""
        for request_id, rows in self._rows.items():
            if row in rows:
                self._errors[request_id] = error
                for sibling in rows:
                    sibling.done = True

    def sampled(self, row: Row, token: int, logprob: TokenLogprob | None = None) -> None:
        """Append a token to a row and note whether it was the last one."""
        row.sampled.append(token)
        row.ids.append(token)
        if logprob is not None and row.op.logprobs is not None:
            row.logprobs.append(logprob._replace(top=logprob.top[: row.op.logprobs]))
        row.done = (
            token in self.eos_token_ids
            or len(row.sampled) >= row.max_tokens
            or ends_with_stop(row.sampled, row.op.stop, self._tokenizer)
        )

    def finished(
        self, row: Row, sampled: Sequence[int], logprobs: Sequence[TokenLogprob] = ()
    ) -> None:
        """Take all that a row has sampled at once; what lies behind its ending is dropped."""
        row.sampled = list(
            up_to_ending(
                sampled[: row.max_tokens], row.op.stop, self.eos_token_ids, self._tokenizer
            )
        )
        row.logprobs = list(logprobs[: len(row.sampled)])
        row.done = True

    def fail_all(self, error: RequestError) -> None:
        """Note that nothing under way can be served."""
        for rows in list(self._rows.values()):
            self.fail(rows[0], error)

    def pop_finished(self) -> list[Output]:
        """Return the requests all of whose rows are done, and forget them."""
        done = [i for i, rows in self._rows.items() if all(row.done for row in rows)]
        return [self._output(request_id, self._rows.pop(request_id)) for request_id in done]

    def _output(self, request_id: int, rows: list[Row]) -> Output:
        if error := self._errors.pop(request_id, None):
            return Output(request_id, error)
        return Output(request_id, tuple(map(self._complete, rows)))

    def _complete(self, row: Row) -> Completion:
        sampled, logprobs = tuple(row.sampled), tuple(row.logprobs)
        return complete(sampled, row.op.stop, self.eos_token_ids, self._tokenizer, logprobs)


def take(queue: deque[Row], most: int) -> list[Row]:
    """Take up to `most` rows from the front of a queue; those that were aborted are dropped."""
    taken: list[Row] = []
    while queue and len(taken) < most:
        row = queue.popleft()
        if not row.done:
            taken.append(row)
    return taken
