"""What the tree searches share: a path of steps, how it grows by one, and how it is rated.

With `max_thinking_tokens` the steps are those of the thinking, and a path that ends its thinking,
or its budget, answers at once. A path that reaches a limit is as complete as one that ends by
itself: it is rated and competes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lm_eval_tts.core.program import GREEDY, Completion, Program, gather, generate
from lm_eval_tts.core.texts import shared_length
from lm_eval_tts.core.trace import Candidate, Request, Trace, TreeStep
from lm_eval_tts.core.voting import aggregate
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.strategies.parts.candidates import RatedStrategy, ask_reward, steps_of
from lm_eval_tts.strategies.parts.checks import at_least, one_of
from lm_eval_tts.strategies.parts.completion import as_written, begin, ends_of, goes_on
from lm_eval_tts.strategies.parts.thinking import (
    answer,
    ending_room,
    note_context,
    open_thinking,
    share_room,
)


@dataclass(frozen=True, slots=True)
class Path:
    """A response so far."""

    trace: Trace
    done: bool = False
    """It is complete."""
    closed: bool = False
    """Its last step is."""
    score: float = math.nan
    """Of all its steps; NaN before it is rated or if it cannot be."""
    step_scores: tuple[float, ...] = ()
    """What the reward model said about each."""
    text: str = ""
    """Of the response."""
    parent: Path | None = field(default=None, repr=False)
    """The path that it extends by a step."""

    @property
    def rank(self) -> float:
        """The score, where a path that cannot be rated comes last."""
        return -math.inf if math.isnan(self.score) else self.score


@dataclass(frozen=True, kw_only=True)
class SearchSettings(RatedStrategy):
    """The settings of every search."""

    n: int = 16
    """Paths at a time, >= 1."""
    num_iterations: int = 40
    """Steps of a path, >= 1; the last one runs to its end."""
    max_step_tokens: int = 512
    """>= 1; a longer step is rated where it stands and goes on in the next iteration."""
    lookahead: int = 0
    """Steps (>= 0) written greedily after a path to rate it with them, and then dropped."""
    answer_mark: str = ""
    """A path is complete with the step that contains this text, such as \\boxed."""

    num_samples = 0  # what a search finds are no independent samples

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "num_iterations", "max_step_tokens")
        at_least(self, 0, "lookahead")


@dataclass(frozen=True, kw_only=True)
class BeamSettings(SearchSettings):
    """The settings of every beam search."""

    beam_width: int = 4
    """>= 1; `n` is a multiple of it."""
    filter_duplicates: bool = True
    """Of paths with the same text only one is kept; the others' expansions go to the kept ones."""
    complete_paths: str = "keep"
    """Complete paths among the best "keep" their place, so the search gets narrower, or all "leave"
    theirs to others, so each iteration writes `n` steps."""
    candidates: str = "complete"
    """What competes in the end: every "complete" path, those that were "kept" among the best, or
    the "first" n of them, after which the search ends."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "beam_width")
        one_of(self, "complete_paths", ("keep", "leave"))
        one_of(self, "candidates", ("complete", "kept", "first"))
        if (self.complete_paths, self.candidates) == ("leave", "kept"):
            raise SettingsError(
                "complete_paths='leave', candidates='kept': paths that leave are never kept"
            )


class SearchStrategy(SearchSettings):
    """Grows paths step by step; the complete ones are its candidates."""

    needs_continuation = True
    answers_within_n = True

    @abstractmethod
    def search(self, growth: Growth) -> Program[list[Path]]:
        """Return the complete paths."""

    def propose(self, request: Request, num_known: int = 0) -> Program[list[Candidate]]:
        """Return the complete paths; samples drawn before change nothing of a search."""
        growth = Growth(request, self)
        paths = yield from self.search(growth)
        places = {id(path): place for place, path in enumerate(growth.grown)}
        tree = tuple(_tried(path, places) for path in growth.grown)
        found = [self.rated(replace(path.trace, tree=tree), path.step_scores) for path in paths]
        return [
            replace(candidate, last_step=places[id(path)])
            for candidate, path in zip(found, paths, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Growth:
    """How the paths of one request grow under a search's settings."""

    request: Request
    settings: SearchSettings
    grown: list[Path] = field(default_factory=list)
    """All that have grown, also those that were not kept."""

    def start(self) -> Path:
        """Return the path without a step. Raises RequestError if there is no room for one."""
        if self.settings.max_thinking_tokens is not None:
            return Path(open_thinking(self.request))
        return Path(begin(self.request))

    def grow_all(self, paths: Iterable[Path], iteration: int) -> Program[list[Path]]:
        """Grow each path by a step, side by side, and rate it."""
        last = iteration == self.settings.num_iterations - 1
        children = yield from gather(self._rated_child(path, last) for path in paths)
        self.grown.extend(children)
        return children

    def _rated_child(self, path: Path, last: bool) -> Program[Path]:
        child = yield from self._grow(path, last)
        ahead, greedy = child, replace(self, request=replace(self.request, sampling=GREEDY))
        for _ in range(self.settings.lookahead):
            if not ahead.done:
                ahead = yield from greedy._grow(ahead, last)
        text = self.request.decode(child.trace.response_ids)
        rated = text if ahead is child else self.request.decode(ahead.trace.response_ids)
        steps = _steps(rated, ahead, self.settings.step_delimiter)
        scores = yield from ask_reward(self.request, steps)
        score = aggregate(scores, self.settings.aggregation)
        return replace(child, score=score, step_scores=scores, text=text, parent=path)

    def _grow(self, path: Path, last: bool) -> Program[Path]:
        if self.settings.max_thinking_tokens is None:
            return self._write_step(path.trace, last)
        return self._think_step(path.trace, self.settings.max_thinking_tokens, last)

    def _write_step(self, trace: Trace, last: bool) -> Program[Path]:
        """Write a step of a response that is one piece."""
        max_tokens, room = self.settings.max_gen_toks, self.request.max_tokens
        left = min(max_tokens, room) - trace.num_tokens()
        ends = ends_of(self.request, trace)
        completion = yield from self._step(trace, self._limit(left, last), ends, last)
        more = goes_on(self.request, trace, completion)
        kept = completion.stop if more else self.request.delimiters.answer_end.strip()
        completion = as_written(completion, kept)
        closed = completion.stop == self.settings.step_delimiter and completion.stop not in ends
        left -= len(completion.token_ids)
        cut = more or completion.finish_reason == "length"
        out = cut and left < 1 and room < max_tokens
        mark, text = self.settings.answer_mark, self.request.decode(completion.token_ids)
        done = left < 1 or not (closed or cut) or bool(mark and mark in text)
        trace = replace(trace.add(completion, "answer"), out_of_context=out)
        return Path(trace, done, closed)

    def _think_step(self, trace: Trace, budget: int, last: bool) -> Program[Path]:
        """Write a step of the thinking, and the answer where the thinking is over with it."""
        start = open_thinking(self.request)
        room = share_room(self.request, start, self.settings.max_answer_tokens)
        left = min(budget, room.thinking) - trace.num_tokens("thinking")
        path = yield from self._think(trace, left, last)
        if not path.done:
            return path
        trace = note_context(self.request, path.trace, budget, room)
        return Path((yield from answer(self.request, trace, room.answer)), done=True)

    def _think(self, trace: Trace, left: int, last: bool) -> Program[Path]:
        """Write a step of the thinking; it is done if the thinking is over."""
        if left < 1:
            return Path(trace, done=True)
        limit, end = self._limit(left, last), self.request.delimiters.ending
        ending = ending_room(self.request, end)
        completion = yield from self._step(trace, limit + ending, (end,), last)
        if completion.stop == self.settings.step_delimiter:
            ending = 0  # the delimiter is part of the thinking
        completion = completion.within(limit, ending)
        closed = completion.stop == self.settings.step_delimiter
        over = len(completion.token_ids) >= left
        over = over or not (closed or completion.finish_reason == "length")
        if over and closed:  # the budget ends with a step: the thinking itself has not ended
            completion = replace(completion, finish_reason="length")
        return Path(trace.add(completion, "thinking"), done=over, closed=closed)

    def _limit(self, left: int, last: bool) -> int:
        return left if last else min(left, self.settings.max_step_tokens)

    def _step(
        self, trace: Trace, max_tokens: int, ends: tuple[str, ...], last: bool
    ) -> Program[Completion]:
        """Write up to the end of a step, or of what `ends` end where this is the last one."""
        delimiter = self.settings.step_delimiter
        completion = yield from generate(
            trace.token_ids,
            max_tokens=max_tokens,
            stop=ends if last else (delimiter, *ends),
            sampling=self.request.sampling,
        )
        return completion if completion.stop in ends else as_written(completion, delimiter)


def _tried(path: Path, places: Mapping[int, int]) -> TreeStep:
    """Return the last step of a path. places: of paths in the tree, by their ids."""
    before = path.parent.text if path.parent else ""
    begins = shared_length(before, path.text)  # not all of it where that ended within a character
    return TreeStep(places.get(id(path.parent), -1), path.text[begins:], path.score)


def _steps(text: str, path: Path, delimiter: str) -> list[str]:
    """Return the steps of a path; what a token holds after a closed step is not one yet."""
    if path.closed and not path.done:
        text = text[: text.rfind(delimiter)]
    return steps_of(text, delimiter)


def best_paths(paths: Sequence[Path], count: int) -> list[Path]:
    """Return the best-rated paths as they come: of equal scores by the last step's, then the first.

    A path's minimum or mean score ties with its siblings' more often than the last one.
    """
    ranked = sorted(paths, key=lambda path: (-path.rank, -(path.step_scores or (0.0,))[-1]))
    best = set(map(id, ranked[:count]))
    return [path for path in paths if id(path) in best]


def distinct_paths(paths: Iterable[Path]) -> list[Path]:
    """Return the paths without those that say the same as an earlier one."""
    return list({path.trace.response_ids: path for path in reversed(list(paths))}.values())[::-1]
