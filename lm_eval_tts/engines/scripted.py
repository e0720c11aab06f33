"""A deterministic engine without a model, for tests and for people who write strategies.

It keeps the whole engine contract (stops across tokens, exact cuts, limits, seeds, one token a
step for each request under way), and what the "model" writes is a Python function:

    engine = ScriptedEngine(lambda text, seed: "2+2=4</think>The answer is 4.")
    for result in scheduler.run([Job(strategy(request), seed=0)], engine): ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lm_eval_tts.engines.base import Output, check_fits
from lm_eval_tts.engines.sampling import uniform
from lm_eval_tts.engines.stopping import complete, ends_with_stop
from lm_eval_tts.engines.tokenizer import ByteTokenizer, Tokenizer
from lm_eval_tts.errors import RequestError
from lm_eval_tts.program import Completion, Generate, TokenIds

EOS = 256  # one more than the last byte
Writer = Callable[[str, int | None], str]


def babble(text: str, seed: int | None) -> str:
    """Write pseudo-random words that depend only on the text before them and the seed.

    Each character depends on all before it, so a continuation is the same in one piece or in two.
    """
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


@dataclass(slots=True)
class _Sample:
    script: TokenIds
    stop: tuple[str, ...]
    max_tokens: int
    num_sampled: int = 0
    done: bool = False

    @property
    def sampled_ids(self) -> TokenIds:
        return self.script[: self.num_sampled]


class ScriptedEngine:
    """Continues a text by what `write(text, seed)` returns, then ends the turn.

    write: `seed` is None when decoding is greedy. eos: without it, a script that runs out goes on
    with what `write` says to the longer text (as `babble` needs).
    """

    def __init__(
        self,
        write: Writer = babble,
        *,
        tokenizer: Tokenizer | None = None,
        max_length: int = 4096,
        max_num_seqs: int = 8,
        eos: bool = True,
    ) -> None:
        self.tokenizer = tokenizer or ByteTokenizer()
        self.max_length = max_length
        self.max_num_seqs = max_num_seqs
        self.num_steps = 0
        self._write = write
        self._eos = eos
        self._requests: dict[int, list[_Sample]] = {}

    @property
    def num_unfinished(self) -> int:
        """Sequences added and not yet returned or aborted."""
        return sum(len(samples) for samples in self._requests.values())

    def add_request(self, request_id: int, op: Generate, seed: int) -> None:
        """Queue an op. Raises RequestError if its prompt leaves no room for a token."""
        check_fits(op, self.max_length)
        limit = min(op.max_tokens, self.max_length - len(op.token_ids))
        greedy = op.sampling.temperature == 0
        self._requests[request_id] = [
            _Sample(self._script(op, None if greedy else seed + k, limit), op.stop, limit)
            for k in range(op.n)
        ]

    def _script(self, op: Generate, seed: int | None, limit: int) -> TokenIds:
        text = self.tokenizer.decode(op.token_ids)
        script = self.tokenizer.encode(self._write(text, seed))
        if self._eos:
            return (*script, EOS)
        while len(script) < limit:
            script += self.tokenizer.encode(self._write(text + self.tokenizer.decode(script), seed))
        return script

    def step(self) -> list[Output]:
        """Sample one token for each of the first `max_num_seqs` sequences under way."""
        self.num_steps += 1
        running = [s for samples in self._requests.values() for s in samples if not s.done]
        for sample in running[: self.max_num_seqs]:
            self._advance(sample)
        done = [i for i, samples in self._requests.items() if all(s.done for s in samples)]
        return [Output(i, self._completions(self._requests.pop(i))) for i in done]

    def _advance(self, sample: _Sample) -> None:
        sample.num_sampled += 1
        ids = sample.sampled_ids
        sample.done = (
            ids[-1] == EOS
            or len(ids) >= sample.max_tokens
            or ends_with_stop(ids, sample.stop, self.tokenizer)
        )

    def _completions(self, samples: list[_Sample]) -> tuple[Completion, ...]:
        eos = frozenset({EOS})
        return tuple(complete(s.sampled_ids, s.stop, eos, self.tokenizer) for s in samples)

    def abort(self, request_id: int) -> None:
        """Drop a request; unknown ids are ignored."""
        self._requests.pop(request_id, None)


def failing(message: str) -> Writer:
    """Return a writer that fails every request, to test how a strategy takes it."""

    def write(text: str, seed: int | None) -> str:
        raise RequestError(message)

    return write
