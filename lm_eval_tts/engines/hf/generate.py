"""The exact path for every decoder: `model.generate`, one static batch a step.

A step takes the requests that wait, up to `max_num_seqs` sequences, and decodes them to their ends.
Prompts are padded on the left and prefilled anew each time. What a row samples depends only on its
own ids and seed, up to the floating-point differences of batched kernels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.generation import LogitsProcessor, LogitsProcessorList
from typing_extensions import Unpack

from lm_eval_tts.core.engine import Output
from lm_eval_tts.engines.hf.attention import forget_lengths
from lm_eval_tts.engines.hf.history import Draw
from lm_eval_tts.engines.hf.memory import HalvingEngine, is_out_of_memory
from lm_eval_tts.engines.hf.probe import pad_left
from lm_eval_tts.engines.hf.sampler import Sampler, note_sampled
from lm_eval_tts.engines.hf.slot_model import input_device
from lm_eval_tts.engines.requests import BatchRow, Limits, Requests, take
from lm_eval_tts.engines.tokenizer import Tokenizer


class GenerateEngine(HalvingEngine):
    """What `tts-hf` falls back to where a model cannot run on slots.
    model: a decoder-only transformers (or PEFT) model."""

    def __init__(self, model: Any, tokenizer: Tokenizer, **limits: Unpack[Limits]) -> None:
        super().__init__(tokenizer, **limits)
        self._model = model
        self._pad = next(iter(limits["eos_token_ids"]), 0)

    def step(self) -> list[Output]:
        """Decode one batch to its end and return the requests that finished with it."""
        batch = take(self._requests.queue, self.max_num_seqs)
        try:
            if batch:
                self._decode(batch)
            return self._requests.pop_finished()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        rows = [row for row in batch if not row.done]
        for row in rows if self.max_num_seqs > 1 else ():
            row.restart()
        self._halve(rows)
        return self._requests.pop_finished()

    def _decode(self, batch: list[BatchRow]) -> None:
        input_ids, attention_mask = pad_left([r.op.token_ids for r in batch], self._pad)
        device = input_device(self._model)
        forget_lengths(self._model)
        with torch.inference_mode(), _own_generation_config(self._model, self._pad):
            self._model.generate(
                input_ids=input_ids.to(device),
                attention_mask=attention_mask.to(device),
                max_new_tokens=max(row.max_tokens for row in batch),
                do_sample=False,  # _RowSampler has drawn: only its choice is left to pick
                logits_processor=LogitsProcessorList([_RowSampler(batch, self._requests)]),
                stopping_criteria=StoppingCriteriaList([_RowStops(batch)]),
            )


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

    def __init__(self, batch: list[BatchRow], requests: Requests) -> None:
        self._batch = batch
        self._requests = requests
        self._sampler = Sampler()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        choices = self._sampler.sample(scores, [Draw.of(row) for row in self._batch])
        self._sampler.draw_again(choices, scores, self._batch, self._requests)
        note_sampled(self._batch, choices, self._requests)
        tokens = torch.tensor([[max(token, 0)] for token, _ in choices], device=scores.device)
        return torch.full_like(scores, -torch.inf).scatter(1, tokens, 0.0)


class _RowStops(StoppingCriteria):
    """Ends each row for itself."""

    def __init__(self, batch: list[BatchRow]) -> None:
        self._batch = batch

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.tensor([row.done for row in self._batch], device=input_ids.device)
