"""A deterministic engine without a model, for tests and for people who write strategies.

It keeps the whole engine contract (stops across tokens, exact cuts, limits, seeds, one token a
step for each request under way), and what the "model" writes is a Python function:

    engine = ScriptedEngine(lambda text, seed: "2+2=4</think>The answer is 4.")
    for result in scheduler.run([Job(strategy(request), seed=0)], engine): ...
"""

from collections.abc import Callable, Sequence

from lm_eval_tts.core.engine import Output
from lm_eval_tts.core.program import TokenLogprob
from lm_eval_tts.engines.requests import BatchRow, RowEngine, uniform
from lm_eval_tts.engines.tokenizer import ByteTokenizer, Tokenizer
from lm_eval_tts.errors import RequestError

EOS = 256  # one more than the last byte
SECOND_CHOICE = "."  # what is written in place of an ending that is masked
Writer = Callable[[str, int | None], str]


def babble(text: str, seed: int | None) -> str:
    """Write pseudo-random words that depend only on the text before them and the seed. Each
    character depends on all before it, so a continuation is the same in one piece or in two."""
    alphabet = "abcdefgh ijklm.nopq\n"
    written = ""
    while len(written) < 64:
        state = hash_text(text + written)
        written += alphabet[int(uniform(seed or 0, state) * len(alphabet))]
    return written


def hash_text(text: str) -> int:
    """Return a 31-bit hash of a text, the same in every process."""
    value = 0
    for byte in text.encode():
        value = (value * 31 + byte + 7) & 0x7FFFFFFF
    return value


class ScriptedEngine(RowEngine):
    """Continues a text by what `write(text, seed)` returns, then ends the turn.
    write: `seed` is None when decoding is greedy. eos: without it, a script that runs out goes on
    with what `write` says to the longer text (as `babble` needs)."""

    def __init__(
        self,
        write: Writer = babble,
        *,
        tokenizer: Tokenizer | None = None,
        max_length: int = 4096,
        max_num_seqs: int = 8,
        eos: bool = True,
        eos_token_id: int = EOS,
    ) -> None:
        limits = {"max_length": max_length, "max_num_seqs": max_num_seqs}
        super().__init__(tokenizer or ByteTokenizer(), eos_token_ids=[eos_token_id], **limits)
        self.num_steps = 0
        self._write = write
        self._ends = (eos_token_id,) if eos else ()
        self._scripts: dict[BatchRow, list[int]] = {}  # what is left to write

    def _script(self, row: BatchRow) -> Sequence[int]:
        seed = row.seed if row.op.sampling.temperature else None
        written = self._write(self.tokenizer.decode(row.ids), seed)
        return (*self.tokenizer.encode(written), *self._ends)

    def step(self) -> list[Output]:
        """Sample one token for each of the first `max_num_seqs` sequences under way."""
        self.num_steps += 1
        rows = [row for rows in self._rows.values() for row in rows if not row.done]
        for row in rows[: self.max_num_seqs]:
            try:
                token, *rest = self._scripts.pop(row, None) or self._script(row)
            except RequestError as error:
                self.fail(row, error)
                continue
            if self.ends_early(row, token):
                (token,), rest = self.tokenizer.encode(SECOND_CHOICE), []
            logprob = None if row.op.logprobs is None else _logprob(row, token)
            self.sampled(row, token, logprob)
            if not row.done:
                self._scripts[row] = rest
        return self.pop_finished()


def _logprob(row: BatchRow, token: int) -> TokenLogprob:
    """Return made-up log-probabilities that depend on the text before a token and on itself."""
    sure = uniform(hash_text(repr(row.ids)), token)
    return TokenLogprob(-sure, tuple(-sure - k for k in range(row.op.logprobs or 0)), -9.0 - sure)


def failing(message: str) -> Writer:
    """Return a writer that fails every request, to test how a strategy takes it."""

    def write(text: str, seed: int | None) -> str:
        raise RequestError(message)

    return write
