"""The transformers engines: equal, token for token, to a plain loop over model.generate."""

import functools
import itertools

import pytest
import torch
from hf_helpers import complete_all, generate_alone
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from lm_eval_tts.core.program import Generate, Sampling, TokenIds
from lm_eval_tts.core.scheduler import Job, run
from lm_eval_tts.core.trace import Delimiters, Request
from lm_eval_tts.engines.hf import memory
from lm_eval_tts.engines.hf.engine import HFEngine, fit_engine
from lm_eval_tts.engines.hf.generate import GenerateEngine, probe_padding
from lm_eval_tts.engines.hf.slot_cache import SlotCache
from lm_eval_tts.engines.requests import uniform
from lm_eval_tts.engines.tokenizer import ByteTokenizer, HFTokenizer
from lm_eval_tts.errors import RequestError
from lm_eval_tts.strategies.budget import Budget
from lm_eval_tts.strategies.progressive import Progressive

QUESTIONS = ["Question: what is 2+2?", "Wait", "First we add the two numbers, then?", "x"]


@pytest.fixture(params=[HFEngine, GenerateEngine])
def engine(request, tiny_model, tiny_tokenizer) -> HFEngine | GenerateEngine:
    return request.param(
        tiny_model,
        HFTokenizer(tiny_tokenizer),
        eos_token_ids=[0],
        max_length=512,
        max_num_seqs=40,
    )


def cut_at(text: str, ids: TokenIds, stop: str, tokenizer) -> TokenIds:
    """Whole tokens before the stop string, and what is left of one, encoded anew."""
    before = text[: text.index(stop)]
    keep = max(k for k in range(len(ids)) if before.startswith(tokenizer.decode(ids[:k])))
    return ids[:keep] + tokenizer.encode(before[len(tokenizer.decode(ids[:keep])) :])


def plain_budget_forcing(generate, tokenizer, prompt, stop, budget, num_waits, answer_tokens):
    """Budget forcing written as its paper tells it: generate, cut, append "Wait", go on."""
    ids, waits = prompt, 0
    while True:
        left = budget - (len(ids) - len(prompt))
        tag = len(tokenizer.encode(stop))  # a closing tag begun in time is seen to its end
        thought = generate(ids, left + tag)
        turn_ended = thought[-1] == 0
        thought = thought[:-1] if turn_ended else thought
        text = tokenizer.decode(thought)
        ended = (stop in text or turn_ended) and len(thought) <= left + tag
        thought = cut_at(text, thought, stop, tokenizer) if stop in text else thought
        if not ended or len(thought) > left:
            ids += generate(ids, left)
            break
        ids += thought
        wait = tokenizer.encode("Wait")
        if waits == num_waits or len(ids) - len(prompt) + len(wait) >= budget:
            break
        ids += wait
        waits += 1
    ids += tokenizer.encode(stop) + tokenizer.encode("A:")
    answer = generate(ids, answer_tokens)
    return ids + (answer[:-1] if answer[-1] == 0 else answer), waits


@pytest.fixture(scope="module")
def alone(tiny_model):
    """`generate_alone` of the tiny model, which remembers: many thoughts begin alike."""
    return functools.cache(functools.partial(generate_alone, tiny_model))


@pytest.mark.parametrize("num_waits", [0, 1, 3])
def test_budget_forcing_equals_a_plain_loop_over_generate(engine, alone, tiny_tokenizer, num_waits):
    tokenizer = HFTokenizer(tiny_tokenizer)
    asked = []
    for prompt in map(tokenizer.encode, QUESTIONS):
        text = tokenizer.decode(alone(prompt, 40))
        # Stop strings that the model does write, wherever they lie in its tokens.
        pairs = {text[i : i + 2] for i in range(3, 40, 6)}
        stops = sorted(p for p in pairs if len(p.strip()) == 2 and "�" not in p)
        asked += [(prompt, stop) for stop in stops]
    strategy = Budget(max_thinking_tokens=(40,), num_waits=num_waits, max_answer_tokens=12)
    codec = (tokenizer.encode, tokenizer.decode)
    jobs = []
    for index, (prompt, stop) in enumerate(asked):
        request = Request(prompt, 400, *codec, delimiters=Delimiters("", stop, "A:", ""))
        jobs.append(Job(strategy.run(request), index))
    seen = []
    for result in run(jobs, engine):
        prompt, stop = asked[result.job]
        want, waits = plain_budget_forcing(alone, tokenizer, prompt, stop, 40, num_waits, 12)
        assert result.value.token_ids == want
        assert result.value.num_waits == waits
        seen.append(waits)
    assert len(seen) == len(asked) > 10
    assert max(seen) == num_waits


def test_points_of_several_budgets_equal_separate_runs(engine, tiny_tokenizer):
    tokenizer = HFTokenizer(tiny_tokenizer)
    delimiters = Delimiters("<think>", "</think>", "<answer>", "</answer>")

    def traces(*budgets: int):
        strategy = Budget(max_thinking_tokens=budgets, num_waits=1, max_answer_tokens=6)
        requests = [
            Request(
                tokenizer.encode(q), 300, tokenizer.encode, tokenizer.decode, delimiters=delimiters
            )
            for q in QUESTIONS
        ]
        results = run([Job(strategy.run(r), i) for i, r in enumerate(requests)], engine)
        return [r.value for r in sorted(results, key=lambda r: r.job)]

    for budget in (4, 11, 30):
        want = [trace.token_ids for trace in traces(budget)]
        have = [dict(trace.points)[str(budget)].token_ids for trace in traces(4, 11, 30)]
        assert have == want


def test_progressive_levels_come_from_one_thought(engine, tiny_tokenizer):
    tokenizer = HFTokenizer(tiny_tokenizer)
    prompt, marks = tokenizer.encode(QUESTIONS[0]), Delimiters("", " ", "A:", "")
    request = Request(prompt, 400, tokenizer.encode, tokenizer.decode, delimiters=marks)
    strategy = Progressive(num_waits=2, max_thinking_tokens=60, max_answer_tokens=5)
    (result,) = run([Job(strategy.run(request), 0)], engine)
    levels = [point.num_tokens("thinking") for _, point in result.value.points]
    assert levels == sorted(levels)
    assert len(levels) == 3


def test_a_checkpoints_generation_config_does_not_leak_into_the_measurement(engine, tiny_model):
    prompt = tuple(range(10, 30))
    want = generate_alone(tiny_model, prompt, 20)
    saved = tiny_model.generation_config
    tiny_model.generation_config = GenerationConfig(
        repetition_penalty=5.0, temperature=0.6, do_sample=True, no_repeat_ngram_size=1
    )
    try:
        ((completion,),) = complete_all(engine, [Generate(prompt, 20)])
        assert completion.sampled_ids == want
        assert tiny_model.generation_config.repetition_penalty == 5.0
    finally:
        tiny_model.generation_config = saved


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.7),
        Sampling(temperature=1.3, top_k=5),
        Sampling(temperature=1.0, top_p=0.7),
        Sampling(temperature=1.0, min_p=0.2),
        Sampling(temperature=0.9, top_p=0.9, top_k=20, repetition_penalty=1.3),
    ],
)
def test_tokens_are_drawn_from_the_distribution_of_transformers(engine, tiny_model, sampling):
    """The share of each token among 800 draws, against the probabilities of the warpers."""
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    prompt = tuple(range(40, 60))
    warpers = [
        RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty)),
        TemperatureLogitsWarper(sampling.temperature),
        *([TopKLogitsWarper(sampling.top_k)] if sampling.top_k else []),
        TopPLogitsWarper(float(sampling.top_p)),
        *([MinPLogitsWarper(sampling.min_p)] if sampling.min_p else []),
    ]
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        logits = tiny_model(ids).logits[:, -1].float()
        want = LogitsProcessorList(warpers)(ids, logits).softmax(-1)[0]
    draws = 800
    (completions,) = complete_all(engine, [Generate(prompt, 1, sampling=sampling, n=draws)])
    tokens = torch.tensor([completion.sampled_ids[0] for completion in completions])
    have = torch.bincount(tokens, minlength=len(want)) / draws
    assert (want[tokens] > 0).all()
    assert 0.5 * (have - want).abs().sum() < 0.5 * (len(want[want > 1e-3]) / draws) ** 0.5 + 0.03


def test_the_uniform_numbers_are_uniform_and_fixed():
    numbers = [uniform(3, step) for step in range(4000)]
    assert abs(sum(numbers) / 4000 - 0.5) < 0.02
    assert 0 <= min(numbers) < max(numbers) < 1
    assert uniform(3, 1) == numbers[1] != uniform(4, 1)


FULL = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory."),
    "without a full stop": RuntimeError("CUDA error: out of memory"),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
}


def fail_at(monkeypatch, engine, calls: set[int], error: Exception) -> None:
    """Let these calls of the engine's model fail."""
    method = "_decode" if isinstance(engine, HFEngine) else "_model"
    works, count = getattr(engine, method), itertools.count(1)

    class Failing:
        def __call__(self, *args):
            return works(*args) if next(count) not in calls else self.fail()

        def generate(self, **kwargs):
            return works.generate(**kwargs) if next(count) not in calls else self.fail()

        def fail(self):
            raise error

        def __getattr__(self, name):
            return getattr(works, name)

    monkeypatch.setattr(engine, method, Failing())


@pytest.mark.parametrize("error", FULL.values(), ids=FULL)
def test_out_of_memory_halves_the_batch_and_loses_nothing(
    engine, tiny_model, tiny_tokenizer, monkeypatch, error
):
    ops = [Generate(tuple(tiny_tokenizer.encode(question)), 20) for question in QUESTIONS]
    fail_at(monkeypatch, engine, {1, 6}, error)
    have = [completion.sampled_ids for (completion,) in complete_all(engine, ops)]
    assert have == [generate_alone(tiny_model, op.token_ids, 20) for op in ops]
    assert engine.max_num_seqs in (10, 20)  # halved once (one batch of generate) or twice


def test_a_sequence_without_room_even_alone_fails_and_the_others_go_on(
    engine, tiny_model, tiny_tokenizer, monkeypatch
):
    engine.max_num_seqs = 1
    if isinstance(engine, HFEngine):
        engine._start_anew()
    ops = [Generate(tuple(tiny_tokenizer.encode(question)), 20) for question in QUESTIONS[:2]]
    fail_at(monkeypatch, engine, {1}, FULL["cuda"])
    failure, (completion,) = complete_all(engine, ops)
    assert isinstance(failure, RequestError)
    assert "does not fit into memory" in str(failure)
    assert completion.sampled_ids == generate_alone(tiny_model, ops[1].token_ids, 20)


def test_the_cache_stays_within_the_memory_that_is_free(tiny_model, tiny_tokenizer, monkeypatch):
    """The bound allows one of four long sequences, alone; halving goes on until it fits."""
    tokenizer = HFTokenizer(tiny_tokenizer)
    ops = [Generate(tokenizer.encode(question), 190) for question in QUESTIONS]
    want = [generate_alone(tiny_model, op.token_ids, 190) for op in ops]
    longest, op, ids = max(
        ((len(op.token_ids) + len(ids), op, ids) for op, ids in zip(ops, want, strict=True)),
        key=lambda found: found[0],
    )
    ops, want = [op] * 4, [ids] * 4
    bytes_per_token = 2 * 2 * 16 * 4  # keys and values, layers, head size, float32
    free = round((longest + 3) * bytes_per_token / memory.CACHE_SHARE)
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    engine = HFEngine(tiny_model, tokenizer, eos_token_ids=[0], max_length=512, max_num_seqs=6)
    assert engine.probe() < 1e-3
    assert "8 slots for 6 sequences" in engine.memory()
    sizes = []
    reserve = SlotCache.reserve

    def reserve_and_note(cache, length, needed):
        num_slots = reserve(cache, length, needed)
        sizes.append(sum(buffer.nbytes for buffer in cache._buffers()))
        return num_slots

    monkeypatch.setattr(SlotCache, "reserve", reserve_and_note)
    have = [completion.sampled_ids for (completion,) in complete_all(engine, ops)]
    assert have == want
    assert engine.max_num_seqs < 6
    assert max(sizes) <= free * memory.CACHE_SHARE


def test_a_lone_sequence_may_use_the_memory_of_the_idle_ones(
    tiny_model, tiny_tokenizer, monkeypatch
):
    """The bound allows 8 slots of 50 tokens; one sequence alone grows to 330 of its 400."""
    monkeypatch.setattr(
        memory, "free_bytes", lambda device: round(400 * 256 / memory.CACHE_SHARE) + 10
    )
    tokenizer = HFTokenizer(tiny_tokenizer)
    engine = HFEngine(tiny_model, tokenizer, eos_token_ids=[0], max_length=512, max_num_seqs=6)
    engine.probe()
    prompts = [tokenizer.encode(question)[:9] for question in QUESTIONS]
    ((alone,),) = complete_all(engine, [Generate(prompts[0], 320)])
    assert alone.sampled_ids == generate_alone(tiny_model, prompts[0], 320)
    assert engine._model.cache.num_slots < 3
    have = complete_all(engine, [Generate(prompt, 20) for prompt in prompts])
    assert [c.sampled_ids for (c,) in have] == [generate_alone(tiny_model, p, 20) for p in prompts]
    assert (engine._model.cache.num_slots, engine.max_num_seqs) == (8, 6)


def test_auto_is_as_many_sequences_as_memory_allows(tiny_model, tiny_tokenizer, monkeypatch):
    tokenizer = HFTokenizer(tiny_tokenizer)
    for num_seqs in (1, 5):
        free = round(num_seqs * 512 * 256 / memory.CACHE_SHARE) + 100
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        engine = HFEngine(
            tiny_model, tokenizer, eos_token_ids=[0], max_length=512, max_num_seqs=64, auto=True
        )
        engine.probe()
        assert engine.max_num_seqs == num_seqs


def test_a_thought_is_computed_once_whatever_branches_off_it(tiny_model, tiny_tokenizer):
    """Tokens fed to the model, counted: the answers' prefixes are copied, not computed."""
    tokenizer = HFTokenizer(tiny_tokenizer)
    engine = HFEngine(tiny_model, tokenizer, eos_token_ids=[0], max_length=512, max_num_seqs=2)
    fed = 0
    feed = engine._table.feed

    def counting(counts):
        nonlocal fed
        fed += sum(counts.values())
        return feed(counts)

    engine._table.feed = counting
    prompt = tokenizer.encode(QUESTIONS[0] * 3)
    delimiters = Delimiters("", "never", "A:", "")
    request = Request(prompt, 400, tokenizer.encode, tokenizer.decode, delimiters=delimiters)
    strategy = Budget(max_thinking_tokens=(10, 20, 40, 60), max_answer_tokens=4)
    (result,) = run([Job(strategy.run(request), 0)], engine)
    needed = len(prompt) + result.cost.num_sampled_tokens
    forced = 4 * len(tokenizer.encode("never") + tokenizer.encode("A:"))
    assert fed <= needed + forced + 4
    assert result.cost.num_prompt_tokens > 2 * needed  # what rounds would have computed


def test_log_probabilities_are_those_of_a_lone_forward(engine, tiny_model, tiny_tokenizer):
    prompts = [tuple(tiny_tokenizer.encode(q)) for q in QUESTIONS]
    ops = [Generate(p, 7, sampling=Sampling(temperature=0.7), logprobs=4) for p in prompts]
    for op, (completion,) in zip(ops, complete_all(engine, ops), strict=True):
        with torch.inference_mode():
            logits = tiny_model(torch.tensor([op.token_ids + completion.sampled_ids])).logits[0]
        want = logits.log_softmax(dim=-1)[len(op.token_ids) - 1 : -1]
        assert len(completion.logprobs) == len(completion.sampled_ids) == len(want)
        for have, row, token in zip(completion.logprobs, want, completion.sampled_ids, strict=True):
            assert have.sampled == pytest.approx(float(row[token]), abs=1e-4)
            assert have.top == pytest.approx(row.topk(4).values.tolist(), abs=1e-4)
            assert have.mean == pytest.approx(float(row.mean()), abs=1e-4)


class SeesNoPadding(LlamaForCausalLM):
    """Makes its mask of the ids, as code on the Hub does: its config's pad_token_id is not seen."""

    def forward(self, input_ids, attention_mask=None, **kwargs):
        if input_ids.shape[1] > 1:
            self.seen = (input_ids != self.config.pad_token_id).long()
        else:
            self.seen = torch.cat([self.seen, torch.ones_like(input_ids)], 1)
        return super().forward(input_ids=input_ids, attention_mask=self.seen, **kwargs)


def test_padding_is_probed_with_the_id_that_is_padded_with():
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 100}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.4}
    model = SeesNoPadding(LlamaConfig(**sizes, **heads, pad_token_id=0)).eval()
    assert probe_padding(model, 0, 200) < 1e-3
    assert probe_padding(model, 2, 200) > 1e-2
    engine = fit_engine(model, ByteTokenizer(), eos_token_ids=[2], max_length=200, max_num_seqs=4)
    assert engine.max_num_seqs == 1
