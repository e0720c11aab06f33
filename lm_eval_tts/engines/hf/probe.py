"""Whether a model is exact on slots: ragged rows against lone forwards.

Recurrent states, ALiBi from a 2-D mask, flash attention and models that look ahead cannot run on
slots; some raise, others are merely wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from lm_eval_tts.engines.hf.slot_model import SlotModel
from lm_eval_tts.engines.hf.slots import SlotTable

# Of the largest output. Kernels of other shapes round otherwise; a wrong mask is off by more.
_FLOAT32, _HALF = 1e-3, 0.1
LENGTHS = (5, 12, 23)  # tokens of the rows
PARTS = (4, 2, 1, 0)  # tokens of each row that are unseen after each forward


def is_exact(difference: float, dtype: torch.dtype) -> bool:
    """Whether what `probe` returned is no more than rounding."""
    return difference < (_FLOAT32 if dtype == torch.float32 else _HALF)


def probe(model: SlotModel, read: Callable[[Any], torch.Tensor], **kwargs: Any) -> float:
    """Return how far outputs of ragged rows are from lone forwards, relative to the largest.

    Rows of different lengths, in ragged chunks and one token at a time: what a wrong mask,
    position or cache would change. Overwrites the first slots.
    read: the model's output to [rows, tokens, size], of all tokens or of the last column alone.
    kwargs: of the model's forward on slots.
    """
    table = _rows(model)
    differences: list[float] = []
    with torch.inference_mode():
        for unseen in PARTS:
            counts = [slot.behind - unseen for slot in table.slots]
            feeds = table.feed(range(len(counts)), counts)
            have = read(model.forward(feeds, **kwargs))
            skipped = max(counts) - have.shape[1]  # of each row, if only the last column came
            for row, (slot, count) in enumerate(zip(table.slots, counts, strict=True)):
                if count > skipped:
                    seen = model.tensor([slot.ids[: slot.cached]])
                    want = read(model.model(seen, use_cache=False))[0, skipped - count :]
                    off = (have[row, : len(want)] - want).abs().max() / want.abs().max()
                    differences.append(float(off))
    return max(math.inf if math.isnan(d) else d for d in differences)


def _rows(model: SlotModel) -> SlotTable[Any]:
    """Return a table with texts of made-up tokens, nothing of which is cached."""
    vocabulary = model.model.get_input_embeddings().num_embeddings
    lengths = LENGTHS[: model.cache.num_slots]
    table: SlotTable[Any] = SlotTable(len(lengths), 0, model.cache, model.rope.is_long)
    for slot, n in zip(table.slots, lengths, strict=True):
        slot.ids = [(7 * i * i + 31 * n + 3) % vocabulary for i in range(n)]
    return table
