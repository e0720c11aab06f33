"""An engine that remembers: finished requests go to a journal, and those it knows are not run.

A request is known by its seed and its op. Seeds are derived from document, repeat and path in the
program, so within a run they identify the request; two equal ops of one seed have one result.
Programs replay on the results, so scheduler, strategies and engines need to know nothing of it."""

import hashlib
from array import array
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from lm_eval_tts.core.engine import Engine, EngineWrapper, Output
from lm_eval_tts.core.journal import Journal
from lm_eval_tts.core.program import Completion, FinishReason, Generate, SampledCounts, TokenLogprob
from lm_eval_tts.engines.requests import common_prefix
from lm_eval_tts.errors import RequestError

_others = attrgetter(*(field.name for field in fields(Generate) if field.name != "token_ids"))


class JournaledEngine(EngineWrapper):
    """Hands out what the journal has, and journals what the engine finishes before it counts.
    Failures are not kept: a request that could not be served is tried again by the next process."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        super().__init__(engine)
        self._journal = journal
        self._known: dict[int, tuple[Completion, ...]] = {}
        self._keys: dict[int, str] = {}

    @property
    def num_unfinished(self) -> int:
        """Sequences added and not yet returned or aborted."""
        return self._engine.num_unfinished + sum(map(len, self._known.values()))

    def add_request(self, request_id: int, op: Generate, seed: int) -> None:
        """Queue an op. Raises RequestError if its prompt leaves no room for a token."""
        key = op_key(op, seed)
        if (known := self._recall(key)) is not None:
            self._known[request_id] = known
            return
        self._engine.add_request(request_id, op, seed)
        self._keys[request_id] = key

    def step(self) -> list[Output]:
        """Return what was known, or else advance the engine."""
        if self._known:
            known, self._known = self._known, {}
            return [Output(request_id, result) for request_id, result in known.items()]
        return [Output(i, self._keep(self._keys.pop(i), r)) for i, r in self._engine.step()]

    def abort(self, request_id: int) -> None:
        """Drop a request; unknown ids are ignored."""
        self._known.pop(request_id, None)
        self._keys.pop(request_id, None)
        self._engine.abort(request_id)

    def _recall(self, key: str) -> tuple[Completion, ...] | None:
        """Return what the journal has; what cannot be ours is computed again."""
        if (found := self._journal.get(key)) is None:
            return None
        try:
            return unpack(found)
        except (TypeError, ValueError) as error:
            self._journal.forget(key, str(error))
            return None

    def _keep(
        self, key: str, result: tuple[Completion, ...] | RequestError
    ) -> tuple[Completion, ...] | RequestError:
        """Journal a result; where an equal op was faster, its result is the one."""
        if isinstance(result, RequestError) or self._journal.add(key, pack(result)):
            return result
        return self._recall(key) or result


def op_key(op: Generate, seed: int) -> str:
    """Return what identifies an op within a run: a hash of all its fields and its seed."""
    state = hashlib.blake2b(array("q", op.token_ids).tobytes(), digest_size=16)
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
    return tuple(_unpacked(*one) for one in packed)


def _unpacked(
    sampled: list[int],
    common: int,
    others: list[int],
    reason: FinishReason,
    stop: str | None,
    logprobs: list[Any],
    *counts: int,
) -> Completion:
    ids = tuple(sampled)
    kept = ids if common == len(ids) and not others else (*ids[:common], *others)
    told = tuple(TokenLogprob(own, tuple(top), mean) for own, top, mean in logprobs)
    return Completion(kept, ids, reason, stop, told, SampledCounts(*counts) if counts else None)
