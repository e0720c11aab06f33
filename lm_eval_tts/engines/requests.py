"""What an engine has under way: requests, their rows, when a row is done, and what is returned."""

import hashlib
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

from typing_extensions import Unpack

from lm_eval_tts.core.engine import Output, check_fits
from lm_eval_tts.core.program import Completion, Generate, SampledCounts, TokenIds, TokenLogprob
from lm_eval_tts.engines.stopping import complete, ends_with_stop, find_stop, up_to_ending, window
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.errors import RequestError

MAX_SEED = 2**63 - 1  # that vLLM and servers take; ours have 64 bits


def uniform(seed: int, step: int) -> float:
    """Return the number in [0, 1) that decides token `step` of the sample with this seed. One for
    each token, so a request samples the same whatever runs alongside."""
    digest = hashlib.blake2b(struct.pack("<qq", seed, step), digest_size=8).digest()
    return float(int.from_bytes(digest, "big") >> 11) / float(1 << 53)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many leading items two lists share."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class SampledTokens(NamedTuple):
    """All that was sampled for one row, ending included; log-probabilities if asked for."""

    token_ids: TokenIds
    logprobs: tuple[TokenLogprob, ...] = ()
    num_thinking: int = 0  # from the left, in which no stop string is sought
    counts: SampledCounts | None = None  # of a server that does not return ids


@dataclass(slots=True, eq=False)
class BatchRow:
    """A sequence under way."""

    op: Generate
    seed: int  # the op's and, where it asks for several samples, the number of this one
    max_tokens: int  # to sample at most
    ids: list[int]  # the prompt and all that was sampled
    sampled: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    num_thinking: int = 0  # as in `SampledTokens`
    counts: SampledCounts | None = None  # as in `SampledTokens`, of the last part
    banned: tuple[int, ...] = ()  # tokens that were drawn as its next one, and are masked
    done: bool = False
    error: RequestError | None = None  # why its request cannot be served

    @property
    def num_reusable(self) -> int:
        """Tokens from the left that need not be fed if their keys are known: logits need one."""
        return len(self.ids) - 1


class Limits(TypedDict):
    """What every engine has to know about its model and its work, by keyword."""

    eos_token_ids: Sequence[int]  # ids that end the turn
    max_length: int  # context window in tokens
    max_num_seqs: int  # sequences under way at once


class RowEngine:
    """An engine but for its `step`: every request that was added and not yet returned or aborted,
    as rows, one for each sample, and the `queue` of new rows."""

    def __init__(self, tokenizer: Tokenizer, **limits: Unpack[Limits]) -> None:
        self.tokenizer = tokenizer
        self.eos_token_ids = frozenset(limits["eos_token_ids"])
        self.max_length = limits["max_length"]
        self.max_num_seqs = limits["max_num_seqs"]
        self.queue: deque[BatchRow] = deque()
        self._rows: dict[int, list[BatchRow]] = {}

    @property
    def num_unfinished(self) -> int:
        """Sequences added and not yet returned or aborted."""
        return sum(len(rows) for rows in self._rows.values())

    def add_request(self, request_id: int, op: Generate, seed: int) -> None:
        """Queue an op. Raises RequestError if its prompt leaves no room for a token."""
        check_fits(op, self.max_length)
        limit = min(op.max_tokens, self.max_length - len(op.token_ids))
        rows = [BatchRow(op, seed + k, limit, list(op.token_ids)) for k in range(op.n)]
        self._rows[request_id] = rows
        self.queue.extend(rows)

    def abort(self, request_id: int) -> None:
        """Drop a request; unknown ids are ignored."""
        for row in self._rows.pop(request_id, []):
            row.done = True

    def take(self, most: int) -> list[BatchRow]:
        """Take up to `most` rows from the front of the queue; aborted ones are dropped."""
        taken: list[BatchRow] = []
        while self.queue and len(taken) < most:
            row = self.queue.popleft()
            if not row.done:
                taken.append(row)
        return taken

    def fail(self, row: BatchRow, error: RequestError) -> None:
        """End the request of a row that cannot be served."""
        row.error, row.done = error, True

    def ends_early(self, row: BatchRow, token: int) -> bool:
        """Whether a token is masked, since its `min_tokens` forbid the ending that it completes."""
        stops, least, place = row.op.stop, row.op.min_tokens, len(row.sampled)
        if place >= least + window(stops) or not least:
            return False
        if token in self.eos_token_ids:
            return place < least
        first = max(0, min(least, place) - window(stops))
        match = find_stop(self.tokenizer.decode([*row.sampled[first:], token]), stops)
        before = self.tokenizer.decode(row.sampled[first:least])
        return match is not None and (place < least or match.start < len(before))

    def take_part(self, row: BatchRow, part: SampledTokens) -> None:
        """Keep what a part of a row has sampled."""
        row.sampled += part.token_ids
        row.logprobs += part.logprobs
        row.num_thinking = part.num_thinking
        row.counts = None if row.op.min_tokens else part.counts  # of all parts or of none

    def sampled(self, row: BatchRow, token: int, logprob: TokenLogprob | None = None) -> None:
        """Append a token to a row and note whether it was the last one."""
        row.sampled.append(token)
        row.ids.append(token)
        if logprob is not None and row.op.logprobs is not None:
            row.logprobs.append(logprob._replace(top=logprob.top[: row.op.logprobs]))
        row.done = (
            token in self.eos_token_ids
            or len(row.sampled) >= row.max_tokens
            or ends_with_stop(row.sampled, row.op.stop, self.tokenizer)
        )

    def finished(self, row: BatchRow) -> None:
        """Note that a row has all its parts; what it sampled after its ending is dropped."""
        # A server counts as it tokenizes; what it tells is within its limit.
        thought = row.num_thinking
        most = len(row.sampled) if row.counts else row.max_tokens + thought
        rest = row.sampled[thought:most]
        answer = up_to_ending(rest, row.op.stop, self.eos_token_ids, self.tokenizer)
        del row.sampled[thought + len(answer) :], row.logprobs[thought + len(answer) :]
        row.done = True

    def pop_finished(self) -> list[Output]:
        """Return the requests all of whose rows are done, and forget them."""
        outputs = []
        for request_id, rows in list(self._rows.items()):
            error = next((row.error for row in rows if row.error), None)
            if error or all(row.done for row in rows):
                self.abort(request_id)
                outputs.append(Output(request_id, error or tuple(map(self._complete, rows))))
        return outputs

    def _complete(self, row: BatchRow) -> Completion:
        sampled, rest = tuple(row.sampled), tuple(row.sampled[row.num_thinking :])
        answer = complete(rest, row.op.stop, self.eos_token_ids, self.tokenizer)
        ids, told = sampled[: row.num_thinking] + answer.token_ids, tuple(row.logprobs)
        return Completion(ids, sampled, answer.finish_reason, answer.stop, told, row.counts)
