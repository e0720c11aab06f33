"""Continuous batching over a transformers model: requests come and go at any step.

Each sequence has a slot (`slots`) of one cache (`slot_cache`), where it finds the longest prefix
of its ids already computed. A step feeds one token to every active sequence. Where there is much to
catch up (prompts, forced texts of many forks), sequences are first brought to their last token in
chunks; a few forced tokens ride along."""

import logging
import math
from operator import attrgetter
from typing import Any

from typing_extensions import Unpack

from lm_eval_tts.core.engine import Engine
from lm_eval_tts.engines.hf.attention import Masks, runs_alone
from lm_eval_tts.engines.hf.generate import GenerateEngine, probe_generate, probe_padding
from lm_eval_tts.engines.hf.graphs import Recorder, StepGraphs, recorder_for
from lm_eval_tts.engines.hf.memory import AUTO_LENGTH, HalvingEngine
from lm_eval_tts.engines.hf.sampler import NOT_A_NUMBER, Sampler
from lm_eval_tts.engines.hf.slot_cache import SlotCache
from lm_eval_tts.engines.hf.slot_model import SlotModel, is_exact, probe
from lm_eval_tts.engines.hf.slots import SlotTable
from lm_eval_tts.engines.requests import BatchRow, Limits
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.errors import reason_of

logger = logging.getLogger(__name__)

RIDE_ALONG = 2  # tokens to catch up for each row of a step; more are worth a chunk of their own
FORWARD_TOKENS = 1024  # of all rows in one forward, padding included; more is no faster


class HFEngine(HalvingEngine):
    """The engine of `tts-hf`.
    model: a decoder-only transformers (or PEFT) model. auto: run fewer sequences at once than
    `max_num_seqs` if memory requires it, which `probe` measures. masks: those that its config asks
    for, if left out. record: captures decoding steps, if given."""

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        auto: bool = False,
        masks: Masks | None = None,
        record: Recorder | None = None,
        **limits: Unpack[Limits],
    ) -> None:
        super().__init__(tokenizer, **limits)
        self._auto = auto
        self._max_tokens: int | None = None  # of all slots, by memory
        self._bytes_per_token = 0.0
        self._model = SlotModel(model, masks)
        self._graphs = StepGraphs(self._model, record)
        self._start_anew()

    @property
    def _num_slots(self) -> int:
        """One for each sequence, and some in which idle prefixes survive."""
        return self.max_num_seqs + max(2, self.max_num_seqs // 4)

    def _start_anew(self) -> None:
        self._graphs.forget()
        self._sampler = Sampler()
        self._model.cache = SlotCache(self._num_slots, self.max_length, self._max_tokens)
        self._table: SlotTable[BatchRow] = self._model.new_table(self.max_num_seqs)

    def probe(self) -> float:
        """Return how far logits of ragged rows are from lone forwards, relative to the largest.
        Call it before any request. Measures on the way what a token takes in the cache, and starts
        a cache that cannot outgrow the memory that is free."""
        read = attrgetter("logits")
        difference = probe(self._model, read, self.max_length, logits_to_keep=1)
        self._bytes_per_token = sum(self._model.cache.bytes_per_token().values())
        self._max_tokens = self._model.max_tokens()
        if self._auto:
            fit = max(1, self._max_tokens // min(self.max_length, AUTO_LENGTH))
            self.max_num_seqs = min(self.max_num_seqs, fit)
        self._start_anew()
        return difference

    def memory(self) -> str:
        """Say how much memory keys and values may take; known after `probe`."""
        cache = self._model.cache
        most = cache.num_slots * cache.max_capacity
        most = most if self._max_tokens is None else min(most, self._max_tokens)
        return (
            f"KV cache: {cache.num_slots} slots for {self.max_num_seqs} sequences at once, "
            f"{self._bytes_per_token / 1024:.0f} KiB a token, growing with the longest sequence "
            f"to at most {most * self._bytes_per_token / 2**30:.1f} GiB ({most} tokens in all)"
        )

    def _advance(self) -> None:
        self._regain_slots()
        self._table.admit(self.queue)
        self._catch_up()
        self._decode()

    def _regain_slots(self) -> None:
        """Restore all slots once the sequences for which some were given up are gone."""
        cache = self._model.cache
        if cache.num_slots < self._num_slots and len(self.queue) == self.num_unfinished:
            longest = max((len(row.ids) for row in self.queue), default=0)
            if cache.fits(self._num_slots, longest):
                self._start_anew()

    def _catch_up(self) -> None:
        """Feed what slots have to catch up, all but their last token, in chunks, while it pays. A
        chunk costs about an ordinary step, so it takes more tokens than such a step has."""
        active = self._table.active
        for slot in active:
            long = self._model.rope.is_long(len(slot.ids))
            if long != slot.long:  # it has crossed the boundary: all its keys change
                slot.long, slot.cached = long, 0
        while sum(slot.behind - 1 for slot in active) > RIDE_ALONG * len(active):
            chunk = self._table.next_chunk(keep=1, most=FORWARD_TOKENS)
            self._model.forward(self._table.feed(chunk), logits_to_keep=1)

    def _decode(self) -> None:
        """Feed one token to every active slot and sample where it has caught up. All that the
        device needs goes there in one parcel, before the forward."""
        active = self._table.active
        if not active:
            return
        feeds = self._table.feed(dict.fromkeys(range(len(active)), 1))
        padding = self._table.padding(self._graphs.num_rows(len(active)))
        step = self._model.prepare([*feeds, *padding])
        ready = [i for i, slot in enumerate(active) if not slot.behind]
        rows = [row for i in ready if (row := active[i].row) is not None]
        step.parcel.put("ready", ready)
        self._sampler.pack(rows, step.parcel)
        numbers = step.parcel.send(self._model.device)
        logits = self._graphs.run(step, numbers)[: len(active)]
        if not ready:
            return
        numbers = numbers.to(logits.device)  # the last one, of a model on several
        if len(ready) < len(active):
            logits = logits[numbers["ready"]]
        choices = self._sampler.draw(logits, rows, numbers)
        self._sampler.note(choices, logits, rows, self)
        for index, (token, _) in zip(ready, choices, strict=True):
            if token == NOT_A_NUMBER:
                active[index].cached = 0
                self._model.cache.clear(index)


def fit_engine(
    model: Any,
    tokenizer: Tokenizer,
    *,
    auto: bool = False,
    enforce_eager: bool = False,
    **limits: Unpack[Limits],
) -> Engine:
    """Return a slot engine if its logits are those of the model alone, else one over `generate`.
    Some architectures do not have the windows that their config names, so both are tried.
    enforce_eager: capture no CUDA graphs, as vLLM's. Others as for `HFEngine`."""
    if alone := runs_alone(model, limits["max_length"]):
        return _fit_generate(model, tokenizer, alone, {**limits, "max_num_seqs": 1})
    record = None if enforce_eager else recorder_for(model)
    reasons = []
    for in_force in (True, False):
        try:
            masks = Masks(model.config, windows=in_force)
            engine = HFEngine(model, tokenizer, auto=auto, masks=masks, record=record, **limits)
            difference = engine.probe()
            if not in_force:
                difference = max(difference, probe_generate(model, limits["max_length"]))
            if is_exact(difference, model.dtype):
                logger.info("%s", engine.memory())
                return engine
            reasons.append(f"logits differ by {difference:.1%}")
        except Exception as error:  # whatever a model's code raises
            reasons.append(reason_of(error))
    return _fit_generate(model, tokenizer, reasons[0], limits)


def _fit_generate(model: Any, tokenizer: Tokenizer, reason: str, limits: Limits) -> GenerateEngine:
    """Return an engine over `generate`, of one sequence at a time where padding changes a text."""
    how = "using generate, which is slower"
    if limits["max_num_seqs"] > 1:
        try:
            pad = next(iter(limits["eos_token_ids"]), 0)
            difference = probe_padding(model, pad, limits["max_length"])
            changed = f"padding changes its logits by {difference:.1%}"
        except Exception as error:  # as above
            difference, changed = math.inf, f"padded rows raise {type(error).__name__}"
        if not is_exact(difference, model.dtype):
            limits = {**limits, "max_num_seqs": 1}
            how += f", for one sequence at a time, as {changed}"
    logger.warning("%s cannot share a cache of slots (%s): %s", type(model).__name__, reason, how)
    return GenerateEngine(model, tokenizer, **limits)
