"""What the tree searches share: a path of steps, how it grows by one, and how it is rated.

With `max_thinking_tokens` the steps are those of the thinking, and a path that ends its thinking,
or its budget, answers at once. A path that reaches a limit is as complete as one that ends by
itself: it is rated and competes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lm_eval_tts.core.program import GREEDY, Completion, Program, gather, generate
from lm_eval_tts.core.trace import Candidate, Request, Trace
from lm_eval_tts.core.voting import aggregate
from lm_eval_tts.errors import RequestError
from lm_eval_tts.strategies.best_of_n import choose
from lm_eval_tts.strategies.parts.candidates import Rated, at_least, rate, steps_of
from lm_eval_tts.strategies.parts.natural import as_written, goes_on, stops_of
from lm_eval_tts.strategies.parts.thinking import (
    Room,
    answer,
    ending_room,
    note_context,
    open_thinking,
    share_room,
)


@dataclass(frozen=True, slots=True)
class Path:
    """A response so far. done: it is complete. closed: its last step is.

    score: of all its steps, NaN before it is rated or if it cannot be.
    """

    trace: Trace
    done: bool = False
    closed: bool = False
    score: float = math.nan
    step_scores: tuple[float, ...] = ()

    @property
    def rank(self) -> float:
        """The score, where a path that cannot be rated comes last."""
        return -math.inf if math.isnan(self.score) else self.score


@dataclass(frozen=True, slots=True, kw_only=True)
class Search(Rated):
    """The settings of every search.

    num_iterations: steps of a path, >= 1; the last one runs to its end. max_step_tokens: a longer
    step is rated where it stands and goes on in the next iteration. lookahead: steps (>= 0)
    written greedily behind a path to rate it with them, and then dropped.
    """

    n: int = 16
    num_iterations: int = 40
    max_step_tokens: int = 512
    lookahead: int = 0

    def __post_init__(self) -> None:
        Rated.__post_init__(self)
        at_least(self, 1, "num_iterations", "max_step_tokens")
        at_least(self, 0, "lookahead")

    @property
    def score_names(self) -> tuple[str, ...]:
        """The reward model's."""
        return ("reward",)

    @property
    def num_samples(self) -> int:
        """None: what a search finds are no independent samples."""
        return 0

    def start(self, request: Request) -> Path:
        """Return the path without a step. Raises RequestError if there is no room for one."""
        if self.max_thinking_tokens is not None:
            return Path(open_thinking(request))
        if request.max_tokens < 1:
            raise RequestError(f"prompt of {len(request.prompt)} tokens leaves no room to answer")
        return Path(Trace(request.prompt))

    def grow_all(
        self, request: Request, paths: Iterable[Path], iteration: int
    ) -> Program[list[Path]]:
        """Grow each path by a step, side by side, and rate it."""
        last = iteration == self.num_iterations - 1
        return (yield from gather(self._rated_child(request, path, last) for path in paths))

    def choose(self, request: Request, finished: Sequence[Path]) -> Trace:
        """Return the best complete path, with all of them as its candidates."""
        candidates = [
            Candidate(path.trace, (("reward", path.score),), path.step_scores) for path in finished
        ]
        return choose(request, candidates, "reward", self.weighted)

    def _rated_child(self, request: Request, path: Path, last: bool) -> Program[Path]:
        child = yield from self._grow(request, path, last)
        ahead, greedy = child, replace(request, sampling=GREEDY)
        for _ in range(self.lookahead):
            if not ahead.done:
                ahead = yield from self._grow(greedy, ahead, last)
        steps = _steps(request, ahead, self.step_delimiter)
        scores = yield from rate(request, steps)
        return replace(child, score=aggregate(scores, self.aggregation), step_scores=scores)

    def _grow(self, request: Request, path: Path, last: bool) -> Program[Path]:
        if self.max_thinking_tokens is None:
            return (yield from self._write_step(request, path.trace, last))
        room = share_room(request, open_thinking(request), self.max_answer_tokens)
        return (yield from self._think_step(request, path.trace, room, last))

    def _write_step(self, request: Request, trace: Trace, last: bool) -> Program[Path]:
        """Write a step of a response that is one piece."""
        left = min(self.max_gen_toks, request.max_tokens) - trace.num_tokens()
        limit = left if last else min(left, self.max_step_tokens)
        stop = stops_of(request, trace)
        completion = yield from self._step(request, trace, limit, stop, last)
        more = goes_on(request, trace, completion)
        ended = completion.stop in request.until and not more
        closed = completion.stop == self.step_delimiter and not ended
        answer_end = request.delimiters.answer_end.strip()
        if closed or more or (answer_end and completion.stop == answer_end):
            completion = as_written(completion)
        left -= len(completion.token_ids)
        cut = more or completion.finish_reason == "length"
        out = cut and left < 1 and request.max_tokens < self.max_gen_toks
        trace = replace(trace.add(completion, "answer"), out_of_context=out)
        return Path(trace, done=left < 1 or not (closed or cut), closed=closed)

    def _think_step(self, request: Request, trace: Trace, room: Room, last: bool) -> Program[Path]:
        """Write a step of the thinking, and the answer where the thinking is over with it."""
        path = yield from self._think(request, trace, room, last)
        if not path.done:
            return path
        trace = note_context(request, path.trace, self.max_thinking_tokens or 0, room)
        return Path((yield from answer(request, trace, room.answer)), done=True)

    def _think(self, request: Request, trace: Trace, room: Room, last: bool) -> Program[Path]:
        """Write a step of the thinking; it is done if the thinking is over."""
        left = min(self.max_thinking_tokens or 0, room.thinking) - trace.num_tokens("thinking")
        if left < 1:
            return Path(trace, done=True)
        limit = left if last else min(left, self.max_step_tokens)
        stop = (request.delimiters.thinking_end.strip(),)
        ending = ending_room(request, request.delimiters.thinking_end)
        completion = yield from self._step(request, trace, limit + ending, stop, last)
        if completion.stop == self.step_delimiter:
            completion = as_written(completion)
            ending = 0  # the delimiter is part of the thinking
        completion = completion.within(limit, ending)
        closed = completion.stop == self.step_delimiter
        left -= len(completion.token_ids)
        over = left < 1 or not (closed or completion.finish_reason == "length")
        if over and closed:  # the budget ends with a step: the thinking itself has not ended
            completion = replace(completion, finish_reason="length")
        return Path(trace.add(completion, "thinking"), done=over, closed=closed)

    def _step(
        self, request: Request, trace: Trace, limit: int, stop: tuple[str, ...], last: bool
    ) -> Program[Completion]:
        step = () if last else (self.step_delimiter,)
        return (
            yield from generate(
                trace.token_ids, max_tokens=limit, stop=(*step, *stop), sampling=request.sampling
            )
        )


def _steps(request: Request, path: Path, delimiter: str) -> list[str]:
    """Return the steps of a path; what a token holds behind a closed step is not one yet."""
    text = request.decode(path.trace.response_ids)
    if path.closed and not path.done:
        text = text[: text.rfind(delimiter)]
    return steps_of(text, delimiter)


def best(paths: Iterable[Path], count: int) -> list[Path]:
    """Return the best-rated paths, the earlier one where two are alike."""
    return sorted(paths, key=lambda path: -path.rank)[:count]


def distinct(paths: Iterable[Path]) -> list[Path]:
    """Return the paths without those that say the same as an earlier one."""
    return list({path.trace.response_ids: path for path in reversed(list(paths))}.values())[::-1]
