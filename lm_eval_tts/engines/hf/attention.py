"""What a batch of ragged rows needs from a model: masks, keys that are not copied, and honest RoPE.

Positions are always explicit, so most models need one additive mask. Layers with a sliding window
or with chunks need one each. Models with "longrope" choose their factors once for a whole batch;
here each row chooses for itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from lm_eval_tts.engines.hf.transfer import Numbers

GROUPED_SDPA = "lm_eval_tts_grouped_sdpa"  # its name among the model's attention functions


class Masks:
    """Makes the masks of one model from positions.
    windows: those that its config names are in force; some architectures ignore them."""

    def __init__(self, config: Any, *, windows: bool = True) -> None:
        text = config.get_text_config(decoder=True)
        window = (getattr(text, "sliding_window", None) or 0) if windows else 0
        kinds = set(getattr(text, "layer_types", None) or ()) if windows else set()
        in_all = not kinds and getattr(text, "use_sliding_window", True)  # Mistral, Phi-3
        # By layer type: how many tokens one sees, and how many are in its chunk; 0: all.
        self._limits: dict[str, tuple[int, int]] = {"full_attention": (window if in_all else 0, 0)}
        if "sliding_attention" in kinds and window:
            self._limits["sliding_attention"] = window, 0
        if "chunked_attention" in kinds:  # Llama 4: a token sees its own chunk of the sequence
            self._limits["chunked_attention"] = 0, text.attention_chunk_size

    def make(self, positions: torch.Tensor, width: int, dtype: torch.dtype) -> Any:
        """Return additive masks [batch, 1, tokens, width], by layer type if there are several.
        positions: [batch, tokens]. Floats, not booleans: eager attention adds whatever it gets."""
        query, keys = positions[:, None, :, None], torch.arange(width, device=positions.device)
        least, masks = torch.finfo(dtype).min, {}
        for name, (window, chunk) in self._limits.items():
            seen = keys <= query
            if window:
                seen &= keys > query - window
            if chunk:
                seen &= keys // chunk == query // chunk
            masks[name] = torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, least)
        return masks if len(masks) > 1 else masks["full_attention"]


def grouped_sdpa(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attend with the query heads of one key head side by side, so that no key is copied.
    query: [batch, heads, tokens, size]; key, value: [batch, key heads, width, size];
    attention_mask: [batch, 1, tokens, width], additive. Returns [batch, tokens, heads, size]. Equal
    to transformers' sdpa, which copies keys and values for each query head where there are several
    tokens (Ainslie et al. 2023, arXiv:2305.13245, is the grouping)."""
    groups = getattr(module, "num_key_value_groups", 1)
    if groups == 1 or kwargs.get("position_bias") is not None:
        given = (module, query, key, value, attention_mask)
        plain: tuple[torch.Tensor, None] = sdpa_attention_forward(*given, scaling=scaling, **kwargs)
        return plain
    batch, heads, tokens, size = query.shape
    grouped = query.reshape(batch, heads // groups, groups * tokens, size)
    mask = attention_mask.repeat(1, 1, groups, 1)
    attended = scaled_dot_product_attention(grouped, key, value, attn_mask=mask, scale=scaling)
    by_head = attended.reshape(batch, heads, tokens, value.shape[-1])
    return by_head.transpose(1, 2).contiguous(), None


AttentionInterface.register(GROUPED_SDPA, grouped_sdpa)


@contextmanager
def grouped_heads(model: Any) -> Iterator[None]:
    """Make a model of sdpa run `grouped_sdpa` in this block; its masks must have four axes."""
    config = model.config.get_text_config(decoder=True)
    usual = config._attn_implementation
    if usual == "sdpa" and model._supports_attention_backend:
        config._attn_implementation = GROUPED_SDPA
    try:
        yield
    finally:
        config._attn_implementation = usual


def runs_alone(model: Any, max_length: int) -> str:
    """Return why sequences of up to `max_length` tokens must run one at a time, "" if they need
    not: "dynamic" RoPE depends on the longest row so far, and "longrope" of layer types, or
    of a model that does not compute its keys anew past the boundary, has no factors of a row."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    anew = "prepare_inputs_for_generation" in vars(type(inner))
    for module in model.modules():
        named = getattr(module, "rope_type", None)
        kinds = set(named.values() if isinstance(named, dict) else [named]) - {None}
        if any("dynamic" in kind for kind in kinds) and max_length > module.original_max_seq_len:
            return "its dynamic RoPE depends on the longest row"
        if "longrope" in kinds and (isinstance(named, dict) or not anew):
            return "its longrope has one length for all rows"
    return ""


def forget_lengths(model: Any) -> None:
    """Reset dynamic RoPE as for a first sequence: it keeps the factors of the longest one."""
    for module in model.modules():
        if "dynamic" in str(getattr(module, "rope_type", "")):
            module.max_seq_len_cached = module.original_max_seq_len
            for name in [n for n, _ in module.named_buffers() if n.endswith("inv_freq")]:
                if not name.endswith("original_inv_freq"):
                    kept = name.removesuffix("inv_freq") + "original_inv_freq"
                    setattr(module, name, getattr(module, kept).to(getattr(module, name).device))
                    name = name.replace("inv_freq", "max_seq_len_cached")
                    setattr(module, name, module.original_max_seq_len)


class LongRope:
    """Lets each row of a batch choose its own factors where a model has "longrope" (Phi-3, Phi-4).
    transformers asks whether the largest position of the batch is past the original context, and
    then rotates all rows by the long factors."""

    def __init__(self, model: Any) -> None:
        self.boundary = 0  # original context in tokens; 0 where there is no longrope
        self._num_long = 0
        self._numbers: Numbers | None = None
        for module in model.modules():
            if getattr(module, "rope_type", None) == "longrope":
                name = "original_max_position_embeddings"
                parameters = getattr(module.config, "rope_parameters", None) or {}
                self.boundary = int(parameters.get(name) or getattr(module.config, name))
                module.forward = partial(self._rotate, module.forward)

    def is_long(self, num_tokens: int) -> bool:
        """Whether a sequence of this length is rotated by the long factors."""
        return 0 < self.boundary < num_tokens

    @contextmanager
    def choosing(self, num_long: int, numbers: Numbers) -> Iterator[None]:
        """Rotate rows by the factors of their length in this block: others use this model too.
        num_long: of the rows, those that are long; "long" in numbers says which, if only some."""
        self._num_long, self._numbers = num_long, numbers
        try:
            yield
        finally:
            self._num_long, self._numbers = 0, None

    def _rotate(
        self, forward: Callable[..., Any], x: Any, position_ids: torch.Tensor, *args: Any, **kw: Any
    ) -> Any:
        if not self._num_long or self._numbers is None:
            return forward(x, position_ids, *args, **kw)
        # One more position, past the boundary, makes the whole call choose the long factors.
        past = torch.full_like(position_ids[:, :1], self.boundary)
        far = torch.cat([position_ids, past], dim=1)
        long = [t[:, :-1] for t in forward(x, far, *args, **kw)]
        if "long" not in self._numbers:
            return tuple(long)
        short = forward(x, position_ids.clamp(max=self.boundary - 1), *args, **kw)
        rows = self._numbers.to(x.device)["long"][:, None, None] > 0
        return tuple(torch.where(rows, a, b) for a, b in zip(long, short, strict=True))
