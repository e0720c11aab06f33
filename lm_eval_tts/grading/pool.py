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

from lm_eval_tts.grading.processes import WorkerLost, worker
from lm_eval_tts.grading.symbolic import verified
from lm_eval_tts.grading.verdicts import Draft, Item, Verdict, assess

MIN_ITEMS = 200  # below, starting processes takes longer than the work
CHUNK = 64
CHUNK_SECONDS = 120.0
T = TypeVar("T")
Result = TypeVar("Result")


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
    open_pairs = sorted(
        {
            (draft.answer or "", item.reference)
            for item, draft in zip(unique, drafts, strict=True)
            if draft.correct is None
        }
    )
    equal = dict(zip(open_pairs, _over(open_pairs, _verify, workers), strict=True))
    verdicts = {
        name: finish(draft, equal.get((draft.answer or "", item.reference), False))
        for name, item, draft in zip(names, unique, drafts, strict=True)
    }
    return [verdicts[key] for key in keys]


def finish(draft: Draft, verified: bool) -> Verdict:
    """Return the verdict of a draft, given what computer algebra says where it was asked."""
    correct = verified if draft.correct is None else draft.correct
    return Verdict(correct, *draft[1:])


def _key(item: Item) -> tuple[object, ...]:
    options = tuple(sorted(item.options.items())) if item.options else None
    return (item.response, item.reference, item.kind, options, tuple(item.tags))


def _verify(pair: tuple[str, str]) -> bool:
    return verified(*pair)


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
    request = [[*i[:3], dict(i.options) if i.options else None, list(i.tags)] for i in chunk]
    try:
        with worker() as process:
            reply = process.call("assess", request, seconds=CHUNK_SECONDS)
        if reply is not None:
            return [Draft(*draft) for draft in reply]
    except (WorkerLost, TimeoutError):
        pass
    return [assess(item) for item in chunk]


def _over(items: Sequence[T], run: Callable[[T], Result], workers: int) -> list[Result]:
    """Map over items, as many at a time as there are workers, each with a process of its own."""
    if workers == 1 or len(items) < 2:
        return [run(item) for item in items]
    with ThreadPoolExecutor(min(workers, len(items))) as threads:
        futures = {threads.submit(run, item): i for i, item in enumerate(items)}
        results = {futures[future]: future.result() for future in as_completed(futures)}
    return [results[i] for i in range(len(items))]
