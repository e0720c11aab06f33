"""The engine on devices that refuse what a GPU refuses, and how often it makes one wait."""

import copy

import pytest
import torch
from emulated_device import EmulatedDevices, counts, move, spread
from hf_helpers import complete_all

from lm_eval_tts.core.program import Generate, Sampling
from lm_eval_tts.engines.hf.engine import HFEngine
from lm_eval_tts.engines.hf.sampler import Sampler
from lm_eval_tts.engines.requests import BatchRow, RowEngine
from lm_eval_tts.engines.tokenizer import ByteTokenizer

PROMPTS = [tuple(range(5, 5 + n)) for n in (4, 9, 30)]
SETTINGS = [
    Sampling(),
    Sampling(temperature=0.8),
    Sampling(temperature=1.0, top_p=0.9, top_k=7, min_p=0.02),
    Sampling(temperature=0.7, repetition_penalty=1.3, frequency_penalty=0.4, presence_penalty=0.1),
]


def ops() -> list[Generate]:
    """All settings in one batch, some with log-probabilities."""
    return [
        Generate(prompt, 14, sampling=sampling, logprobs=2 if number % 2 else None)
        for number, sampling in enumerate(SETTINGS)
        for prompt in PROMPTS
    ]


def engine_of(model) -> HFEngine:
    return HFEngine(model, ByteTokenizer(), eos_token_ids=[0], max_length=128, max_num_seqs=12)


@pytest.fixture
def on(tiny_model):
    """A copy of the tiny model on one emulated device, or spread over two."""

    def make(devices: int):
        model = copy.deepcopy(tiny_model)
        move(model, "emu:0") if devices == 1 else spread(model)
        return model

    with EmulatedDevices():
        yield make


def test_what_a_device_refuses_is_refused_and_what_it_waits_for_is_counted():
    with EmulatedDevices():
        here, there = torch.ones(3, device="emu:0"), torch.ones(3, device="emu:1")
        for mixed in (there, torch.ones(3)):
            with pytest.raises(RuntimeError, match="on the same device"):
                here + mixed
        with pytest.raises(TypeError, match="no float64"):
            here.double()
        counts.clear()
        assert bool(here.sum() > there.sum().cpu() - 1)
        assert torch.tensor([1], device="emu:0").item() == 1
        assert counts["down"] == 1
        assert counts["up"] == 1
        assert counts["sync"] == 2


@pytest.mark.parametrize("devices", [1, 2])
def test_responses_are_those_of_the_cpu(on, tiny_model, devices):
    want = [c.sampled_ids for (c,) in complete_all(engine_of(tiny_model), ops())]
    engine = engine_of(on(devices))
    assert [c.sampled_ids for (c,) in complete_all(engine, ops())] == want


@pytest.mark.parametrize("devices", [1, 2])
def test_the_probe_measures_and_the_cache_is_bounded_where_it_lies(on, devices):
    engine = engine_of(on(devices))
    assert engine.probe() < 1e-3
    assert len(engine._model.cache.layers) == 0
    complete_all(engine, ops()[:2])
    assert len(engine._model.cache.bytes_per_token()) == devices


@pytest.mark.parametrize("devices", [1, 2])
def test_a_step_makes_one_copy_up_and_one_down_whatever_the_settings(on, devices):
    engine = engine_of(on(devices))
    for number, op in enumerate(ops()):
        engine.add_request(number, op, number)
    for _ in range(3):
        engine.step()  # prompts are caught up, memory is there
    counts.clear()
    engine.step()
    assert (counts["up"], counts["down"], counts["sync"]) == (1, 1, 0)


def test_a_nucleus_wider_than_what_is_sorted_is_found_by_one_more_copy():
    torch.manual_seed(0)
    flat, sharp = torch.randn(2, 5000) * 0.1, torch.randn(2, 5000) * 9
    op = Generate((9,), 5, sampling=Sampling(temperature=1.0, top_p=0.9))
    rows = [BatchRow(op, seed, 5, [9]) for seed in (3, 4)]
    sampler = Sampler()
    for logits in (sharp, sharp, flat, flat, sharp):
        assert sampler.sample(logits, rows) == Sampler().sample(logits, rows)


def test_penalties_are_those_of_servers():
    logits = torch.tensor([[2.0, -1.0, 0.5, 3.0]])
    prompt, sampled = (0, 1), (3, 3, 1)
    sampling = Sampling(repetition_penalty=2.0, frequency_penalty=0.25, presence_penalty=0.1)
    op = Generate(prompt, 9, sampling=sampling, logprobs=4)
    row = BatchRow(op, 0, 9, [*prompt, *sampled], [*sampled])
    ((token, _),) = Sampler().sample(logits, [row])
    assert token == 0  # 1.0, against -2.35, 0.5 and 1.5 - 0.5 - 0.1


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_where_endings_are_masked_the_others_are_drawn_in_their_proportions(temperature):
    logits = torch.tensor([3.0, 1.0, 0.5, 2.5, 1.5, -1.0])
    ends, stop = [0, 3], bytes([4]).decode()
    op = Generate((9,), 5, (stop,), Sampling(temperature=temperature), logprobs=0, min_tokens=1)
    rows = [BatchRow(op, seed, 5, [9]) for seed in range(4000)]
    engine = RowEngine(ByteTokenizer(), eos_token_ids=ends, max_length=99, max_num_seqs=1)
    sampler, many = Sampler(), logits.expand(len(rows), -1)
    choices = sampler.sample(many, rows)
    sampler.note(choices, many, rows, engine)
    allowed = torch.tensor([1, 2, 5])
    want = logits[allowed].softmax(0) if temperature else torch.tensor([1.0, 0.0, 0.0])
    have = torch.tensor([[token == a for a in allowed] for token, _ in choices]).float().mean(0)
    assert torch.allclose(have, want, atol=0.03)
    token, told = choices[0]
    assert told.sampled == pytest.approx(float(logits.log_softmax(0)[token]), abs=1e-5)
