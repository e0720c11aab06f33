"""Grades many responses over all cores: equal items once, the same verdicts in any order.

Worker processes do what needs no computer algebra in chunks; the pairs that are left over are
then asked one by one. A lost process is replaced, and its chunk is graded here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

from tqdm.auto import tqdm

from lm_eval_tts.grading.canonical import form_of
from lm_eval_tts.grading.equality import are_alike, is_open, trees_of
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.processes import WorkerLost, worker
from lm_eval_tts.grading.tolerance import Tolerance
from lm_eval_tts.grading.trees import Node
from lm_eval_tts.grading.values import TooLarge, Unreadable
from lm_eval_tts.grading.verdicts import Item, Verdict, assess, by_algebra

MIN_ITEMS = 200  # below, starting processes takes longer than the work
CHUNK = 64
CHUNK_SECONDS = 120.0
SECONDS = 8.0  # for one answer, once the process runs; the budget of calls ends far before
WARM_SECONDS = 60.0
ALGEBRA = "lm_eval_tts.grading.algebra"
T = TypeVar("T")
R = TypeVar("R")


def grade_many(
    items: Iterable[Item], *, progress: bool = False, num_workers: int | None = None
) -> list[Verdict]:
    """Grade responses as `grade` does, over `num_workers` processes (default: all cores)."""
    items = [Item(*item) for item in items]
    keys = list(map(_key, items))
    unique = dict(zip(keys, items, strict=True))
    workers = num_workers or os.cpu_count() or 1
    with tqdm(total=len(unique), desc="grading", disable=not progress) as bar:
        verdicts = _assess_all(list(unique.values()), workers, bar.update)
    pairs = [_pair(v, i.reference) for v, i in zip(verdicts, unique.values(), strict=True)]
    left = sorted({pair for pair, v in zip(pairs, verdicts, strict=True) if v.undecided})
    known = dict(zip(left, _over(left, lambda pair: decided(*pair), workers), strict=True))
    found = map(by_algebra, verdicts, unique.values(), map(known.get, pairs))
    done = dict(zip(unique, found, strict=True))
    return [done[key] for key in keys]


def finished(verdict: Verdict, item: Item) -> Verdict:
    """Return a verdict, asking computer algebra where that is left."""
    pair = _pair(verdict, item.reference)
    return by_algebra(verdict, item, decided(*pair) if verdict.undecided else None)


def _pair(verdict: Verdict, reference: str) -> tuple[str, str]:
    return verdict.answer or "", verdict.reference or reference


def decided(answer: str, reference: str) -> bool | None:
    """Say whether an answer is that of a reference; None if it cannot be decided."""
    given, wanted = resolved(answer), resolved(reference)
    try:
        others = [tree for tree in trees_of(answer)[1:] if not is_open(tree)]
        return are_alike([given, *others], wanted) if given and wanted else None
    except Unreadable:
        return None


def same_by_algebra(a: str, b: str) -> bool:
    """Say whether two answers are the same once both are worked out; False if that is not known."""
    left, right = resolved(a), resolved(b)
    try:
        return left is not None and right is not None and form_of(left) == form_of(right)
    except Unreadable:
        return False


def resolved(text: str) -> Node | None:
    """Return the tree of an answer with what computer algebra makes of it; None if it is open."""
    try:
        node = parse(text)
        if not is_open(node):
            return node
        found = _filled(node, iter(_asked(text)))
        return None if is_open(found) else found
    except TooLarge:
        return None


def _filled(node: Node, found: Iterator[str | None]) -> Node:
    if node.value is not None and node.value.is_open:
        node = node._replace(value=parse(next(found, None) or "").value or node.value)
    return node.mapped(lambda part: _filled(part, found))


@lru_cache(maxsize=50_000)
def _asked(text: str) -> tuple[str | None, ...]:
    for _ in range(2):  # once more if the process was killed from outside
        try:
            with worker() as process:
                process.call(f"{ALGEBRA}:warm", seconds=WARM_SECONDS)
                return tuple(process.call(f"{ALGEBRA}:work_out", text, seconds=SECONDS) or ())
        except TimeoutError:
            return ()
        except WorkerLost:
            continue
    return ()


def _key(item: Item) -> tuple[object, ...]:
    options = tuple(sorted(item.options.items())) if item.options else None
    return (str(item.response), *item[1:3], options, tuple(item.tags), *item[5:])


def _assess_all(items: list[Item], workers: int, done: Callable[[int], object]) -> list[Verdict]:
    size = 1 if workers == 1 or len(items) < MIN_ITEMS else CHUNK
    chunks = [items[i : i + size] for i in range(0, len(items), size)]
    lock = threading.Lock()

    def run(chunk: list[Item]) -> list[Verdict]:
        verdicts = _in_process(chunk) if size > 1 else list(map(assess, chunk))
        with lock:
            done(len(chunk))
        return verdicts

    return [v for verdicts in _over(chunks, run, workers if size > 1 else 1) for v in verdicts]


def _in_process(chunk: list[Item]) -> list[Verdict]:
    request = [[str(i[0]), *i[1:3], i.options and dict(i.options), i.tags, *i[5:]] for i in chunk]
    try:
        with worker() as process:
            name = f"{__name__}:assess_all"
            return [Verdict(*v) for v in process.call(name, request, seconds=CHUNK_SECONDS)]
    except (WorkerLost, TimeoutError, TypeError):
        return list(map(assess, chunk))


def assess_all(requests: list[list[Any]]) -> list[Verdict]:
    """Assess items that came as JSON."""
    items = [Item(*fields) for fields in requests]
    return [
        assess(i._replace(tags=(*i.tags,), tolerance=i.tolerance and Tolerance(*i.tolerance)))
        for i in items
    ]


def _over(items: Sequence[T], run: Callable[[T], R], workers: int) -> list[R]:
    """Map over items, as many at a time as there are workers, each with a process of its own."""
    if workers == 1 or len(items) < 2:
        return list(map(run, items))
    with ThreadPoolExecutor(min(workers, len(items))) as threads:
        return list(threads.map(run, items))
