"""Grades many responses over all cores: equal items once, the same verdicts in any order.

Worker processes do what needs no computer algebra in chunks; the pairs that are left over are
then asked one by one. A lost process is replaced, and its chunk is graded here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from tqdm import tqdm

from lm_eval_tts.grading.algebra import decided
from lm_eval_tts.grading.processes import WorkerLost, worker
from lm_eval_tts.grading.verdicts import Draft, Item, Verdict, assess

MIN_ITEMS = 200  # below, starting processes takes longer than the work
CHUNK = 64
CHUNK_SECONDS = 120.0
T = TypeVar("T")
R = TypeVar("R")


def grade_many(
    items: Iterable[Item], *, progress: bool = False, num_workers: int | None = None
) -> list[Verdict]:
    """Grade responses as `grade` does, over `num_workers` processes (default: all cores)."""
    items = [Item(*item) for item in items]
    keys = [_key(item) for item in items]
    unique = list(dict(zip(keys, items, strict=True)).values())
    names = list(dict(zip(keys, items, strict=True)))
    workers = num_workers or os.cpu_count() or 1
    with tqdm(total=len(unique), desc="grading", disable=not progress) as bar:
        drafts = _assess_all(unique, workers, bar.update)
    pairs = [
        (draft.answer or "", draft.reference or item.reference)
        for item, draft in zip(unique, drafts, strict=True)
    ]
    open_pairs = sorted(
        {pair for pair, draft in zip(pairs, drafts, strict=True) if draft.correct is None}
    )
    known = dict(
        zip(open_pairs, _over(open_pairs, lambda pair: decided(*pair), workers), strict=True)
    )
    verdicts = {
        name: _verdict(draft, known.get(pair) if draft.correct is None else draft.correct)
        for name, pair, draft in zip(names, pairs, drafts, strict=True)
    }
    return [verdicts[key] for key in keys]


def finished(draft: Draft, reference: str) -> Verdict:
    """Return the verdict of a draft, asking computer algebra where that is left."""
    if draft.correct is not None:
        return _verdict(draft, draft.correct)
    return _verdict(draft, decided(draft.answer or "", draft.reference or reference))


def _verdict(draft: Draft, correct: bool | None) -> Verdict:
    _, answer, source, state, loop, reference = draft
    return Verdict(bool(correct), answer, source, state, loop, correct is None, reference)


def _key(item: Item) -> tuple[object, ...]:
    options = tuple(sorted(item.options.items())) if item.options else None
    return (str(item.response), *item[1:3], options, tuple(item.tags), *item[5:])


def _assess_all(items: list[Item], workers: int, done: Callable[[int], object]) -> list[Draft]:
    if workers == 1 or len(items) < MIN_ITEMS:
        return [_counted(assess(item), done) for item in items]
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    lock = threading.Lock()

    def run(chunk: list[Item]) -> list[Draft]:
        drafts = _assess_chunk(chunk)
        with lock:
            done(len(chunk))
        return drafts

    return [draft for drafts in _over(chunks, run, workers) for draft in drafts]


def _counted(draft: Draft, done: Callable[[int], object]) -> Draft:
    done(1)
    return draft


def _assess_chunk(chunk: list[Item]) -> list[Draft]:
    request = [[str(i[0]), *i[1:3], i.options and dict(i.options), i.tags, *i[5:]] for i in chunk]
    try:
        with worker() as process:
            reply = process.call("assess", request, seconds=CHUNK_SECONDS)
        if reply is not None:
            return [Draft(*draft) for draft in reply]
    except (WorkerLost, TimeoutError):
        pass
    return [assess(item) for item in chunk]


def _over(items: Sequence[T], run: Callable[[T], R], workers: int) -> list[R]:
    """Map over items, as many at a time as there are workers, each with a process of its own."""
    if workers == 1 or len(items) < 2:
        return [run(item) for item in items]
    with ThreadPoolExecutor(min(workers, len(items))) as threads:
        futures = {threads.submit(run, item): i for i, item in enumerate(items)}
        results = {futures[future]: future.result() for future in as_completed(futures)}
    return [results[i] for i in range(len(items))]
