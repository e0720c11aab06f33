"""An engine in which a request that breaks a step fails alone.

When a step raises, nobody knows whose fault it was. So the requests under way are dropped from the
engine and run again one by one: those that break it again are failures with a reason, the others
get their results, the same ones, since seeds belong to ops. An engine that breaks on everything, or
whose device is lost, is not asked again: all that is left fails with its error."""

import logging

from lm_eval_tts.core.engine import Engine, EngineWrapper, Output, check_fits
from lm_eval_tts.core.faults import device_lost, failure_of, reason_of
from lm_eval_tts.core.program import Generate
from lm_eval_tts.errors import RequestError

logger = logging.getLogger(__name__)

MAX_BREAKS = 32  # one after the other, without a step that went well between them
_Asked = tuple[Generate, int]  # with its seed


class IsolatedEngine(EngineWrapper):
    """Wraps an engine whose `step` may raise; its `abort` must leave it clean after that.
    lost: why the engine is not asked any more, if so."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.lost: str | None = None
        self._waiting: dict[int, _Asked] = {}  # what came since the last step
        self._inside: dict[int, _Asked] = {}  # what the engine has
        self._suspects: dict[int, _Asked] = {}  # what it had when it broke: each runs alone
        self._num_breaks = 0

    @property
    def num_unfinished(self) -> int:
        """Sequences added and not yet returned or aborted."""
        held = {**self._waiting, **self._inside, **self._suspects}
        return sum(op.n for op, _ in held.values())

    def add_request(self, request_id: int, op: Generate, seed: int) -> None:
        """Queue an op. Raises RequestError if its prompt leaves no room for a token."""
        check_fits(op, self.max_length)
        self._waiting[request_id] = op, seed

    def step(self) -> list[Output]:
        """Advance the engine; where it raises, find out whose fault it was."""
        try:
            if not (outputs := self._fail_all() if self.lost else self._admit()):
                outputs = self._engine.step()
                self._num_breaks = 0
        except Exception as error:  # whatever a model's code raises
            outputs = self._take_out(error)
        for output in outputs:
            self._forget(output.request_id)
        return outputs

    def abort(self, request_id: int) -> None:
        """Drop a request; unknown ids are ignored."""
        self._forget(request_id)
        self._engine.abort(request_id)

    def _forget(self, request_id: int) -> None:
        for held in (self._waiting, self._inside, self._suspects):
            held.pop(request_id, None)

    def _admit(self) -> list[Output]:
        """Let in what waits, or the next suspect when nothing else is inside; return refusals."""
        if self._suspects:
            entering = {} if self._inside else dict([next(iter(self._suspects.items()))])
        else:
            entering, self._waiting = self._waiting, {}
        self._inside |= entering
        refused = []
        for request_id, asked in entering.items():
            try:
                self._engine.add_request(request_id, *asked)
            except RequestError as error:
                refused.append(Output(request_id, error))
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
            return self._fail_all()
        if len(taken) == 1:
            return [Output(next(iter(taken)), failure_of("the engine", error))]
        reason, self._suspects = reason_of(error), taken
        logger.warning("the engine failed (%s): %d requests run one by one", reason, len(taken))
        return []

    def _fail_all(self) -> list[Output]:
        error = RequestError(str(self.lost))
        return [Output(request_id, error) for request_id in {**self._suspects, **self._waiting}]
