"""The exact path for every decoder: `model.generate`, one static batch a step.

A step takes the requests that wait, up to `max_num_seqs` sequences, and decodes them to their ends.
Prompts are padded on the left and prefilled anew each time. What a row samples depends only on its
own ids and seed, up to the floating-point differences of batched kernels.

Local windows of a model's own and states that padding goes through make padded batches wrong, which
probes find out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteriaList
from transformers.generation import LogitsProcessorList
from typing_extensions import Unpack

from lm_eval_tts.engines.hf.attention import forget_lengths
from lm_eval_tts.engines.hf.memory import HalvingEngine
from lm_eval_tts.engines.hf.sampler import Sampler
from lm_eval_tts.engines.hf.slot_model import NEW_TOKENS, distance, input_device, probe_texts
from lm_eval_tts.engines.requests import Limits
from lm_eval_tts.engines.tokenizer import Tokenizer


class GenerateEngine(HalvingEngine):
    """What `tts-hf` falls back to where a model cannot run on slots.
    model: a decoder-only transformers (or PEFT) model."""

    def __init__(self, model: Any, tokenizer: Tokenizer, **limits: Unpack[Limits]) -> None:
        super().__init__(tokenizer, **limits)
        self._model = model
        self._pad = next(iter(limits["eos_token_ids"]), 0)

    def _advance(self) -> None:
        if not (batch := self.take(self.max_num_seqs)):
            return
        sampler, device = Sampler(), input_device(self._model)

        def choose(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            """Draw each row's token by its own settings, seed and step; leave only that one."""
            choices = sampler.sample(scores, batch)
            sampler.note(choices, scores, batch, self)
            tokens = torch.tensor([[max(token, 0)] for token, _ in choices], device=scores.device)
            return torch.full_like(scores, -torch.inf).scatter(1, tokens, 0.0)

        def ended(input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
            """Say which rows have ended, each for itself."""
            return torch.tensor([row.done for row in batch], device=input_ids.device)

        input_ids, attention_mask = pad_left([row.ids for row in batch], self._pad)
        forget_lengths(self._model)
        with _own_generation_config(self._model, self._pad):
            self._model.generate(
                input_ids=input_ids.to(device),
                attention_mask=attention_mask.to(device),
                max_new_tokens=max(row.max_tokens - len(row.sampled) for row in batch),
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


def probe_padding(model: Any, pad: int, max_length: int) -> float:
    """Return how far the logits of `generate` are from lone rows if rows are padded on the left."""
    rows = probe_texts(model, max_length)
    together = _generated(model, rows, pad)
    differences = []
    for row, ids in enumerate(rows):
        (logits, tokens), (all_logits, all_tokens) = _generated(model, [ids], pad), together
        for step in range(NEW_TOKENS):
            differences.append(distance(all_logits[step][row], logits[step][0]))
            if all_tokens[row, step] != tokens[0, step]:
                break  # what follows is another text
    return max(differences)


def probe_generate(model: Any, max_length: int) -> float:
    """Return how far the logits of `generate`, past all windows, are from a forward of the whole.
    Its cache keeps what the config's windows leave, also where the architecture ignores them."""
    longest = probe_texts(model, max_length)[-1]
    logits, tokens = _generated(model, [longest], pad=0)
    ids = torch.cat([torch.tensor([longest], device=tokens.device), tokens], dim=1)
    with torch.inference_mode():
        whole = model(ids, use_cache=False, logits_to_keep=NEW_TOKENS + 1).logits[0]
    return max(distance(logits[step][0], whole[step]) for step in range(NEW_TOKENS))


def pad_left(prompts: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask, both [batch, longest prompt]."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts])
    return ids, torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])


def _generated(model: Any, rows: Sequence[Sequence[int]], pad: int) -> tuple[Any, torch.Tensor]:
    """Return the logits of each new token and the new tokens [rows, `NEW_TOKENS`]."""
    ids, mask = pad_left(rows, pad)
    ends = {"max_new_tokens": NEW_TOKENS, "pad_token_id": pad, "eos_token_id": []}
    returned = {"output_logits": True, "return_dict_in_generate": True}
    config = GenerationConfig(do_sample=False, **ends, **returned)
    ids, mask = ids.to(input_device(model)), mask.to(input_device(model))
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    return out.logits, out.sequences[:, ids.shape[1] :]
