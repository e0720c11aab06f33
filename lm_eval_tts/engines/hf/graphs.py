"""Decoding steps as CUDA graphs: the host launches one graph instead of a thousand kernels.

Slots stay where they are and a step reads the first ones, so a step with a given number of rows and
keys does the same on the same memory each time. Rows and keys are rounded up to buckets. The first
step of a bucket runs as usual, is captured, and is compared with its first replay; where that
differs, or a model's code cannot be captured, all steps run as usual from then on."""

import logging
from collections.abc import Callable
from typing import Any

import torch

from lm_eval_tts.engines.hf.slot_model import Prepared, SlotModel, distance, is_exact
from lm_eval_tts.engines.hf.transfer import Numbers
from lm_eval_tts.errors import reason_of

logger = logging.getLogger(__name__)

NARROWEST = 256  # keys of the first bucket of widths

Replay = Callable[[], None]
# Records what a function does on a device: returns what does it again, and the result's tensor.
Recorder = Callable[[Callable[[], torch.Tensor]], tuple[Replay, torch.Tensor]]
_Graph = tuple[torch.Tensor, Replay, torch.Tensor]  # what to write before it, what it leaves


class StepGraphs:
    """The captured steps of a model's cache, by rows, keys and kind of RoPE.
    record: None captures none."""

    def __init__(self, model: SlotModel, record: Recorder | None) -> None:
        self.record = record
        self._model = model
        self._memory = (0, 0)  # slots and capacity of the buffers that the graphs know
        self._graphs: dict[tuple[int, int, int], _Graph] = {}

    def num_rows(self, rows: int) -> int:
        """Return how many rows a step of this many has, padding included."""
        return min(round_rows(rows), self._model.cache.num_slots) if self.record else rows

    def forget(self) -> None:
        """Drop all graphs, and the memory of their results: the cache was replaced."""
        self._graphs = {}

    def run(self, step: Prepared, numbers: Numbers) -> torch.Tensor:
        """Run a step of one token a row and return its logits, [rows, vocabulary]."""
        if self.record is None or step.rows is None or "long" in numbers:
            return self._forward(step, numbers)
        cache = self._model.cache
        if self._memory != (memory := (cache.num_slots, cache.capacity)):
            self._graphs, self._memory = {}, memory
        step = step._replace(width=min(round_width(step.width), cache.capacity))
        key = len(numbers["slots"]), step.width, step.num_long
        if key not in self._graphs:
            logits = self._forward(step, numbers)
            if graph := self._capture(self.record, step, numbers, logits):
                self._graphs[key] = graph
            return logits
        raw, replay, logits = self._graphs[key]
        raw.copy_(numbers.raw[: len(raw)])
        replay()
        return logits

    def _forward(self, step: Prepared, numbers: Numbers) -> torch.Tensor:
        logits: torch.Tensor = self._model.run(step, numbers, logits_to_keep=1).logits[:, -1]
        return logits

    def _capture(
        self, record: Recorder, step: Prepared, numbers: Numbers, logits: torch.Tensor
    ) -> _Graph | None:
        raw = numbers.raw[: step.length].clone()
        try:
            replay, again = record(lambda: self._forward(step, numbers.of(raw)))
            replay()
            off = distance(again, logits)
            if is_exact(off, self._model.dtype):
                return raw, replay, again
            reason = f"logits differ by {off:.1%}"
        except Exception as error:  # whatever a model's code raises
            reason = reason_of(error)
        logger.warning("decoding without CUDA graphs, which is slower: %s", reason)
        self.record, self._graphs = None, {}
        return None


def round_rows(number: int) -> int:
    """Return the smallest power of two that is not less."""
    return 1 << (number - 1).bit_length()


def round_width(width: int) -> int:
    """Return the smallest multiple of a quarter of the power of two below that is not less: at most
    a quarter of the keys is read for nothing, with four graphs for each doubling of the length."""
    unit = max(NARROWEST, round_rows(width) // 8)
    return -(-width // unit) * unit


def recorder_for(model: Any) -> Recorder | None:
    """Return what captures graphs of a model; None where it is not on one CUDA device alone, or
    parts of it are brought there while it runs."""
    devices = {weight.device for weight in (*model.parameters(), *model.buffers())}
    moved = any(hasattr(module, "_hf_hook") for module in model.modules())
    if moved or len(devices) > 1 or devices.pop().type != "cuda":
        return None
    pool = torch.cuda.graph_pool_handle()  # one for all: results are used up before the next step

    def record(call: Callable[[], torch.Tensor]) -> tuple[Replay, torch.Tensor]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            result = call()
        return graph.replay, result

    return record
