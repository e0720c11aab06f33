"""Continuous batching over a transformers model: requests come and go at any step.

Each sequence has a slot (`slots`) of one cache (`slot_cache`), where it finds the longest prefix
of its ids already computed. A step feeds one token to every active sequence. Where there is much to
catch up (prompts, forced texts of many forks), sequences are first brought to their last token in
chunks; a few forced tokens ride along.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch

from lm_eval_tts.core.engine import Engine, Output
from lm_eval_tts.core.program import Generate
from lm_eval_tts.engines.hf.generate import GenerateEngine
from lm_eval_tts.engines.hf.memory import (
    cache_limit,
    is_out_of_memory,
    num_seqs_within,
    out_of_memory,
)
from lm_eval_tts.engines.hf.sampler import Draw, sample
from lm_eval_tts.engines.hf.slot_cache import SlotCache
from lm_eval_tts.engines.hf.slot_model import Feed, SlotModel
from lm_eval_tts.engines.hf.slots import SlotTable
from lm_eval_tts.engines.requests import Requests
from lm_eval_tts.engines.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

RIDE_ALONG = 2  # tokens to catch up for each row of a step; more are worth a chunk of their own
CHUNK_TOKENS = 512  # of one row in one forward
FORWARD_TOKENS = 1024  # of all rows in one forward, padding included
TOLERANCE = {True: 1e-3, False: 0.1}  # of the probe, for float32 and for half precision


class HFEngine:
    """The engine of `tts-hf`.

    model: a decoder-only transformers (or PEFT) model. max_length: its context in tokens.
    max_num_seqs: sequences under way at once; with `auto`, fewer if memory asks for it, which
    `probe` measures. eos_token_ids: ids that end the turn.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        eos_token_ids: Sequence[int],
        max_length: int,
        max_num_seqs: int,
        auto: bool = False,
    ) -> None:
        self.max_length = max_length
        self.max_num_seqs = max_num_seqs
        self._auto = auto
        self._max_tokens: int | None = None  # of all slots, by memory
        self._bytes_per_token = 0.0
        self._model = SlotModel(model, self._new_cache())
        self.dtype = self._model.dtype
        self._requests = Requests(tokenizer, eos_token_ids=eos_token_ids, max_length=max_length)
        self._table = self._new_table()

    def _new_cache(self) -> SlotCache:
        """Make the slots: one for each sequence, and some in which idle prefixes survive."""
        num_slots = self.max_num_seqs + max(2, self.max_num_seqs // 4)
        return SlotCache(num_slots, self.max_length, self._max_tokens)

    def _new_table(self) -> SlotTable:
        cache = self._model.cache
        return SlotTable(cache.num_slots, self.max_num_seqs, cache, self._model.rope.is_long)

    def _start_anew(self) -> None:
        self._model.cache = self._new_cache()
        self._table = self._new_table()

    @property
    def num_unfinished(self) -> int:
        """Sequences added and not yet returned or aborted."""
        return self._requests.num_unfinished

    def add_request(self, request_id: int, op: Generate, seed: int) -> None:
        """Queue an op. Raises RequestError if its prompt leaves no room for a token."""
        self._requests.add(request_id, op, seed)

    def probe(self) -> float:
        """Return how far logits of ragged rows are from lone forwards, relative to the largest.

        Rows of different lengths, in a chunk and then one token at a time: what a wrong mask,
        position or cache would change. To be called before any request. Measures on the way what
        a token takes in the cache, and bounds the cache by the memory that is free.
        """
        model = self._model.model
        vocabulary = model.get_input_embeddings().num_embeddings
        texts = [[(7 * i * i + 31 * n + 3) % vocabulary for i in range(n)] for n in (5, 12, 23)]
        indices = list(range(len(texts)))
        differences = []
        with torch.inference_mode():
            for slot, ids in zip(self._table.slots, texts, strict=False):
                slot.ids = ids
            self._forward(indices, [len(ids) - 3 for ids in texts])
            for unseen in (2, 1, 0):
                have = self._forward(indices, [1] * len(texts))
                for logits, ids in zip(have, texts, strict=True):
                    seen = self._model.tensor([ids[: len(ids) - unseen]])
                    alone = model(seen, use_cache=False).logits[0, -1]
                    differences.append(float((logits - alone).abs().max() / alone.abs().max()))
        self._bound_cache()
        return max(math.inf if math.isnan(d) else d for d in differences)

    def _bound_cache(self) -> None:
        """Start a cache that cannot outgrow memory, with as many slots as asked for."""
        cache = self._model.cache
        self._bytes_per_token = cache.num_bytes / ((cache.num_slots + 1) * cache.capacity)
        limit = cache_limit(p.device for p in self._model.model.parameters())
        self._max_tokens = int(limit / self._bytes_per_token)
        if self._auto:
            fit = num_seqs_within(limit, self._bytes_per_token, self.max_length)
            self.max_num_seqs = min(self.max_num_seqs, fit)
        self._start_anew()

    def memory(self) -> str:
        """Say how much memory keys and values may take; known after `probe`."""
        cache = self._model.cache
        most = self._bytes_per_token * (cache.num_slots + 1) * cache.max_capacity
        return (
            f"KV cache: {cache.num_slots} slots for {self.max_num_seqs} sequences at once, "
            f"{self._bytes_per_token / 1024:.0f} KiB a token, growing with the longest sequence "
            f"to at most {most / 2**30:.1f} GiB ({cache.max_capacity} tokens)"
        )

    def abort(self, request_id: int) -> None:
        """Drop a request; unknown ids are ignored."""
        self._requests.abort(request_id)

    def step(self) -> list[Output]:
        """Sample a token for every sequence that is ready, and return the finished requests."""
        try:
            with torch.inference_mode():
                self._table.admit(self._requests.queue)
                self._catch_up()
                self._decode()
            return self._requests.pop_finished()
        except Exception as error:
            if not (isinstance(error, RuntimeError) and is_out_of_memory(error)):
                self._start_anew()  # a forward that broke has not written what the slots say
                raise
        self._make_room()  # not above, where the traceback still holds tensors
        return self._requests.pop_finished()

    def _make_room(self) -> None:
        """Start again with half the slots; what was sampled so far is kept."""
        rows = [slot.row for slot in self._table.active if slot.row is not None]
        if self.max_num_seqs == 1:
            for row in rows:
                self._requests.fail(row, out_of_memory(len(row.ids)))
        else:
            self._requests.queue.extendleft(reversed(rows))
            self.max_num_seqs //= 2
            logger.warning("out of memory: going on with %d sequences at once", self.max_num_seqs)
        self._start_anew()

    def _catch_up(self) -> None:
        """Feed slots that are behind all but their last token in chunks, while it pays.

        A chunk costs about an ordinary step, so it takes more tokens than such a step has.
        """
        active = self._table.active
        for slot in active:
            long = self._model.rope.is_long(len(slot.ids))
            if long != slot.long:  # it has crossed the boundary: all its keys change
                slot.long, slot.cached = long, 0
        while sum(slot.behind - 1 for slot in active) > RIDE_ALONG * len(active):
            far = [i for i, slot in enumerate(active) if slot.behind > 1]
            far.sort(key=lambda i: active[i].behind)
            counts = [min(active[i].behind - 1, CHUNK_TOKENS) for i in far]
            size = max(1, sum(c * n <= FORWARD_TOKENS for n, c in enumerate(counts, 1)))
            self._forward(far[:size], counts[:size])

    def _decode(self) -> None:
        """Feed one token to every active slot and sample where it has caught up."""
        active = self._table.active
        if not active:
            return
        logits = self._forward(list(range(len(active))), [1] * len(active))
        ready = [i for i, slot in enumerate(active) if not slot.behind]
        if not ready:
            return
        if len(ready) < len(active):
            logits = logits[self._model.tensor(ready)]
        rows = [row for i in ready if (row := active[i].row) is not None]
        draws = [Draw.of(row) for row in rows]
        for row, (token, logprob) in zip(rows, sample(logits, draws), strict=True):
            self._requests.sampled(row, token, logprob)

    def _forward(self, indices: list[int], counts: list[int]) -> torch.Tensor:
        """Feed `counts` tokens to each of these slots; return the logits of the last column."""
        feeds = []
        for index, count in zip(indices, counts, strict=True):
            slot = self._table.slots[index]
            ids = slot.ids[slot.cached : slot.cached + count]
            feeds.append(Feed(index, slot.cached, ids, slot.long))
            slot.cached += count
        logits: torch.Tensor = self._model.forward(feeds, logits_to_keep=1).logits
        return logits[:, -1]


def fit_engine(
    model: Any,
    tokenizer: Tokenizer,
    *,
    eos_token_ids: Sequence[int],
    max_length: int,
    max_num_seqs: int,
    auto: bool = False,
) -> Engine:
    """Return a slot engine if its logits are those of the model alone, else the exact path.

    Recurrent states, ALiBi from a 2-D mask or flash attention cannot run on slots. Arguments as
    for `HFEngine`.
    """
    try:
        engine = HFEngine(
            model,
            tokenizer,
            eos_token_ids=eos_token_ids,
            max_length=max_length,
            max_num_seqs=max_num_seqs,
            auto=auto,
        )
        difference = engine.probe()
        if difference < TOLERANCE[engine.dtype == torch.float32]:
            logger.info("%s", engine.memory())
            return engine
        reason = f"logits differ by {difference:.1%}"
    except Exception as error:  # whatever a model's code raises
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    logger.warning(
        "%s cannot share a cache of slots (%s): using generate, which is exact but slower",
        type(model).__name__,
        reason,
    )
    return GenerateEngine(
        model,
        tokenizer,
        eos_token_ids=eos_token_ids,
        max_length=max_length,
        max_num_seqs=max_num_seqs,
    )
