"""The exact path for every decoder: `model.generate`, one static batch a step.

A step takes the requests that wait, up to `max_num_seqs` sequences, and decodes them to their ends.
Prompts are padded on the left and prefilled anew each time. What a row samples depends only on its
own ids and seed, up to the floating-point differences of batched kernels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteriaList
from transformers.generation import LogitsProcessorList
from typing_extensions import Unpack

from lm_eval_tts.core.engine import Output
from lm_eval_tts.engines.hf.attention import forget_lengths
from lm_eval_tts.engines.hf.memory import HalvingEngine, is_out_of_memory
from lm_eval_tts.engines.hf.probe import pad_left
from lm_eval_tts.engines.hf.sampler import Sampler, note_sampled
from lm_eval_tts.engines.hf.slot_model import input_device
from lm_eval_tts.engines.requests import BatchRow, Limits
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
        batch = self.take(self.max_num_seqs)
        try:
            if batch:
                self._decode(batch)
            return self.pop_finished()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        rows = [row for row in batch if not row.done]
        for row in rows if self.max_num_seqs > 1 else ():
            row.restart()
        self._halve(rows)
        return self.pop_finished()

    def _decode(self, batch: list[BatchRow]) -> None:
        sampler, device = Sampler(), input_device(self._model)

        def choose(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            """Draw each row's token by its own settings, seed and step; leave only that one."""
            choices = sampler.sample(scores, batch)
            sampler.draw_again(choices, scores, batch, self)
            note_sampled(batch, choices, self)
            tokens = torch.tensor([[max(token, 0)] for token, _ in choices], device=scores.device)
            return torch.full_like(scores, -torch.inf).scatter(1, tokens, 0.0)

        def ended(input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
            """Say which rows have ended, each for itself."""
            return torch.tensor([row.done for row in batch], device=input_ids.device)

        input_ids, attention_mask = pad_left([row.op.token_ids for row in batch], self._pad)
        forget_lengths(self._model)
        with torch.inference_mode(), _own_generation_config(self._model, self._pad):
            self._model.generate(
                input_ids=input_ids.to(device),
                attention_mask=attention_mask.to(device),
                max_new_tokens=max(row.max_tokens for row in batch),
                do_sample=False,  # `choose` has drawn: only its choice is left to pick
                logits_processor=LogitsProcessorList([choose]),
                stopping_criteria=StoppingCriteriaList([ended]),
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
