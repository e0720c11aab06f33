"""Plain greedy generation with transformers, for comparison, and engines run to their end."""

import torch
from transformers import GenerationConfig

from lm_eval_tts.core.program import Completion, Generate, TokenIds


def generate_alone(model, ids: TokenIds, max_new_tokens: int) -> TokenIds:
    """Plain greedy `generate` of one unpadded row, its end of turn included."""
    config = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=0, pad_token_id=0
    )
    with torch.inference_mode():
        out = model.generate(
            torch.tensor([ids]), generation_config=config, attention_mask=torch.ones(1, len(ids))
        )
    return tuple(out[0, len(ids) :].tolist())


def complete_all(engine, ops: list[Generate], seed: int = 99) -> list[tuple[Completion, ...]]:
    """Add all ops at once, step to the end, and return their completions in order."""
    for index, op in enumerate(ops):
        engine.add_request(index, op, seed + index)
    results = {}
    while engine.num_unfinished:
        results.update({output.request_id: output.result for output in engine.step()})
    return [results[index] for index in range(len(ops))]
