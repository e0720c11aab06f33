"""Captured decoding steps, on an emulation of CUDA graphs (tests/emulated_graphs.py)."""

import copy
import logging

import pytest
import torch
from emulated_device import EmulatedDevices, counts, move
from emulated_graphs import Graphs
from hf_helpers import complete_all
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_tts.core.program import Generate, Sampling
from lm_eval_tts.engines.hf.engine import HFEngine
from lm_eval_tts.engines.hf.graphs import NARROWEST, recorder_for, round_rows, round_width
from lm_eval_tts.engines.tokenizer import ByteTokenizer

HOT = Sampling(temperature=0.9, top_p=0.9)


def engine_of(model, record=None, max_num_seqs: int = 6) -> HFEngine:
    limits = {"eos_token_ids": [0], "max_length": 700, "max_num_seqs": max_num_seqs}
    return HFEngine(model, ByteTokenizer(), record=record, **limits)


def ops() -> list[Generate]:
    """More than have room at once, from 5 to 590 tokens, greedy and hot."""
    return [
        Generate(tuple(range(5, 6 + n * 7 % 90)), 10 + 37 * n % 500, sampling=sampling)
        for n, sampling in enumerate((Sampling(), HOT) * 10)
    ]


def ids(engine) -> list[tuple[int, ...]]:
    return [completion.sampled_ids for (completion,) in complete_all(engine, ops())]


@pytest.fixture(scope="module")
def want(tiny_model):
    return ids(engine_of(tiny_model))


def test_a_few_graphs_write_the_same_tokens_while_rows_come_and_go_and_memory_grows(
    tiny_model, want
):
    graphs = Graphs()
    assert ids(engine_of(tiny_model, graphs)) == want
    assert graphs.captured <= 4 * 3  # rows of 1, 2, 4, 8; keys of 256, 512, 700
    assert graphs.replayed > 40 * graphs.captured


def test_the_same_holds_where_slots_are_few_and_rows_are_no_power_of_two(tiny_model, want):
    graphs = Graphs()
    assert ids(engine_of(tiny_model, graphs, max_num_seqs=3)) == want
    assert graphs.replayed > 0


def test_what_was_forked_and_kept_for_others_is_there_after_steps_with_padding(tiny_model):
    """Rows of padding write to slots in which idle prefixes wait."""
    long = tuple(range(5, 95))
    rounds = [[Generate(long, 20)], [Generate((7, 8), 30)] * 3, [Generate((*long, 9), 20)] * 2]
    plain, captured = engine_of(tiny_model), engine_of(tiny_model, Graphs())
    for some in rounds:
        assert complete_all(captured, some) == complete_all(plain, some)


def test_a_replayed_step_makes_one_copy_up_and_one_down(tiny_model):
    model = copy.deepcopy(tiny_model)
    with EmulatedDevices():
        move(model, "emu:0")
        graphs = Graphs()
        engine = engine_of(model, graphs)
        for number, op in enumerate(ops()[2:6]):
            engine.add_request(number, op, number)
        for _ in range(3):
            engine.step()
        counts.clear()
        before = graphs.replayed
        engine.step()
        assert graphs.replayed == before + 1
        assert (counts["up"], counts["down"], counts["sync"]) == (1, 1, 0)


@pytest.fixture
def changed(tiny_model, monkeypatch):
    """A function that puts its own forward around that of a copy of the tiny model."""

    def change(around):
        model = copy.deepcopy(tiny_model)
        forward = model.model.forward
        monkeypatch.setattr(model.model, "forward", lambda *a, **kw: around(forward(*a, **kw)))
        return model

    return change


def waiting(output):
    if output.last_hidden_state.sum().item() > 1e9:
        raise ValueError("too large")
    return output


def counting():
    """Numbers of the host, which a graph keeps as they were."""
    calls = []

    def around(output):
        calls.append(1)
        output.last_hidden_state = output.last_hidden_state * (1 + len(calls) % 2)
        return output

    return around


@pytest.mark.parametrize(
    ("make", "reason"),
    [(lambda: waiting, "aten::item: not permitted"), (counting, "logits differ by")],
)
def test_a_model_that_cannot_be_captured_decodes_as_ever_and_says_so_once(
    changed, make, reason, caplog
):
    graphs = Graphs()
    have = ids(engine_of(changed(make()), graphs))
    assert graphs.replayed <= 1
    assert reason in only_warning(caplog)
    if make is not counting:  # its tokens depend on the number of calls
        assert have == ids(engine_of(changed(make())))


def test_memory_that_is_full_at_a_capture_costs_the_graphs_alone(tiny_model, want, caplog):
    def full(call):
        raise torch.OutOfMemoryError("out of memory")

    engine = engine_of(tiny_model, full)
    assert ids(engine) == want
    assert engine.max_num_seqs == 6
    assert "OutOfMemoryError: out of memory" in only_warning(caplog)


def only_warning(caplog) -> str:
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    return record.message


def test_other_devices_and_models_on_several_capture_nothing(tiny_model):
    assert recorder_for(tiny_model) is None
    model = copy.deepcopy(tiny_model).to("meta")
    assert recorder_for(model) is None


@given(st.integers(1, 200_000))
def test_buckets_hold_what_they_are_for_and_little_more(number):
    assert number <= round_rows(number) < 2 * number
    assert 0 <= round_width(number) - number < max(NARROWEST, number / 4)


def test_a_doubling_of_the_length_has_four_widths():
    widths = {round_width(n) for n in range(4097, 8193)}
    assert sorted(widths) == [5120, 6144, 7168, 8192]
