"""An engine in which a request that breaks a step fails alone.

When a step raises, nobody knows whose fault it was. So the requests under way are dropped from the
engine and run again one by one: those that break it again are failures with a reason, the others
get their results, the same ones, since seeds belong to ops. An engine that breaks on everything, or
whose device is lost, is not asked again: all that is left fails with its error."""

import logging

from lm_eval_tts.core.engine import Engine, EngineWrapper, Output, check_fits
from lm_eval_tts.core.program import Generate
from lm_eval_tts.errors import RequestError, device_lost, failure_of, reason_of

logger = logging.getLogger(__name__)

MAX_BREAKS = 32  # one after the other, without a step that went well between them
_Asked = tuple[Generate, int]  # with its seed


class IsolatedEngine(EngineWrapper):
    """Wraps an engine whose `step` may raise; its `abort` must leave it clean after that.
    lost: why the engine is not asked any more, if so."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.lost: str | None = None
        self._inside: dict[int, _Asked] = {}  # what the engine has
        self._suspects: dict[int, _Asked] = {}  # what it had when it broke: each runs alone
        self._waiting: dict[int, _Asked] = {}  # what came meanwhile
        self._num_breaks = 0

    @property
    def num_unfinished(self) -> int:
        """Sequences added and not yet returned or aborted."""
        held = (*self._suspects.values(), *self._waiting.values())
        return self._engine.num_unfinished + sum(op.n for op, _ in held)

    def add_request(self, request_id: int, op: Generate, seed: int) -> None:
        """Queue an op. Raises RequestError if its prompt leaves no room for a token."""
        check_fits(op, self.max_length)
        if self._suspects or self._waiting or self.lost:
            self._waiting[request_id] = op, seed
        else:
            self._enter(request_id, op, seed)

    def step(self) -> list[Output]:
        """Advance the engine; where it raises, find out whose fault it was."""
        if self.lost:
            return self._fail_all(self.lost)
        if not self._inside and (refused := self._admit()):
            return refused
        try:
            outputs = self._engine.step()
        except Exception as error:  # whatever a model's code raises
            return self._take_out(error)
        self._num_breaks = 0
        for output in outputs:
            del self._inside[output.request_id]
        return outputs

    def abort(self, request_id: int) -> None:
        """Drop a request; unknown ids are ignored."""
        for held in (self._inside, self._suspects, self._waiting):
            held.pop(request_id, None)
        self._engine.abort(request_id)

    def _enter(self, request_id: int, op: Generate, seed: int) -> None:
        self._engine.add_request(request_id, op, seed)
        self._inside[request_id] = op, seed

    def _admit(self) -> list[Output]:
        """Let the next suspect in, alone, or when there is none all that came meanwhile."""
        if self._suspects:
            first = next(iter(self._suspects))
            entering = {first: self._suspects.pop(first)}
        else:
            entering, self._waiting = self._waiting, {}
        refused = []
        for request_id, asked in entering.items():
            try:
                self._enter(request_id, *asked)
            except Exception as error:
                refused.append(Output(request_id, failure_of("the engine", error)))
        return refused

    def _take_out(self, error: Exception) -> list[Output]:
        """Clear the engine; a request that was alone in it has failed, several are suspects."""
        self._num_breaks += 1
        taken, self._inside = self._inside, {}
        for request_id in taken:
            self._engine.abort(request_id)
        if device_lost(error):
            self.lost = f"the device is lost ({reason_of(error)}): start again"
        elif self._num_breaks == MAX_BREAKS:
            self.lost = f"the engine failed {MAX_BREAKS} times in a row, last by {reason_of(error)}"
        if self.lost:
            logger.error("%s; what is left is not tried in this run", self.lost)
            self._suspects |= taken
            return self._fail_all(self.lost)
        if len(taken) == 1:
            return [Output(next(iter(taken)), failure_of("the engine", error))]
        reason, self._suspects = reason_of(error), taken
        logger.warning("the engine failed (%s): %d requests run one by one", reason, len(taken))
        return []

    def _fail_all(self, reason: str) -> list[Output]:
        held = {**self._suspects, **self._waiting}
        self._suspects, self._waiting = {}, {}
        return [Output(request_id, RequestError(reason)) for request_id in held]
