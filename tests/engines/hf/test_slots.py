"""Who gets which slot, and what is copied: on a cache of plain lists."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_eval_tts.core.program import Generate
from lm_eval_tts.engines.hf.slots import SlotTable
from lm_eval_tts.engines.requests import BatchRow, common_prefix


class ListCache:
    """Keeps, for each slot, the ids whose keys a real cache would hold; None is rubbish."""

    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots
        self.keys: list[list[int | None]] = [[None] * 400 for _ in range(num_slots)]
        self.copied: list[tuple[int, int, int]] = []

    def reserve(self, length: int, needed: int) -> int:
        return len(self.keys)

    def copy(self, source: int, target: int, length: int) -> None:
        self.keys[target][:length] = self.keys[source][:length]
        if length:
            self.copied.append((source, target, length))

    def swap(self, a: int, b: int, length: int) -> None:
        kept = self.keys[a][:length]
        self.keys[a][:length] = self.keys[b][:length]
        self.keys[b][:length] = kept


class Bench:
    """A table over such a cache, whose rows are fed by hand."""

    def __init__(self, num_slots: int = 4, max_active: int = 2) -> None:
        self.cache = ListCache(num_slots)
        self.table = SlotTable(self.cache, max_active, lambda length: False)
        self.queue: deque[BatchRow] = deque()

    def add(self, ids: list[int]) -> BatchRow:
        row = BatchRow(Generate(tuple(ids), 9), 0, 9, list(ids))
        self.queue.append(row)
        return row

    def step(self, *new: int) -> int:
        """Admit, feed every active row to its end, append what it samples; return tokens fed."""
        self.table.admit(self.queue)
        fed = 0
        for index, slot in enumerate(self.table.active):
            assert self.cache.keys[index][: slot.cached] == slot.ids[: slot.cached]
            assert slot.row is not None
            fed += slot.behind
            self.cache.keys[index][: len(slot.ids)] = slot.ids
            slot.cached = len(slot.ids)
            slot.row.ids.extend(new)
        return fed

    def run(self, ids: list[int]) -> int:
        """Let a row come and go; return how many tokens had to be fed."""
        row = self.add(ids)
        fed = self.step()
        row.done = True
        return fed


PROMPT = list(range(40))


def test_a_continuation_goes_on_in_its_slot_and_feeds_only_what_is_new():
    bench = Bench()
    assert bench.run(PROMPT) == 40
    assert bench.run([*PROMPT, 7, 8]) == 2
    assert bench.cache.copied == []


def test_a_retraction_copies_so_that_the_longer_prefix_survives():
    bench = Bench()
    bench.run(PROMPT)
    assert bench.run([*PROMPT[:30], 5]) == 1
    assert bench.run([*PROMPT, 6]) == 1
    assert [length for _, _, length in bench.cache.copied] == [30]


def test_forks_of_a_row_at_work_copy_its_prefix():
    bench = Bench()
    bench.add(PROMPT)
    bench.step(100)
    bench.add([*PROMPT, 7])
    assert bench.step(101) == 1 + 1  # the row itself and its fork
    assert bench.cache.copied[0][2] == 40


def test_samples_of_one_prompt_wait_a_step_and_share_it():
    bench = Bench(max_active=2)
    bench.add(PROMPT)
    bench.add(PROMPT)
    assert bench.step(100) == 40
    assert bench.step(101) == 1 + 1


def test_the_least_recently_used_prefix_goes_first():
    bench = Bench(num_slots=3, max_active=1)
    one, two, three, four = ([base + i for i in range(20)] for base in (100, 200, 300, 400))
    for prompt in (one, two, three, [*one, 1]):
        bench.run(prompt)
    assert bench.run(four) == 20  # takes the place of `two`
    assert bench.run([*one, 1, 2]) == 1
    assert bench.run([*two, 1]) == 21


def test_a_prefix_that_a_waiting_row_goes_on_from_is_not_overwritten():
    bench = Bench(num_slots=2, max_active=1)
    one, two, three = (list(range(first, first + n)) for first, n in ((0, 20), (20, 20), (40, 30)))
    bench.run(one)
    bench.run(two)
    stranger, fork = bench.add(three), bench.add([*one, 1])
    assert bench.step() == 30  # in the place of `two`, though `one` was used before it
    stranger.done = True
    assert bench.step() == 1
    assert fork.ids == [*one, 1]


def test_forks_of_more_texts_than_idle_slots_can_keep_compute_nothing_anew():
    bench = Bench(num_slots=5, max_active=4)
    texts = [[base + i for i in range(80)] for base in (100, 200, 300, 400)]
    thoughts = [bench.add(text) for text in texts]
    bench.step()
    forks = [[*text[:cut], 9] for cut in (20, 40, 60, 79) for text in texts]
    for thought in thoughts:
        thought.done = True
    rows = [bench.add(fork) for fork in forks]
    fed = 0
    while bench.queue:
        fed += bench.step()
        for slot in bench.table.active:
            slot.row.done = True
    assert fed == len(rows)


def test_an_aborted_row_is_never_placed():
    bench = Bench()
    bench.add(PROMPT).done = True
    assert bench.step() == 0
    assert not bench.queue


@settings(deadline=None)
@given(st.data())
def test_whatever_comes_and_goes_every_slot_holds_what_it_says(data):
    """`step` compares the cache with the ids after each admission, which moves and copies."""
    bench = Bench(num_slots=5, max_active=3)
    rows: list[BatchRow] = []
    for _ in range(data.draw(st.integers(1, 12))):
        for _ in range(data.draw(st.integers(0, 3))):
            known = data.draw(st.sampled_from([r.ids for r in rows] or [PROMPT]))
            kept = data.draw(st.integers(0, min(len(known), 60)))
            rows.append(bench.add([*known[:kept], data.draw(st.integers(0, 3)), 9]))
        bench.step(data.draw(st.integers(0, 3)))
        assert len(bench.table.active) <= 3
        assert all(slot.row is not None for slot in bench.table.active)
        for slot in bench.table.active:
            if data.draw(st.booleans()):
                slot.row.done = True


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [([], [1], 0), ([1, 2], [1, 2], 2), ([1, 2, 3], [1, 2, 4, 5], 2), ([1], [2], 0)],
)
def test_the_common_prefix(a, b, want):
    assert common_prefix(a, b) == want
