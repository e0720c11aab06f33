"""The exact path for every decoder: `model.generate`, one static batch a step.

A step takes the requests that wait, up to `max_num_seqs` sequences, and decodes them to their ends.
Prompts are padded on the left and prefilled anew each time. What a row samples depends on its own
ids and seed alone, up to the floating-point differences of batched kernels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from lm_eval_tts.engines.base import Output, check_fits
from lm_eval_tts.engines.sampler import Draw, draw_tokens
from lm_eval_tts.engines.stopping import complete, ends_with_stop
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.program import Completion, Generate


@dataclass(slots=True, eq=False)
class _Row:
    """One sequence of a batch."""

    op: Generate
    seed: int
    max_tokens: int
    sampled: list[int] = field(default_factory=list)
    done: bool = False


class GenerateEngine:
    """What `tts-hf` falls back to where a model cannot run on slots.

    model: a decoder-only transformers (or PEFT) model. max_length: its context in tokens.
    max_num_seqs: rows in a batch. eos_token_ids: ids that end the turn.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        eos_token_ids: Sequence[int],
        max_length: int,
        max_num_seqs: int,
    ) -> None:
        self.max_length = max_length
        self.max_num_seqs = max_num_seqs
        self._model = model
        self._tokenizer = tokenizer
        self._eos = frozenset(eos_token_ids)
        self._pad = next(iter(self._eos), 0)
        self._requests: dict[int, list[_Row]] = {}
        self._queue: deque[_Row] = deque()

    @property
    def num_unfinished(self) -> int:
        """Sequences added and not yet returned or aborted."""
        return sum(len(rows) for rows in self._requests.values())

    def add_request(self, request_id: int, op: Generate, seed: int) -> None:
        """Queue an op. Raises RequestError if its prompt leaves no room for a token."""
        check_fits(op, self.max_length)
        limit = min(op.max_tokens, self.max_length - len(op.token_ids))
        rows = [_Row(op, seed + k, limit) for k in range(op.n)]
        self._requests[request_id] = rows
        self._queue.extend(rows)

    def abort(self, request_id: int) -> None:
        """Drop a request; unknown ids are ignored."""
        for row in self._requests.pop(request_id, ()):
            if not row.done:  # what was decoded has left the queue
                self._queue.remove(row)

    def step(self) -> list[Output]:
        """Decode one batch to its end and return the requests that finished with it."""
        batch = [self._queue.popleft() for _ in range(min(self.max_num_seqs, len(self._queue)))]
        if batch:
            self._decode(batch)
        done = [i for i, rows in self._requests.items() if all(row.done for row in rows)]
        return [Output(i, self._completions(self._requests.pop(i))) for i in done]

    def _completions(self, rows: list[_Row]) -> tuple[Completion, ...]:
        return tuple(
            complete(tuple(r.sampled), r.op.stop, self._eos, self._tokenizer) for r in rows
        )

    def _decode(self, batch: list[_Row]) -> None:
        input_ids, attention_mask = _pad_left([r.op.token_ids for r in batch], self._pad)
        device = self._model.device
        with torch.inference_mode(), _own_generation_config(self._model, self._pad):
            self._model.generate(
                input_ids=input_ids.to(device),
                attention_mask=attention_mask.to(device),
                max_new_tokens=max(row.max_tokens for row in batch),
                do_sample=False,  # _RowSampler has drawn: only its choice is left to pick
                logits_processor=LogitsProcessorList([_RowSampler(batch)]),
                stopping_criteria=StoppingCriteriaList(
                    [_RowStops(batch, input_ids.shape[1], self._is_done)]
                ),
            )

    def _is_done(self, row: _Row) -> bool:
        return (
            row.sampled[-1] in self._eos
            or len(row.sampled) >= row.max_tokens
            or ends_with_stop(row.sampled, row.op.stop, self._tokenizer)
        )


def _pad_left(prompts: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask, both [batch, longest prompt]."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    return ids, mask


@contextmanager
def _own_generation_config(model: Any, pad: int) -> Iterator[None]:
    """Keep a checkpoint's generation_config.json (penalties, top_p ...) out of the measurement."""
    saved = model.generation_config
    model.generation_config = GenerationConfig(pad_token_id=pad, use_cache=True)
    try:
        yield
    finally:
        model.generation_config = saved


class _RowSampler(LogitsProcessor):
    """Draws each row's token by its own settings, seed and step, and leaves only that one."""

    def __init__(self, batch: list[_Row]) -> None:
        self._batch = batch

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        draws = [
            Draw(r.op.sampling, r.seed, len(r.sampled), [*r.op.token_ids, *r.sampled])
            for r in self._batch
        ]
        tokens = draw_tokens(scores, draws)
        return torch.full_like(scores, -torch.inf).scatter(1, tokens[:, None], 0.0)


class _RowStops(StoppingCriteria):
    """Ends each row for itself and notes what it sampled until then."""

    def __init__(self, batch: list[_Row], prompt_width: int, is_done: Any) -> None:
        self._batch = batch
        self._prompt_width = prompt_width
        self._is_done = is_done

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        for row, ids in zip(self._batch, input_ids[:, self._prompt_width :].tolist(), strict=True):
            for token in ids[len(row.sampled) :]:
                if row.done:
                    break
                row.sampled.append(token)
                row.done = self._is_done(row)
        return torch.tensor([row.done for row in self._batch], device=input_ids.device)
