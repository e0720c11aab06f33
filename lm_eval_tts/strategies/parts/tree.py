"""What the tree searches share: a path of steps, how it grows by one, and how it is rated.

With `max_thinking_tokens` the steps are those of the thinking, and a path that ends its thinking,
or its budget, answers at once. A path that reaches a limit is as complete as one that ends by
itself: it is rated and competes."""

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from lm_eval_tts.core.fields import at_least, setting
from lm_eval_tts.core.program import GREEDY, Completion, Program, gather, generate
from lm_eval_tts.core.texts import shared_length
from lm_eval_tts.core.trace import Candidate, Request, Trace, TreeStep
from lm_eval_tts.core.voting import aggregate
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.strategies.parts import writing
from lm_eval_tts.strategies.parts.candidates import RatedStrategy, ask_reward, steps_of


@dataclass(frozen=True, slots=True)
class Path:
    """A response so far."""

    trace: Trace
    done: bool = False  # it is complete
    closed: bool = False  # its last step is
    score: float = math.nan  # of all its steps; NaN before it is rated or if it cannot be
    step_scores: tuple[float, ...] = ()  # what the reward model said about each
    text: str = ""  # of the response
    parent: "Path | None" = field(default=None, repr=False)  # the path that it extends by a step

    @property
    def rank(self) -> float:
        """The score, where a path that cannot be rated comes last."""
        return -math.inf if math.isnan(self.score) else self.score


@dataclass(frozen=True, kw_only=True)
class SearchSettings(RatedStrategy):
    """The settings of every search."""

    n: int = setting(16, at_least(1))  # Paths at a time, >= 1.
    # Steps of a path, >= 1; the last one runs to its end.
    num_iterations: int = setting(40, at_least(1))
    # >= 1; a longer step is rated where it stands and goes on in the next iteration.
    max_step_tokens: int = setting(512, at_least(1))
    # Steps (>= 0) written greedily after a path to rate it with them, and then dropped.
    lookahead: int = setting(0, at_least(0))
    # A path is complete with the step that contains this text, such as \boxed.
    answer_mark: str = ""

    num_samples = 0  # what a search finds are no independent samples


@dataclass(frozen=True, kw_only=True)
class BeamSettings(SearchSettings):
    """The settings of every beam search."""

    beam_width: int = setting(4, at_least(1))  # >= 1; `n` is a multiple of it.
    # Of paths with the same text only one is kept; the others' expansions go to the kept ones.
    filter_duplicates: bool = True
    # Complete paths among the best "keep" their place, so the search gets narrower, or all "leave"
    # theirs to others, so each iteration writes `n` steps.
    complete_paths: str = setting("keep", ("keep", "leave"))
    # What competes in the end: every "complete" path, those that were "kept" among the best, or the
    # "first" n of them, after which the search ends.
    candidates: str = setting("complete", ("complete", "kept", "first"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.complete_paths, self.candidates) == ("leave", "kept"):
            raise SettingsError(
                "complete_paths='leave', candidates='kept': paths that leave are never kept"
            )


class SearchStrategy(SearchSettings):
    """Grows paths step by step; the complete ones are its candidates."""

    needs_continuation = True
    answers_within_n = True

    @abstractmethod
    def search(self, growth: "Growth") -> Program[list[Path]]:
        """Return the complete paths."""

    def propose(self, request: Request, num_known: int = 0) -> Program[list[Candidate]]:
        """Return the complete paths; samples drawn before change nothing of a search."""
        growth = Growth(request, self)
        paths = yield from self.search(growth)
        places = {id(path): place for place, path in enumerate(growth.grown)}
        tree = tuple(_tried(path, places) for path in growth.grown)
        rated = (self.rated(replace(path.trace, tree=tree), path.step_scores) for path in paths)
        found = zip(rated, paths, strict=True)
        return [replace(candidate, last_step=places[id(path)]) for candidate, path in found]


@dataclass(frozen=True, slots=True)
class Growth:
    """How the paths of one request grow under a search's settings."""

    request: Request
    settings: SearchSettings
    grown: list[Path] = field(default_factory=list)  # all, also those that were not kept

    def start(self) -> Path:
        """Return the path without a step. Raises RequestError if there is no room for one."""
        if self.settings.max_thinking_tokens is not None:
            return Path(writing.open_thinking(self.request))
        return Path(writing.begin(self.request))

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
        if ahead.closed and not ahead.done:  # what a token holds after it is not a step yet
            rated = rated[: rated.rfind(self.settings.step_delimiter)]
        steps = steps_of(rated, self.settings.step_delimiter)
        scores = yield from ask_reward(self.request, steps)
        score = aggregate(scores, self.settings.aggregation)
        return replace(child, score=score, step_scores=scores, text=text, parent=path)

    def _grow(self, path: Path, last: bool) -> Program[Path]:
        if self.settings.max_thinking_tokens is None:
            return self._write_step(path.trace, last)
        return self._think_step(path.trace, self.settings.max_thinking_tokens, last)

    def _write_step(self, trace: Trace, last: bool) -> Program[Path]:
        max_tokens, room = self.settings.max_gen_toks, self.request.max_tokens
        left = min(max_tokens, room) - trace.num_tokens()
        ends = writing.ends_of(self.request, trace)
        completion = yield from self._step(trace, self._limit(left, last), ends, last)
        more = writing.goes_on(self.request, trace, completion)
        kept = completion.stop if more else self.request.delimiters.tags[3]
        completion = writing.as_written(completion, kept)
        closed = completion.stop == self.settings.step_delimiter and completion.stop not in ends
        left -= len(completion.token_ids)
        cut = more or completion.finish_reason == "length"
        out = cut and left < 1 and room < max_tokens
        mark, text = self.settings.answer_mark, self.request.decode(completion.token_ids)
        done = left < 1 or not (closed or cut) or bool(mark and mark in text)
        trace = replace(trace.add(completion, "answer"), out_of_context=out)
        return Path(trace, done, closed)

    def _think_step(self, trace: Trace, budget: int, last: bool) -> Program[Path]:
        start = writing.open_thinking(self.request)
        room = writing.share_room(self.request, start, self.settings.max_answer_tokens)
        left = min(budget, room.thinking) - trace.num_tokens("thinking")
        path = yield from self._think(trace, left, last)
        if not path.done:
            return path
        trace = writing.note_context(self.request, path.trace, budget, room)
        return Path((yield from writing.answer(self.request, trace, room.answer)), done=True)

    def _think(self, trace: Trace, left: int, last: bool) -> Program[Path]:
        if left < 1:
            return Path(trace, done=True)
        limit, end = self._limit(left, last), self.request.delimiters.ending
        ending = writing.ending_room(self.request, end)
        completion = yield from self._step(trace, limit + ending, (end,), last)
        if completion.stop == self.settings.step_delimiter:
            ending = 0  # the delimiter is part of the thinking
        completion = completion.within(limit, ending)
        closed = completion.stop == self.settings.step_delimiter
        full = len(completion.token_ids) >= left
        if full and closed:  # the budget ends with a step: the thinking itself has not ended
            completion = replace(completion, finish_reason="length")
        over = full or not (closed or completion.finish_reason == "length")
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
        return completion if completion.stop in ends else writing.as_written(completion, delimiter)


def _tried(path: Path, places: Mapping[int, int]) -> TreeStep:
    """Return the last step of a path. places: of paths in the tree, by their ids."""
    before = path.parent.text if path.parent else ""
    begins = shared_length(before, path.text)  # not all of it where that ended within a character
    return TreeStep(places.get(id(path.parent), -1), path.text[begins:], path.score)
