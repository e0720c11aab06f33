"""Whether a model is exact on slots, or at least in padded batches: rows against lone forwards.

Recurrent states, ALiBi from a 2-D mask, flash attention and models that look ahead cannot run on
slots; some raise, others are merely wrong. Local windows of a model's own and states that padding
goes through make padded batches wrong as well."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from lm_eval_tts.engines.hf.slot_model import SlotModel, input_device
from lm_eval_tts.engines.hf.slots import CHUNK_TOKENS, Feed

# Of the largest output. Kernels of other shapes round otherwise; a wrong mask is off by more.
_FLOAT32, _HALF = 1e-3, 0.1
LENGTHS = (5, 12, 23)  # tokens of the rows; the last one is longer than every window
PARTS = (4, 2, 1, 0)  # tokens of each row that are unseen after each forward
NEW_TOKENS = 3  # that `generate` writes for each row


def is_exact(difference: float, dtype: torch.dtype) -> bool:
    """Whether what `probe` returned is no more than rounding."""
    return difference < (_FLOAT32 if dtype == torch.float32 else _HALF)


def probe(
    model: SlotModel, read: Callable[[Any], torch.Tensor], max_length: int, **kwargs: Any
) -> float:
    """Return how far outputs of ragged rows are from lone forwards, relative to the largest. Rows
    of very different length, in ragged chunks and one token at a time: what a wrong mask, position
    or cache would change. Overwrites the first slots.
    read: the model's output to [rows, tokens, size], of all tokens or of the last column alone.
    max_length: of sequences, in tokens; kwargs: of the model's forward."""
    rows = _texts(model.model, max_length)[-model.cache.num_slots :]
    model.cache.reserve(max(map(len, rows)), len(rows))
    fed, differences = [0] * len(rows), []
    with torch.inference_mode():
        for unseen in PARTS:
            while behind := [i for i, ids in enumerate(rows) if fed[i] < len(ids) - unseen]:
                feeds = []
                for i in behind:
                    part = rows[i][fed[i] : min(fed[i] + CHUNK_TOKENS, len(rows[i]) - unseen)]
                    feeds.append(Feed(i, fed[i], part, model.rope.is_long(len(rows[i]))))
                    fed[i] += len(part)
                have = read(model.forward(feeds, **kwargs))
                skipped = max(len(feed.token_ids) for feed in feeds) - have.shape[1]
                for told, feed in zip(have, feeds, strict=True):
                    count = len(feed.token_ids)
                    if count > skipped:  # of each row, if only the last column came
                        seen = rows[feed.slot][: feed.start + count]
                        ids = torch.tensor([seen], device=model.device)
                        want = read(model.model(ids, use_cache=False, **kwargs))[0]
                        want = want[-(count - skipped) :]
                        differences.append(distance(told[: len(want)], want))
    return max(differences)


def probe_padding(model: Any, pad: int, max_length: int) -> float:
    """Return how far the logits of `generate` are from lone rows if rows are padded on the left."""
    rows = _texts(model, max_length)
    together = _generated(model, rows, pad)
    differences = []
    for row, ids in enumerate(rows):
        (logits, tokens), (all_logits, all_tokens) = _generated(model, [ids], pad), together
        for step in range(NEW_TOKENS):
            differences.append(distance(all_logits[step][row], logits[step][0]))
            if all_tokens[row, step] != tokens[0, step]:
                break  # what follows is another text
    return max(differences)


def probe_generate(model: Any, pad: int, max_length: int) -> float:
    """Return how far the logits of `generate`, past all windows, are from a forward of the whole.
    Its cache keeps what the config's windows leave, also where the architecture ignores them."""
    longest = _texts(model, max_length)[-1]
    logits, tokens = _generated(model, [longest], pad)
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


def distance(have: torch.Tensor, want: torch.Tensor) -> float:
    """Return how far one result is from another, relative to its largest number."""
    off = float((have - want).abs().max() / want.abs().max())
    return math.inf if math.isnan(off) else off


def windows(config: Any, max_length: int) -> list[int]:
    """Return the lengths in tokens, within `max_length`, where a model may behave differently."""
    text = config.get_text_config(decoder=True).to_dict()
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    named = re.compile("window|chunk|^original_max_position_embeddings$")
    values = [value for name, value in (text | rope).items() if named.search(name)]
    lengths = [n for value in values for n in (value if isinstance(value, list) else [value])]
    return [n for n in lengths if isinstance(n, int) and 0 < n < max_length]


def _texts(model: Any, max_length: int) -> list[list[int]]:
    """Return made-up tokens for each row."""
    *short, longest = LENGTHS
    beyond = max([longest, *(n + longest for n in windows(model.config, max_length))])
    lengths = [*short, max(longest, min(beyond, max_length - NEW_TOKENS))]
    vocabulary = model.get_input_embeddings().num_embeddings
    return [[(7 * i * i + 31 * n + 3) % vocabulary for i in range(n)] for n in lengths]
