"""A transformers model whose sequences live in the slots of one cache: ragged rows in one forward.

Each row says in which slot it is, how much of it is already there, and what comes next. Shorter
rows are padded on the right; padding is at position 0, and seen by no row.

A probe says whether a model is exact so: rows against lone forwards. Recurrent states, ALiBi from a
2-D mask, flash attention and models that look ahead cannot run on slots; some raise, others are
merely wrong."""

import math
import re
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, NamedTuple

import torch

from lm_eval_tts.engines.hf import memory
from lm_eval_tts.engines.hf.attention import LongRope, Masks, grouped_heads
from lm_eval_tts.engines.hf.slot_cache import SlotCache
from lm_eval_tts.engines.hf.slots import CHUNK_TOKENS, Feed, SlotTable
from lm_eval_tts.engines.hf.transfer import Numbers, Parcel

# Of the largest output. Kernels of other shapes round otherwise; a wrong mask is off by more.
_FLOAT32, _HALF = 1e-3, 0.1
LENGTHS = (5, 12, 23)  # tokens of the rows; the last one is longer than every window
PARTS = (4, 2, 1, 0)  # tokens of each row that are unseen after each forward
NEW_TOKENS = 8  # that `generate` writes for each row; some models differ after a few only


class Prepared(NamedTuple):
    """What a forward needs, on the host."""

    parcel: Parcel
    rows: slice | None  # the slots, if they are the first ones
    width: int  # keys to read
    num_long: int  # rows whose keys are rotated by the long factors of "longrope"
    length: int  # numbers of the parcel, from its start, that are of the forward


class SlotModel:
    """A decoder-only model with its cache, its masks and its RoPE.
    model: with a language head, or the bare decoder. cache: set to start, or start anew."""

    cache: SlotCache

    def __init__(self, model: Any, masks: Masks | None = None) -> None:
        self.model = model
        self.rope = LongRope(model)
        self.dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
        self.device = input_device(model)
        self.masks = masks or Masks(model.config)
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        renamed = "cache" in signature(inner.forward).parameters  # since transformers 5.24
        self._cache_argument = "cache" if renamed else "past_key_values"

    def prepare(self, feeds: Sequence[Feed]) -> Prepared:
        """Put what a forward of these feeds needs into a parcel, to which others may add. A feed of
        no tokens is a row of padding."""
        size = max(len(feed.token_ids) for feed in feeds)
        tokens, positions, places = [], [], []
        for _, start, token_ids, _ in feeds:
            end, pad = start + len(token_ids), size - len(token_ids)
            tokens += [*token_ids, *[0] * pad]
            positions += [*range(start, end), *[0] * pad]
            places += [*range(start, end), *[end] * pad]
        slots, num_long = [feed.slot for feed in feeds], sum(feed.long for feed in feeds)
        rows = slice(0, len(slots)) if slots == list(range(len(slots))) else None
        parcel, shape = Parcel(), (len(feeds), size)
        parcel.put("tokens", tokens, *shape)
        parcel.put("positions", positions, *shape)
        parcel.put("places", places, *shape)
        parcel.put("slots", slots, len(slots), 1)
        if 0 < num_long < len(feeds):
            parcel.put("long", [feed.long for feed in feeds])
        width = max(feed.start + len(feed.token_ids) for feed in feeds if feed.token_ids)
        return Prepared(parcel, rows, width, num_long, len(parcel))

    def forward(self, feeds: Sequence[Feed], **kwargs: Any) -> Any:
        """Feed tokens to their slots and return the model's output, [rows, longest feed, ...].
        kwargs: more arguments of the model's forward."""
        step = self.prepare(feeds)
        return self.run(step, step.parcel.send(self.device), **kwargs)

    def run(self, step: Prepared, numbers: Numbers, **kwargs: Any) -> Any:
        """Run a forward that was prepared, with its parcel on the model's device."""
        positions = numbers["positions"]
        self.cache.show(numbers, step.rows, step.width)
        with self.rope.choosing(step.num_long, numbers), grouped_heads(self.model):
            return self.model(
                input_ids=numbers["tokens"],
                position_ids=positions,
                attention_mask=self.masks.make(positions, step.width, self.dtype),
                use_cache=True,
                **{self._cache_argument: self.cache},
                **kwargs,
            )

    def new_table(self, max_active: int) -> SlotTable[Any]:
        """Return a table of the cache's slots. max_active: rows at work at once."""
        return SlotTable(self.cache, max_active, self.rope.is_long)

    def max_tokens(self) -> int:
        """Return how many tokens a cache may hold in the memory that is free, after a forward."""
        sizes = self.cache.bytes_per_token()
        share = memory.CACHE_SHARE  # activations have the rest
        return min(int(share * memory.free_bytes(d) / size) for d, size in sizes.items())


def input_device(model: Any) -> torch.device:
    """Return the device on which a model takes token ids, also where its weights are offloaded."""
    embeddings = model.get_input_embeddings()
    hook = getattr(embeddings, "_hf_hook", None)  # accelerate's, which brings weights when needed
    execution = getattr(hook, "execution_device", None)
    return torch.device(next(embeddings.parameters()).device if execution is None else execution)


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
    rows = probe_texts(model.model, max_length)[-model.cache.num_slots :]
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


def distance(have: torch.Tensor, want: torch.Tensor) -> float:
    """Return how far one result is from another, relative to its largest number."""
    off = float((have - want).abs().max() / want.abs().max())
    return math.inf if math.isnan(off) else off


def probe_texts(model: Any, max_length: int) -> list[list[int]]:
    """Return made-up tokens for each row. One is longer than all lengths within `max_length` that
    the config names, past which a model may behave differently."""
    text = model.config.get_text_config(decoder=True).to_dict()
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    named = re.compile("window|chunk|^original_max_position_embeddings$")
    values = [value for name, value in (text | rope).items() if named.search(name)]
    windows = [n for value in values for n in (value if isinstance(value, list) else [value])]
    *short, longest = LENGTHS
    inside = [n for n in windows if isinstance(n, int) and 0 < n < max_length]
    beyond = longest + max(inside, default=0)
    lengths = [*short, max(longest, min(beyond, max_length - NEW_TOKENS))]
    vocabulary = model.get_input_embeddings().num_embeddings
    return [[(7 * i * i + 31 * n + 3) % vocabulary for i in range(n)] for n in lengths]
