"""The one driver: runs many programs over one engine, each resumed as soon as its own op is done.

There are no rounds, so a straggler delays only itself. Programs are started when the engine has
room, so a run of any size holds only the unfinished ones in memory. Scores are asked for together,
over all programs, whenever the engine could take more work. Knows the ops and the protocols of
engine and reward model; nothing of strategies, tokens or text."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic

from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.program import Generate, Join, Op, Program, Score, Spawn, StepScores, T, Task
from lm_eval_tts.core.reward_model import RewardModel, settled
from lm_eval_tts.errors import RequestError, SettingsError, failure_of


@dataclass(slots=True)
class Cost:
    """What a program spent, counted so that nothing depends on what runs alongside it. The reward
    model's time does, and so does what it need not read again: it counts these itself."""

    num_engine_calls: int = 0
    # Tokens sent to the engine, whether or not it had some of them cached.
    num_prompt_tokens: int = 0
    num_sampled_tokens: int = 0
    num_scores: int = 0  # responses that the reward model was asked about
    num_scorer_tokens: int = 0  # tokens of their texts
    num_unrated: int = 0  # responses that it could not rate
    unrated: str = ""  # why it could not, for the first of them

    def count_rating(self, result: StepScores | RequestError) -> None:
        """Count what the reward model said of a response."""
        self.num_scores += 1
        if isinstance(result, RequestError):
            self.num_unrated += 1
            self.unrated = self.unrated or str(result)
        else:
            self.num_scorer_tokens += result.num_tokens


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """A program to run."""

    program: Program[T]
    seed: int  # fixes everything it samples, whatever runs beside it


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """What became of a program."""

    job: int  # the number of its job, in the order they were given
    value: T | RequestError  # what it returned, or the error that ended it
    cost: Cost


def derive_seed(seed: int, *path: int | str) -> int:
    """Return a 63-bit seed for a place below `seed`, the same on every machine and run."""
    text = "\x1f".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@dataclass(slots=True, eq=False)
class _Frame:
    """A running program and what it is waiting for."""

    program: Program[Any]
    seed: int
    cost: Cost
    deliver: Callable[[Any], None]  # takes its value
    num_ops: int = 0
    request_id: int | None = None  # of what the engine is doing for it
    cancelled: bool = False
    num_spawned: int = 0
    # The number of the first child since its last op, from which seeds are counted.
    siblings_from: int = 0
    # What it has spawned and is under way, by number.
    children: "dict[int, _Frame]" = field(default_factory=dict)
    values: dict[int, Any] = field(default_factory=dict)  # of the children that ended
    joining: tuple[int, ...] | None = None  # the numbers that it waits for, if it does


class _Scheduler:
    def __init__(self, engine: Engine, reward_model: RewardModel | None) -> None:
        self._engine = engine
        self._reward_model = reward_model
        self._waiting: dict[int, _Frame] = {}
        self.unscored: list[tuple[_Frame, Score]] = []  # what waits for the reward model
        self._ready: deque[tuple[_Frame, Any]] = deque()  # and what each is resumed with
        self._next_id = 0
        self.finished: deque[Result[Any]] = deque()
        self.num_running = 0

    def start(self, number: int, job: Job[Any]) -> None:
        self.num_running += 1
        cost = Cost()
        frame = _Frame(job.program, job.seed, cost, partial(self._finish, number, cost))
        self._ready.append((frame, None))
        self._drain()

    def _finish(self, number: int, cost: Cost, value: Any) -> None:
        self.num_running -= 1
        self.finished.append(Result(number, value, cost))

    def step(self) -> None:
        for request_id, result in self._engine.step():
            frame = self._waiting.pop(request_id)
            frame.request_id = None
            if not isinstance(result, RequestError):
                frame.cost.num_sampled_tokens += sum(c.num_sampled for c in result)
            self._ready.append((frame, result))
        self._drain()

    def score(self) -> None:
        """Ask the reward model about all responses that wait for it, in one call."""
        asked = [(frame, op) for frame, op in self.unscored if not frame.cancelled]
        self.unscored = []
        if not asked or self._reward_model is None:
            return
        results = map(settled, self._reward_model.score([op for _, op in asked]))
        for (frame, _), result in zip(asked, results, strict=True):
            frame.cost.count_rating(result)
            self._ready.append((frame, result))
        self._drain()

    def _drain(self) -> None:
        """Run what is ready in a loop, not by recursion: programs may nest deeply."""
        while self._ready:
            frame, value = self._ready.popleft()
            if not frame.cancelled:
                self._resume(frame, value)

    def _resume(self, frame: _Frame, value: Any) -> None:
        try:
            failed = isinstance(value, RequestError)
            op = frame.program.throw(value) if failed else frame.program.send(value)
        except StopIteration as stop:
            ended = stop.value
        except SettingsError:  # of no document, but of all
            raise
        except Exception as error:  # whatever a strategy's code raises
            ended = failure_of("the strategy", error)
        else:
            self._dispatch(frame, op)
            return
        self._cancel_children(frame)
        frame.deliver(ended)

    def _dispatch(self, frame: _Frame, op: Op) -> None:
        seed = derive_seed(frame.seed, frame.num_ops)
        if isinstance(op, Spawn):  # not counted, so that what follows does not depend on it
            self._spawn(frame, op, seed)
            return
        frame.num_ops += 1
        frame.siblings_from = frame.num_spawned
        if isinstance(op, Join):
            frame.joining = tuple(task.number for task in op.tasks)
            self._join(frame)
        elif not isinstance(op, Score):
            self._generate(frame, op, seed)
        elif self._reward_model is None:
            raise SettingsError("the strategy asks for scores: set reward_model= to a checkpoint")
        else:
            self.unscored.append((frame, op))

    def _generate(self, frame: _Frame, op: Generate, seed: int) -> None:
        request_id = self._next_id
        self._next_id += 1
        try:
            self._engine.add_request(request_id, op, seed)
        except RequestError as error:
            self._ready.append((frame, error))
            return
        frame.cost.num_engine_calls += 1
        frame.cost.num_prompt_tokens += len(op.token_ids)
        frame.request_id = request_id
        self._waiting[request_id] = frame

    def _spawn(self, frame: _Frame, op: Spawn, seed: int) -> None:
        numbers = range(frame.num_spawned, frame.num_spawned + len(op.programs))
        frame.num_spawned = numbers.stop
        for number, program in zip(numbers, op.programs, strict=True):
            deliver = partial(self._deliver, frame, number)
            child_seed = derive_seed(seed, number - frame.siblings_from)
            frame.children[number] = _Frame(program, child_seed, frame.cost, deliver)
            self._ready.append((frame.children[number], None))
        self._ready.append((frame, list(map(Task, numbers))))

    def _deliver(self, frame: _Frame, number: int, value: Any) -> None:
        """Keep what a child has returned for the join that asks for it."""
        del frame.children[number]
        frame.values[number] = value
        self._join(frame)

    def _join(self, frame: _Frame) -> None:
        """Resume a frame that waits for children if all have ended, or one has failed."""
        if frame.joining is None:
            return
        ended = [frame.values[number] for number in frame.joining if number in frame.values]
        failed = next((value for value in ended if isinstance(value, RequestError)), None)
        if failed is not None:
            self._cancel_children(frame)
        elif len(ended) < len(frame.joining):
            return
        frame.joining = None
        self._ready.append((frame, ended if failed is None else failed))

    def _cancel_children(self, frame: _Frame) -> None:
        for child in frame.children.values():
            if child.request_id is not None:
                self._engine.abort(child.request_id)
                self._waiting.pop(child.request_id, None)
            self._cancel_children(child)
            child.cancelled = True
            child.program.close()
        frame.children = {}


def run(
    jobs: Iterable[Job[T]], engine: Engine, reward_model: RewardModel | None = None
) -> Iterator[Result[T]]:
    """Run programs over an engine and yield their results as they finish.
    reward_model: answers Score ops. Nothing is gained by asking it while the engine has all the
    work it can take, so scores wait for that and go in larger batches. A program whose request
    cannot be served may catch the RequestError where it yielded the op; if it does not, the error
    is its result and the others go on. Whatever else a program raises ends it alike, but a
    SettingsError, which is raised here."""
    scheduler = _Scheduler(engine, reward_model)
    waiting = enumerate(jobs)
    while True:
        while engine.num_unfinished < engine.max_num_seqs:
            if scheduler.unscored:
                scheduler.score()
            elif (numbered := next(waiting, None)) is not None:
                scheduler.start(*numbered)
            else:
                break
        while scheduler.finished:
            yield scheduler.finished.popleft()
        if not engine.num_unfinished:
            what = "a program waits, but the engine has nothing under way"
            assert not scheduler.num_running, what
            return
        scheduler.step()
