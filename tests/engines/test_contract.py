"""What every engine keeps to: the same tests over all of them, `have` against `want`."""

import copy
from functools import partial
from math import isnan

import pytest

from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.journal import Journal
from lm_eval_tts.core.program import Completion, Generate, Sampling, TokenIds
from lm_eval_tts.engines.reliable import ReliableEngine
from lm_eval_tts.engines.scripted import ScriptedEngine
from lm_eval_tts.engines.stopping import find_stop
from lm_eval_tts.errors import RequestError

HOT = Sampling(temperature=1.0)


VLLM = [pytest.param(kind, marks=pytest.mark.vllm) for kind in ("vllm", "server")]


ON_TRANSFORMERS = ("hf", "captured", "spread", "generate")


@pytest.fixture(params=["scripted", "journaled", "isolated", *ON_TRANSFORMERS, *VLLM])
def make_engine(request: pytest.FixtureRequest):
    """A function that makes a new engine of each kind; its tokenizer is `engine.tokenizer`."""
    return globals()[f"make_{request.param}"](request)


def make_scripted(request: pytest.FixtureRequest):
    return lambda **kw: ScriptedEngine(eos=False, **{"max_length": 400, **kw})


def make_journaled(request: pytest.FixtureRequest):
    journal = Journal(request.getfixturevalue("tmp_path"), {})
    return wrapped(lambda engine: ReliableEngine(engine, journal))


def make_isolated(request: pytest.FixtureRequest):
    return wrapped(ReliableEngine)


def make_hf(request: pytest.FixtureRequest):
    from lm_eval_tts.engines.hf.engine import HFEngine

    model = request.getfixturevalue("tiny_model")
    return _maker(partial(HFEngine, model), request.getfixturevalue("tiny_tokenizer"))


def make_captured(request: pytest.FixtureRequest):
    from emulated_graphs import Graphs

    from lm_eval_tts.engines.hf.engine import HFEngine

    model = request.getfixturevalue("tiny_model")
    kind = partial(HFEngine, model, record=Graphs())
    return _maker(kind, request.getfixturevalue("tiny_tokenizer"))


@pytest.fixture
def spread_model(tiny_model):
    """A copy of the tiny model whose last layer and head are on another device than the rest."""
    from emulated_device import EmulatedDevices, spread

    model = copy.deepcopy(tiny_model)
    with EmulatedDevices():
        spread(model)
        yield model


def make_spread(request: pytest.FixtureRequest):
    from lm_eval_tts.engines.hf.engine import HFEngine

    model = request.getfixturevalue("spread_model")
    return _maker(partial(HFEngine, model), request.getfixturevalue("tiny_tokenizer"))


def make_generate(request: pytest.FixtureRequest):
    from lm_eval_tts.engines.hf.generate import GenerateEngine

    model = request.getfixturevalue("tiny_model")
    return _maker(partial(GenerateEngine, model), request.getfixturevalue("tiny_tokenizer"))


def make_vllm(request: pytest.FixtureRequest):
    pytest.importorskip("vllm", reason="vLLM is not installed")
    from lm_eval_tts.engines.asynchronous import AsyncEngine

    lm = request.getfixturevalue("vllm_lm")

    def make(codec, **limits):
        sample = partial(lm.model.sample, eos_token_ids=frozenset(limits["eos_token_ids"]))
        return AsyncEngine(sample, lm.model.background, codec, **limits)

    return _maker(make, lm.tokenizer)


def make_server(request: pytest.FixtureRequest):
    pytest.importorskip("vllm", reason="vLLM is not installed")
    from transformers import AutoTokenizer

    from lm_eval_tts.engines.asynchronous import AsyncEngine, Background
    from lm_eval_tts.engines.server.client import Server
    from lm_eval_tts.engines.server.wire import Wire

    url = request.getfixturevalue("vllm_url")
    background = Background()

    def make(codec, **limits):
        server = Server(url, Wire("wide", codec, frozenset(limits["eos_token_ids"])))
        return AsyncEngine(server.sample, background, codec, **limits)

    checkpoint = request.getfixturevalue("wide_checkpoint")
    return _maker(make, AutoTokenizer.from_pretrained(checkpoint))


def _maker(kind, tokenizer):
    from lm_eval_tts.engines.tokenizer import HFTokenizer

    codec = HFTokenizer(tokenizer)

    def make(max_length: int = 400, max_num_seqs: int = 8) -> Engine:
        engine = kind(codec, eos_token_ids=[0], max_length=max_length, max_num_seqs=max_num_seqs)
        engine.tokenizer = codec
        return engine

    return make


def wrapped(wrap):
    """A function that makes a scripted engine with another around it."""

    def make(**kw) -> Engine:
        inner = ScriptedEngine(eos=False, **{"max_length": 400, **kw})
        engine = wrap(inner)
        engine.tokenizer = inner.tokenizer
        return engine

    return make


def complete_all(engine: Engine, *ops: Generate, seeds: list[int] | None = None):
    """Add all ops at once, step to the end, and return their results in order."""
    for index, op in enumerate(ops):
        engine.add_request(index, op, (seeds or [7] * len(ops))[index])
    results = {}
    while engine.num_unfinished:
        results.update({output.request_id: output.result for output in engine.step()})
    return [results[index] for index in range(len(ops))]


def one(engine: Engine, op: Generate, seed: int = 7) -> Completion:
    ((completion,),) = complete_all(engine, op, seeds=[seed])
    return completion


def prompt_of(engine, text: str = "Question: what is 2+2?") -> TokenIds:
    return engine.tokenizer.encode(text)


def test_a_continuation_in_one_piece_equals_one_token_at_a_time(make_engine):
    engine = make_engine()
    prompt = prompt_of(engine)
    want = one(engine, Generate(prompt, 12)).token_ids
    have: TokenIds = ()
    for _ in range(12):
        have += one(engine, Generate(prompt + have, 1)).token_ids
    assert have == want


def test_a_length_limit_is_exact_and_named(make_engine):
    engine = make_engine()
    completion = one(engine, Generate(prompt_of(engine), 9))
    assert len(completion.token_ids) == 9
    assert completion.finish_reason == "length"
    assert completion.sampled_ids == completion.token_ids


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_a_stop_string_cuts_exactly_wherever_token_boundaries_are(make_engine, width):
    engine = make_engine()
    prompt = prompt_of(engine)
    text = engine.tokenizer.decode(one(engine, Generate(prompt, 30)).token_ids)
    for start in range(4, 12):
        stop = text[start : start + width]
        if "�" in text[: start + width]:
            continue
        match = find_stop(text, [stop])
        assert match is not None
        completion = one(engine, Generate(prompt, 60, stop=(stop, "never there")))
        assert engine.tokenizer.decode(completion.token_ids) == text[: match.start]
        assert (completion.finish_reason, completion.stop) == ("stop", stop)


def test_an_empty_stop_string_is_none(make_engine):
    prompt = prompt_of(make_engine())
    want = one(make_engine(), Generate(prompt, 9))
    assert one(make_engine(), Generate(prompt, 9, stop=("",))) == want


def test_a_request_does_not_sample_behind_its_stop_string(make_engine):
    engine = make_engine()
    prompt = prompt_of(engine)
    free = one(engine, Generate(prompt, 30))
    stop = engine.tokenizer.decode(free.token_ids)[5:8]
    stopped = one(engine, Generate(prompt, 30, stop=(stop,)))
    assert stopped.sampled_ids == free.token_ids[: len(stopped.sampled_ids)]
    before_last = engine.tokenizer.decode(stopped.sampled_ids[:-1])
    assert stop not in before_last


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("least", [1, 6])
def test_no_stop_string_begins_among_the_first_tokens_that_may_not_end(make_engine, least, width):
    engine = make_engine()
    prompt, codec = prompt_of(engine), engine.tokenizer
    free = one(engine, Generate(prompt, 14))
    tested = 0
    for first in range(12):
        ids = free.token_ids[first : first + width]
        stop = codec.decode(ids)
        if "\N{REPLACEMENT CHARACTER}" in stop or codec.encode(stop) != ids or tested == 2:
            continue  # half a character, or no way to write it that a tokenizer would choose
        have = one(engine, Generate(prompt, 14, stop=(stop,), min_tokens=least))
        match = find_stop(codec.decode(have.sampled_ids), [stop])
        assert match is None or match.start >= len(codec.decode(have.sampled_ids[:least]))
        if find_stop(codec.decode(free.token_ids[: first + width]), [stop]).start >= first:
            assert have.sampled_ids[:first] == free.token_ids[:first]
        tested += 1
    assert tested
    assert one(engine, Generate(prompt, 14, min_tokens=least)) == free


def test_forced_tokens_are_a_longer_prompt(make_engine):
    engine = make_engine()
    prompt = prompt_of(engine)
    thought = one(engine, Generate(prompt, 5)).token_ids
    forced = prompt + thought + engine.tokenizer.encode("Wait")
    want = one(make_engine(), Generate(forced, 8))
    assert one(engine, Generate(forced, 8)) == want


def test_retracting_and_forking_equal_fresh_requests(make_engine):
    engine = make_engine()
    prompt = prompt_of(engine)
    longer = prompt + one(engine, Generate(prompt, 20)).token_ids
    ops = [Generate(longer[: len(prompt) + k], 6) for k in (3, 11, 20, 20)]
    have = complete_all(engine, *ops)
    want = [complete_all(make_engine(), op)[0] for op in ops]
    assert have == want


def test_the_seed_decides_what_is_sampled(make_engine):
    op = Generate(prompt_of(make_engine()), 16, sampling=HOT)
    assert one(make_engine(), op, seed=1) == one(make_engine(), op, seed=1)
    assert one(make_engine(), op, seed=1) != one(make_engine(), op, seed=2)


def test_a_request_samples_the_same_in_any_company_order_and_batch_size(make_engine):
    engine = make_engine()
    prompts = [prompt_of(engine, text) for text in ("a", "Which number?", "x" * 30, "is it 7?")]
    ops = [Generate(p, 10 + i, sampling=HOT) for i, p in enumerate(prompts)]
    seeds = [11, 12, 13, 14]
    want = [one(make_engine(), op, seed) for op, seed in zip(ops, seeds, strict=True)]
    for max_num_seqs in (1, 2, 8):
        have = complete_all(
            make_engine(max_num_seqs=max_num_seqs), *reversed(ops), seeds=seeds[::-1]
        )
        assert [completion for (completion,) in reversed(have)] == want


def test_n_samples_equal_n_requests_with_consecutive_seeds(make_engine):
    op = Generate(prompt_of(make_engine()), 8, sampling=HOT, n=3)
    (have,) = complete_all(make_engine(), op, seeds=[5])
    alone = Generate(op.token_ids, 8, sampling=HOT)
    assert list(have) == [one(make_engine(), alone, seed) for seed in (5, 6, 7)]


def test_log_probabilities_are_told_when_asked_for_and_change_nothing(make_engine):
    plain = Generate(prompt_of(make_engine()), 12, sampling=HOT)
    asked = Generate(plain.token_ids, 12, sampling=HOT, logprobs=3)
    engine = make_engine()
    (want,), (have,) = complete_all(engine, plain, asked)
    assert want.logprobs == ()
    assert (have.token_ids, have.sampled_ids) == (want.token_ids, want.sampled_ids)
    assert len(have.logprobs) == len(have.sampled_ids)
    for logprob in have.logprobs:
        assert len(logprob.top) == 3
        assert list(logprob.top) == sorted(logprob.top, reverse=True)
        assert logprob.sampled <= max(logprob.top[0], 0)
        assert isnan(logprob.mean) or logprob.mean < logprob.top[0]


def test_a_prompt_that_does_not_fit_is_refused_and_the_engine_goes_on(make_engine):
    engine = make_engine(max_length=40)
    prompt = prompt_of(engine, "word " * 40)
    assert len(prompt) >= 40
    with pytest.raises(RequestError, match="leaves no room in a context of 40"):
        engine.add_request(0, Generate(prompt, 5), 7)
    assert one(engine, Generate(prompt[:10], 5)).token_ids


def test_a_prompt_without_tokens_is_refused_and_the_engine_goes_on(make_engine):
    engine = make_engine()
    with pytest.raises(RequestError, match="the prompt has no tokens"):
        engine.add_request(0, Generate((), 5), 7)
    assert one(engine, Generate(prompt_of(engine, "one two"), 5)).sampled_ids


def test_the_context_window_ends_a_completion_as_its_length_does(make_engine):
    engine = make_engine(max_length=40)
    completion = one(engine, Generate(prompt_of(engine, "word " * 40)[:30], 500))
    assert len(completion.token_ids) == 10
    assert completion.finish_reason == "length"


def test_an_aborted_request_is_never_returned(make_engine):
    engine = make_engine()
    engine.add_request(0, Generate(prompt_of(engine), 5, n=2), 7)
    engine.add_request(1, Generate(prompt_of(engine), 5), 7)
    engine.abort(0)
    engine.abort(99)
    assert engine.num_unfinished == 1
    returned = []
    while engine.num_unfinished:
        returned += [output.request_id for output in engine.step()]
    assert returned == [1]


def test_a_request_may_be_aborted_when_only_some_of_its_samples_are_done(make_engine):
    engine = make_engine(max_num_seqs=2)
    engine.add_request(0, Generate(prompt_of(engine), 1, sampling=HOT, n=4), 7)
    engine.step()
    engine.abort(0)
    assert engine.num_unfinished == 0
    assert one(engine, Generate(prompt_of(engine), 3)).token_ids
