"""Logits to tokens: greedy, or by one uniform number per token; every row on its own.

The distribution is that of transformers' logits warpers in their order (repetition penalty,
temperature, top_k, top_p, min_p), which a test compares; frequency and presence penalties are
OpenAI's. All rows of a batch are drawn in one pass whatever their settings, no number is fetched
from the device on the way, and nothing is float64, which some devices do not have."""

from collections.abc import Sequence

import torch

from lm_eval_tts.core.program import TokenLogprob
from lm_eval_tts.engines.hf.history import Draw, History
from lm_eval_tts.engines.hf.transfer import Numbers, Parcel
from lm_eval_tts.engines.requests import BatchRow, Requests
from lm_eval_tts.errors import RequestError

HEAD = 1024  # likeliest tokens that are sorted for top_p, where these hold it
Choice = tuple[int, TokenLogprob | None]  # a token for a row, and how sure it was
NOT_A_NUMBER = -1  # a token for logits that choose none


class Sampler:
    """Draws for rows that come and go; keeps on the device what penalties need of them."""

    def __init__(self) -> None:
        self._history = History()
        self._wide = True  # nuclei are sought among all tokens, since one was wider than HEAD

    def pack(self, draws: Sequence[Draw], parcel: Parcel) -> None:
        """Put into a step's parcel what `draw` needs of these rows."""
        settings = [draw.sampling for draw in draws]
        hot = [s for s in settings if s.temperature]
        if hot:
            parcel.put_fractions("uniform", [draw.number for draw in draws])
            parcel.put_fractions("temperature", [s.temperature or 1.0 for s in settings])
        if len(hot) < len(settings):
            parcel.put("greedy", [s.temperature == 0 for s in settings])
        if any(s.top_k for s in hot):
            parcel.put("top_k", [s.top_k for s in settings])
        if any(s.top_p < 1 for s in hot):
            parcel.put_fractions("top_p", [s.top_p if s.temperature else 1.0 for s in settings])
        if any(s.min_p for s in hot):
            parcel.put_fractions("min_p", [s.min_p for s in settings])
        if banned := [(i, token) for i, draw in enumerate(draws) for token in draw.banned]:
            parcel.put("banned", [number for pair in banned for number in pair], len(banned), 2)
        self._history.pack(draws, parcel)

    def sample(self, logits: torch.Tensor, draws: Sequence[Draw]) -> list[Choice]:
        """Pack and draw at once."""
        parcel = Parcel()
        self.pack(draws, parcel)
        return self.draw(logits, draws, parcel.send(logits.device))

    def draw(self, logits: torch.Tensor, draws: Sequence[Draw], numbers: Numbers) -> list[Choice]:
        """Return the next token of each row, with its log-probabilities if any row asks for them.
        The token is `NOT_A_NUMBER` where the largest of a row's logits is none or not finite.
        logits: [rows, vocabulary]; numbers: the parcel of `pack`, on their device. All that is
        returned comes from the device in one copy; once more where nuclei become wide."""
        logits, asked = logits.float(), [d.logprobs for d in draws if d.logprobs is not None]
        with self._history.penalizing(logits, numbers):
            allowed = logits
            if "banned" in numbers:
                never = torch.full_like(numbers["banned"][:, 0], -torch.inf, dtype=logits.dtype)
                allowed = logits.index_put(tuple(numbers["banned"].T), never)
            tokens, is_wide = self._choose(allowed, draws, numbers)
        tokens = torch.where(logits.amax(dim=-1).isfinite(), tokens, NOT_A_NUMBER)
        columns = [tokens[:, None], is_wide[:, None]]
        if asked:
            columns.append(_logprobs(logits, tokens, max(asked)).view(torch.int32))
        rows = torch.cat([column.int() for column in columns], dim=1).cpu()
        was_wide, self._wide = self._wide, bool(rows[:, 1].any())
        if self._wide and not was_wide:
            return self.draw(logits, draws, numbers)
        found: list[int] = rows[:, 0].tolist()
        if not asked:
            return [(token, None) for token in found]
        told = rows[:, 2:].view(torch.float32).tolist()
        return [
            (token, TokenLogprob(own, tuple(top), mean=mean))
            for token, (own, mean, *top) in zip(found, told, strict=True)
        ]

    def draw_again(
        self, choices: list[Choice], logits: torch.Tensor, rows: Sequence[BatchRow], known: Requests
    ) -> None:
        """Replace the choices that would end a row among its `min_tokens`. Masking one drawn token
        after the other gives the distribution without all of them."""
        draws: dict[int, Draw] = {}
        while early := [
            i
            for i, (row, (token, _)) in enumerate(zip(rows, choices, strict=True))
            if token != NOT_A_NUMBER and known.ends_early(row, token)
        ]:
            for i in early:
                draw = draws.get(i) or Draw.of(rows[i])
                draws[i] = draw._replace(banned=(*draw.banned, choices[i][0]))
            redrawn = self.sample(logits[early], [draws[i] for i in early])
            for i, choice in zip(early, redrawn, strict=True):
                choices[i] = choice

    def _choose(
        self, logits: torch.Tensor, draws: Sequence[Draw], numbers: Numbers
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens [rows], and in which rows the nucleus is wider than `HEAD`."""
        if "temperature" not in numbers:
            return logits.argmax(dim=-1), torch.zeros_like(logits[:, 0], dtype=torch.bool)
        probabilities = (logits / numbers["temperature"][:, None]).softmax(dim=-1)
        sizes = [d.sampling.top_k for d in draws if d.sampling.temperature]
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


def sample(logits: torch.Tensor, draws: Sequence[Draw]) -> list[Choice]:
    """Draw once, as `Sampler.draw` does."""
    return Sampler().sample(logits, draws)


def note_sampled(rows: Sequence[BatchRow], choices: Sequence[Choice], requests: Requests) -> None:
    """Append what was drawn to the rows that are not done. A row whose logits are not numbers
    fails, and the others go on."""
    for row, (token, logprob) in zip(rows, choices, strict=True):
        if not row.done and token != NOT_A_NUMBER:
            requests.sampled(row, token, logprob)
        elif not row.done:
            reason = f"the model's logits are not numbers after {len(row.ids)} tokens"
            requests.fail(row, RequestError(reason))
