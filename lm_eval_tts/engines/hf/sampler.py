"""Logits to tokens: greedy, or by one uniform number per token; every row on its own.

The distribution is that of transformers' logits warpers in their order (repetition penalty,
temperature, top_k, top_p, min_p), which a test compares; frequency and presence penalties are
OpenAI's. All rows of a batch are drawn in one pass whatever their settings, no number is fetched
from the device on the way, and nothing is float64, which some devices do not have."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from lm_eval_tts.core.program import TokenLogprob
from lm_eval_tts.engines.hf.transfer import Numbers, Parcel
from lm_eval_tts.engines.requests import BatchRow, RowEngine, uniform
from lm_eval_tts.errors import RequestError

HEAD = 1024  # likeliest tokens that are sorted for top_p, where these hold it
Choice = tuple[int, TokenLogprob | None]  # a token for a row, and how sure it was
NOT_A_NUMBER = -1  # a token for logits that choose none
BELOW_ONE = 1 - 2**-23  # float32 times it is below the factor, so a draw is below the whole mass
ROOM = 256  # tokens; the memory of a row grows in steps of these
# Settings, and where each is off.
_FILTERS = {"top_k": 0, "top_p": 1, "min_p": 0}
_PENALTIES = {"repetition_penalty": 1, "frequency_penalty": 0, "presence_penalty": 0}


class Sampler:
    """Draws for rows that come and go; keeps on the device what penalties need of them."""

    def __init__(self) -> None:
        self._wide = True  # nuclei are sought among all tokens, since one was wider than HEAD
        self._known: dict[int, tuple[BatchRow, int]] = {}  # whose ids are there, and how many
        self._shape = (0, 0)
        self._tokens = torch.zeros(0, 0, dtype=torch.long)  # ids of rows with penalties

    def pack(self, rows: Sequence[BatchRow], parcel: Parcel) -> None:
        """Put into a step's parcel what `draw` needs of these rows."""
        settings = [row.op.sampling for row in rows]
        hot = [s for s in settings if s.temperature]
        if hot:
            parcel.put("uniform", map(_number, rows), fractions=True)
            parcel.put("temperature", [s.temperature or 1.0 for s in settings], fractions=True)
        if len(hot) < len(settings):
            parcel.put("greedy", [s.temperature == 0 for s in settings])
        for name, off in _FILTERS.items():
            if any(getattr(s, name) != off for s in hot):
                values = [getattr(s, name) if s.temperature else off for s in settings]
                parcel.put(name, values, fractions=name != "top_k")
        if banned := [(i, token) for i, row in enumerate(rows) for token in row.banned]:
            parcel.put("banned", [number for pair in banned for number in pair], len(banned), 2)
        self._pack_history(rows, parcel)

    def sample(self, logits: torch.Tensor, rows: Sequence[BatchRow]) -> list[Choice]:
        """Pack and draw at once."""
        parcel = Parcel()
        self.pack(rows, parcel)
        return self.draw(logits, rows, parcel.send(logits.device))

    def draw(
        self, logits: torch.Tensor, rows: Sequence[BatchRow], numbers: Numbers
    ) -> list[Choice]:
        """Return the next token of each row, with its log-probabilities if any row asks for them.
        The token is `NOT_A_NUMBER` where the largest of a row's logits is none or not finite.
        logits: [rows, vocabulary]; numbers: the parcel of `pack`, on their device. All that is
        returned comes from the device in one copy; once more where nuclei become wide."""
        logits = logits.float()
        asked = [row.op.logprobs for row in rows if row.op.logprobs is not None]
        with self._penalizing(logits, numbers):
            allowed = logits
            if "banned" in numbers:
                never = torch.full_like(numbers["banned"][:, 0], -torch.inf, dtype=logits.dtype)
                allowed = logits.index_put(tuple(numbers["banned"].T), never)
            tokens, is_wide = self._choose(allowed, rows, numbers)
        tokens = torch.where(logits.amax(dim=-1).isfinite(), tokens, NOT_A_NUMBER)
        columns = [tokens[:, None], is_wide[:, None]]
        if asked:
            columns.append(_logprobs(logits, tokens, max(asked)).view(torch.int32))
        told = torch.cat([column.int() for column in columns], dim=1).cpu()
        was_wide, self._wide = self._wide, bool(told[:, 1].any())
        if self._wide and not was_wide:
            return self.draw(logits, rows, numbers)
        found: list[int] = told[:, 0].tolist()
        if not asked:
            return [(token, None) for token in found]
        sure = told[:, 2:].view(torch.float32).tolist()
        logprobs = [TokenLogprob(own, tuple(top), mean) for own, mean, *top in sure]
        return list(zip(found, logprobs, strict=True))

    def note(
        self,
        choices: list[Choice],
        logits: torch.Tensor,
        rows: Sequence[BatchRow],
        engine: RowEngine,
    ) -> None:
        """Append what was drawn to the rows that are not done; what would end a row among its
        `min_tokens` is drawn again. Masking one drawn token after the other gives the distribution
        without all of them. A row whose logits are not numbers fails."""
        while early := [
            i
            for i, (row, (token, _)) in enumerate(zip(rows, choices, strict=True))
            if token != NOT_A_NUMBER and engine.ends_early(row, token)
        ]:
            for i in early:
                rows[i].banned += (choices[i][0],)
            redrawn = self.sample(logits[early], [rows[i] for i in early])
            for i, choice in zip(early, redrawn, strict=True):
                choices[i] = choice
        for row, (token, logprob) in zip(rows, choices, strict=True):
            row.banned = ()
            if not row.done and token != NOT_A_NUMBER:
                engine.sampled(row, token, logprob)
            elif not row.done:
                reason = f"the model's logits are not numbers after {len(row.ids)} tokens"
                engine.fail(row, RequestError(reason))

    def _choose(
        self, logits: torch.Tensor, rows: Sequence[BatchRow], numbers: Numbers
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens [rows], and in which rows the nucleus is wider than `HEAD`."""
        if "temperature" not in numbers:
            return logits.argmax(dim=-1), torch.zeros_like(logits[:, 0], dtype=torch.bool)
        probabilities = (logits / numbers["temperature"][:, None]).softmax(dim=-1)
        sizes = [row.op.sampling.top_k for row in rows if row.op.sampling.temperature]
        if "top_p" in numbers:
            sizes.append(logits.shape[1] if self._wide else HEAD)
        size = min(max(sizes), logits.shape[1])
        probabilities, is_wide = _filtered(probabilities, size, numbers)
        cumulative = probabilities.cumsum(dim=-1)
        target = numbers["uniform"][:, None] * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, target, right=True)[:, 0]
        drawn = drawn.clamp_(max=logits.shape[1] - 1)
        if "greedy" in numbers:
            drawn = torch.where(numbers["greedy"] > 0, logits.argmax(dim=-1), drawn)
        return drawn, is_wide

    def _pack_history(self, rows: Sequence[BatchRow], parcel: Parcel) -> None:
        """Put into a step's parcel what is new of the rows that have penalties: the ids that each
        has stay on the device."""
        indices = [
            i
            for i, row in enumerate(rows)
            if any(getattr(row.op.sampling, name) != off for name, off in _PENALTIES.items())
        ]
        if not indices:
            return
        rows = [rows[i] for i in indices]
        settings, lengths = [row.op.sampling for row in rows], [len(row.ids) for row in rows]
        parcel.put("penalized", indices)
        parcel.put("written", lengths)
        parcel.put("prompt", [len(row.ids) - len(row.sampled) for row in rows])
        for name in _PENALTIES:
            parcel.put(name, [getattr(s, name) for s in settings], fractions=True)
        if any(s.frequency_penalty or s.presence_penalty for s in settings):
            parcel.put("counting", [1])
        if len(rows) > self._shape[0] or max(lengths) > self._shape[1]:
            self._shape = max(len(rows), self._shape[0]), -(-max(lengths) // ROOM) * ROOM
            self._known = {}  # all are copied to the larger memory anew
        at: list[int] = []
        new: list[int] = []
        for place, row in enumerate(rows):
            other, count = self._known.get(place, (None, 0))
            first, start = place * self._shape[1], count if other is row else 0
            self._known[place] = row, len(row.ids)
            at += range(first + start, first + len(row.ids))
            new += row.ids[start:]
        parcel.put("at", at)
        parcel.put("new", new)

    @contextmanager
    def _penalizing(self, logits: torch.Tensor, numbers: Numbers) -> Iterator[None]:
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
        ids = self._tokens[: len(numbers["penalized"])]
        place = torch.arange(ids.shape[1], device=logits.device)
        written = place < numbers["written"][:, None]
        ids = torch.where(written, ids, ids[:, :1])  # ids that stand twice change nothing
        rows, factor = numbers["penalized"][:, None], numbers["repetition_penalty"][:, None]
        plain = logits[rows, ids]
        scores = torch.where(plain < 0, plain * factor, plain / factor)
        if "counting" in numbers:
            sampled = (written & (place >= numbers["prompt"][:, None])).float()
            tally = torch.zeros_like(logits[: len(ids)]).scatter_add_(1, ids, sampled)
            counts = tally.gather(1, ids)
            scores = scores - numbers["frequency_penalty"][:, None] * counts
            scores = scores - numbers["presence_penalty"][:, None] * (counts > 0)
        logits[rows, ids] = scores
        try:
            yield
        finally:
            logits[rows, ids] = plain


def _number(row: BatchRow) -> float:
    """Return the uniform number of a row's next token, another for each that was masked."""
    return min(uniform(row.seed, len(row.sampled) + (len(row.banned) << 32)), BELOW_ONE)


def _filtered(
    probabilities: torch.Tensor, size: int, numbers: Numbers
) -> tuple[torch.Tensor, torch.Tensor]:
    """Zero what top_k, top_p and min_p leave out; rows need not sum to 1 afterwards.
    size: likeliest tokens to sort, at least the largest top_k. Also returns in which rows the
    nucleus of top_p holds more than `HEAD` tokens, and may end past those that were sorted."""
    is_wide = torch.zeros_like(probabilities[:, 0], dtype=torch.bool)
    head = probabilities.topk(size, dim=-1).values if size else probabilities
    if "top_k" in numbers:
        top_k = numbers["top_k"][:, None]
        least = head.gather(1, top_k.clamp(1, size) - 1).masked_fill(top_k == 0, 0.0)
        probabilities = probabilities * (probabilities >= least)
        head = head * (head >= least)
    if "top_p" in numbers:
        top_p = numbers["top_p"][:, None]
        mass = top_p * probabilities.sum(dim=-1, keepdim=True)
        inside = (head.cumsum(dim=-1) - head < mass) & (top_p < 1)
        last = inside.sum(dim=-1, keepdim=True).clamp_(min=1) - 1
        least = head.gather(1, last).masked_fill(top_p == 1, 0.0)
        probabilities = probabilities * (probabilities >= least)
        if probabilities.shape[1] > HEAD:
            is_wide = inside[:, HEAD - 1]
    if "min_p" in numbers:
        most = probabilities.amax(dim=-1, keepdim=True)
        probabilities = probabilities * (probabilities >= numbers["min_p"][:, None] * most)
    return probabilities, is_wide


def _logprobs(logits: torch.Tensor, tokens: torch.Tensor, top: int) -> torch.Tensor:
    """Return the log-probabilities of tokens, their mean and the largest ones, [rows, 2 + top]."""
    logprobs = logits.log_softmax(dim=-1)
    chosen = logprobs.gather(1, tokens.clamp(min=0)[:, None])
    mean = logprobs.mean(dim=-1, keepdim=True)
    largest = logprobs.topk(min(top, logprobs.shape[1]), dim=-1).values
    return torch.cat([chosen, mean, largest], dim=1)
