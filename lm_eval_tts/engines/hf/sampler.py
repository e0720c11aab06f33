"""Logits to tokens: greedy, or by one uniform number a token; every row for itself.

The distribution is that of transformers' logits warpers in their order (repetition penalty,
temperature, top_k, top_p, min_p), which a test compares; the whole vocabulary is sorted only where
a nucleus is wider than `HEAD` tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch

from lm_eval_tts.core.program import Sampling, TokenLogprob
from lm_eval_tts.engines.requests import BatchRow, Requests
from lm_eval_tts.engines.uniform import uniform
from lm_eval_tts.errors import RequestError

HEAD = 1024
NOT_A_NUMBER = -1  # a token for logits that choose none


class Draw(NamedTuple):
    """What decides one row's next token: its settings, its seed, how many tokens it has sampled,
    and all its ids so far (for the repetition penalty). logprobs: as in `Generate`."""

    sampling: Sampling
    seed: int
    step: int
    ids: Sequence[int]
    logprobs: int | None = None

    @classmethod
    def of(cls, row: BatchRow) -> Draw:
        """Return the next draw of a row."""
        return cls(row.op.sampling, row.seed, len(row.sampled), row.ids, row.op.logprobs)


def sample(logits: torch.Tensor, draws: Sequence[Draw]) -> list[tuple[int, TokenLogprob | None]]:
    """Return the next token of each row, with its log-probabilities if any row asks for them.

    The token is `NOT_A_NUMBER` where the largest of a row's logits is none or not finite.
    logits: [rows, vocabulary]. Tokens and log-probabilities come from the device in one transfer.
    """
    tokens = draw_tokens(logits, draws)
    tokens = torch.where(logits.amax(dim=-1).isfinite(), tokens, NOT_A_NUMBER)
    asked = [draw.logprobs for draw in draws if draw.logprobs is not None]
    if not asked:
        return [(token, None) for token in tokens.tolist()]
    logprobs = logits.float().log_softmax(dim=-1)
    chosen = logprobs.gather(1, tokens.clamp(min=0)[:, None])
    top = logprobs.topk(min(max(asked), logprobs.shape[1]), dim=-1).values
    mean = logprobs.mean(dim=-1, keepdim=True)
    # float64 holds every token id exactly
    rows = torch.cat([tokens[:, None].double(), chosen, mean, top], dim=1).tolist()
    return [(int(r[0]), TokenLogprob(r[1], tuple(r[3:]), mean=r[2])) for r in rows]


def sample_rows(logits: torch.Tensor, rows: Sequence[BatchRow], requests: Requests) -> list[int]:
    """Draw the next token of each row, and append it to those that are not done; return them.

    A row whose logits are not numbers fails, and the others go on.
    """
    choices = sample(logits, [Draw.of(row) for row in rows])
    for row, (token, logprob) in zip(rows, choices, strict=True):
        if row.done:
            continue
        if token == NOT_A_NUMBER:
            reason = f"the model's logits are not numbers after {len(row.ids)} tokens"
            requests.fail(row, RequestError(reason))
        else:
            requests.sampled(row, token, logprob)
    return [token for token, _ in choices]


def draw_tokens(logits: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """Return the next token of each row, [rows]; logits: [rows, vocabulary]."""
    logits = logits.float()
    groups: dict[Sampling, list[int]] = defaultdict(list)
    for row, draw in enumerate(draws):
        groups[draw.sampling].append(row)
    if len(groups) == 1:
        return _draw_group(logits, draws)
    tokens = torch.empty(len(draws), dtype=torch.long, device=logits.device)
    for rows in groups.values():
        index = torch.tensor(rows, device=logits.device)
        tokens[index] = _draw_group(logits[index], [draws[row] for row in rows])
    return tokens


def _draw_group(logits: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """Draw rows that have the same settings."""
    sampling = draws[0].sampling
    if sampling.repetition_penalty != 1.0:
        logits = _penalized(logits, draws, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = _filtered((logits / sampling.temperature).softmax(dim=-1), sampling)
    numbers = torch.tensor([uniform(d.seed, d.step) for d in draws], dtype=torch.float64)
    cumulative = probabilities.double().cumsum(dim=-1)
    target = numbers.to(logits.device)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, target, right=True)[:, 0].clamp_(max=logits.shape[1] - 1)


def _penalized(logits: torch.Tensor, draws: Sequence[Draw], penalty: float) -> torch.Tensor:
    """Divide positive and multiply negative logits of ids that were seen (CTRL, section 4.1)."""
    logits = logits.clone()
    for row, draw in enumerate(draws):
        seen = torch.tensor(sorted(set(draw.ids)), device=logits.device)
        scores = logits[row, seen]
        logits[row, seen] = torch.where(scores < 0, scores * penalty, scores / penalty)
    return logits


def _filtered(probabilities: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Zero what top_k, top_p and min_p leave out; rows need not sum to 1 afterwards."""
    if sampling.top_k:
        least = probabilities.topk(min(sampling.top_k, probabilities.shape[1]), dim=-1).values
        probabilities = probabilities * (probabilities >= least[:, -1:])
    if sampling.top_p < 1:
        total = probabilities.sum(dim=-1, keepdim=True)
        least = _least_of_nucleus(probabilities, sampling.top_p * total)
        probabilities = probabilities * (probabilities >= least)
    if sampling.min_p > 0:
        most = probabilities.amax(dim=-1, keepdim=True)
        probabilities = probabilities * (probabilities >= sampling.min_p * most)
    return probabilities


def _least_of_nucleus(probabilities: torch.Tensor, mass: torch.Tensor) -> torch.Tensor:
    """Return the smallest probability of the fewest tokens that hold `mass`, [rows, 1]."""
    size = min(HEAD, probabilities.shape[1])
    while True:
        head = probabilities.topk(size, dim=-1).values
        before = head.cumsum(dim=-1) - head
        inside = before < mass
        if size == probabilities.shape[1] or not bool(inside.all(dim=-1).any()):
            return head.gather(1, inside.sum(dim=-1, keepdim=True).clamp_(min=1) - 1)
        size = min(size * 8, probabilities.shape[1])
