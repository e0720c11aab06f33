"""An engine around another, in which a request that breaks a step fails alone, and which remembers.

When a step raises, nobody knows whose fault it was. So the requests under way are dropped from the
engine and run again one by one: those that break it again are failures with a reason, the others
get their results, the same ones, since seeds belong to ops. An engine that breaks on everything, or
whose device is lost, is not asked again: all that is left fails with its error.

Finished requests go to a journal, and those it knows are not run. A request is known by its seed
and its op. Seeds are derived from document, repeat and path in the program, so within a run they
identify the request; two equal ops of one seed have one result. Programs replay on the results, so
scheduler, strategies and engines need to know nothing of it."""

import hashlib
import logging
import struct
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from lm_eval_tts.core.engine import Engine, Output, check_fits
from lm_eval_tts.core.journal import Journal
from lm_eval_tts.core.program import Completion, Generate, SampledCounts, TokenLogprob
from lm_eval_tts.engines.requests import common_prefix
from lm_eval_tts.errors import RequestError, device_lost, failure_of, reason_of

logger = logging.getLogger(__name__)

MAX_BREAKS = 32  # one after the other, without a step that went well between them
_Asked = tuple[Generate, int, str]  # with its seed, and its key in a journal
_int64 = lru_cache(1024)(lambda count: struct.Struct(f"<{count}q"))  # twice as fast as an array
_others = attrgetter(*(field.name for field in fields(Generate) if field.name != "token_ids"))


class ReliableEngine:
    """Wraps an engine whose `step` may raise; its `abort` must leave it clean after that.
    journal: hands out what is in it, and takes what the engine finishes before it counts. Failures
    are not kept: a request that could not be served is tried again by the next process.
    lost: why the engine is not asked any more, if so."""

    def __init__(self, engine: Engine, journal: Journal | None = None) -> None:
        self.lost: str | None = None
        self.max_length = engine.max_length
        self.num_unfinished = 0
        self._engine = engine
        self._journal = journal
        self._waiting: dict[int, _Asked] = {}  # what came since the last step
        self._inside: dict[int, _Asked] = {}  # what the engine has
        self._suspects: dict[int, _Asked] = {}  # what it had when it broke: each runs alone
        self._num_breaks = 0

    @property
    def max_num_seqs(self) -> int:
        """Sequences worth having under way at once."""
        return self._engine.max_num_seqs

    def add_request(self, request_id: int, op: Generate, seed: int) -> None:
        """Queue an op. Raises RequestError if its prompt leaves no room for a token."""
        check_fits(op, self.max_length)
        self._waiting[request_id] = op, seed, op_key(op, seed) if self._journal is not None else ""
        self.num_unfinished += op.n

    def step(self) -> list[Output]:
        """Return what is known, or advance the engine; where it raises, find out whose fault it
        was."""
        finished: list[Output] = []
        try:
            if not (outputs := self._admit()) and self._inside:
                finished = self._engine.step()
                self._num_breaks = 0
        except Exception as error:  # whatever a model's code raises
            outputs = self._take_out(error)
        outputs += map(self._keep, finished)
        for output in outputs:
            self._forget(output.request_id)
        return outputs

    def abort(self, request_id: int) -> None:
        """Drop a request; unknown ids are ignored."""
        self._forget(request_id)
        self._engine.abort(request_id)

    def _forget(self, request_id: int) -> None:
        held = (self._waiting, self._inside, self._suspects)
        if found := [some.pop(request_id) for some in held if request_id in some]:
            self.num_unfinished -= found[0][0].n

    def _admit(self) -> list[Output]:
        """Let in what waits, or the next suspect when nothing else is inside; return what is known
        or refused."""
        if self._suspects and not self.lost:
            entering = {} if self._inside else dict([next(iter(self._suspects.items()))])
        else:
            entering, self._waiting = {**self._suspects, **self._waiting}, {}
        self._inside |= entering
        outputs = []
        for request_id, (op, seed, key) in entering.items():
            if (known := self._recall(key)) is not None:
                outputs.append(Output(request_id, known))
            elif self.lost:
                outputs.append(Output(request_id, RequestError(self.lost)))
            else:
                try:
                    self._engine.add_request(request_id, op, seed)
                except RequestError as error:
                    outputs.append(Output(request_id, error))
        return outputs

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
            return self._admit()
        if len(taken) == 1:
            return [Output(next(iter(taken)), failure_of("the engine", error))]
        reason, self._suspects = reason_of(error), taken
        logger.warning("the engine failed (%s): %d requests run one by one", reason, len(taken))
        return []

    def _recall(self, key: str) -> tuple[Completion, ...] | None:
        """Return what the journal has; what cannot be ours is computed again."""
        if self._journal is None or (found := self._journal.get(key)) is None:
            return None
        try:
            return unpack(found)
        except (TypeError, ValueError) as error:
            self._journal.forget(key, str(error))
            return None

    def _keep(self, output: Output) -> Output:
        """Journal a result; where an equal op was faster, its result is the one."""
        (*_, key), result = self._inside[output.request_id], output.result
        if self._journal is None or isinstance(result, RequestError):
            return output
        if self._journal.add(key, pack(result)):
            return output
        return Output(output.request_id, self._recall(key) or result)


def op_key(op: Generate, seed: int) -> str:
    """Return what identifies an op within a run: a hash of all its fields and its seed."""
    ids = _int64(len(op.token_ids)).pack(*op.token_ids)
    state = hashlib.blake2b(ids, digest_size=16)
    state.update(repr((seed, _settings(*_others(op)))).encode())
    return state.hexdigest()


@lru_cache(1024)  # the settings of most ops are those of others
def _settings(*values: Any) -> bytes:
    return repr(values).encode()


def pack(completions: tuple[Completion, ...]) -> list[Any]:
    """Return completions as JSON can hold them; floats and NaN come back exactly."""
    packed = []
    for c in completions:
        common = common_prefix(c.token_ids, c.sampled_ids)  # the others are of a cut token
        ids = [c.sampled_ids, common, c.token_ids[common:]]
        packed.append([*ids, c.finish_reason, c.stop, c.logprobs, *(c.counts or ())])
    return packed


def unpack(packed: list[Any]) -> tuple[Completion, ...]:
    """Return the completions that `pack` was given."""
    return tuple(map(_unpacked, packed))


def _unpacked(one: list[Any]) -> Completion:
    sampled, common, others, reason, stop, logprobs, *counts = one
    ids = tuple(sampled)
    kept = ids if common == len(ids) and not others else (*ids[:common], *others)
    told = tuple(TokenLogprob(own, tuple(top), mean) for own, top, mean in logprobs)
    return Completion(kept, ids, reason, stop, told, SampledCounts(*counts) if counts else None)
