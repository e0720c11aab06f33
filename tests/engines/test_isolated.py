"""A request that breaks the engine fails alone, and an engine that is broken is not driven on."""

import pytest
from helpers import ids, text_of

from lm_eval_tts.core.program import generate
from lm_eval_tts.core.scheduler import Job, run
from lm_eval_tts.engines.reliable import MAX_BREAKS, ReliableEngine
from lm_eval_tts.engines.scripted import ScriptedEngine
from lm_eval_tts.errors import RequestError


class Fragile(ScriptedEngine):
    """Raises in a step with a poisoned prompt; the good ones are answered by their number."""

    def __init__(self, is_poison=lambda text: "poison" in text, **kw):
        super().__init__(lambda text, seed: f"answer to {text}", **kw)
        self._is_poison = is_poison

    def step(self):
        outputs = super().step()
        for row in [r for rows in self._rows.values() for r in rows]:
            if self._is_poison(text_of(row.op.token_ids)):
                raise IndexError("index out of range in self\nand a stack")
        return outputs


def results_of(engine, prompts):
    jobs = [Job(generate(ids(p), max_tokens=99), i) for i, p in enumerate(prompts)]
    results = sorted(run(jobs, ReliableEngine(engine)), key=lambda result: result.job)
    return [
        r.value if isinstance(r.value, RequestError) else text_of(r.value.token_ids)
        for r in results
    ]


def test_the_one_that_breaks_it_fails_with_a_reason_and_the_others_have_their_results(caplog):
    prompts = ["a", "b", "poison", "c", "d", "e", "poison 2", "f"]
    results = results_of(Fragile(max_num_seqs=3), prompts)
    for prompt, result in zip(prompts, results, strict=True):
        if "poison" in prompt:
            assert isinstance(result, RequestError)
            assert str(result) == "the engine failed on it: IndexError: index out of range in self"
        else:
            assert result == f"answer to {prompt}"
    assert "run one by one" in caplog.text


def test_an_engine_that_breaks_on_everything_is_not_driven_on_and_all_have_its_error():
    engine = Fragile(is_poison=lambda text: True)
    results = results_of(engine, [str(i) for i in range(50)])
    assert engine.num_steps == MAX_BREAKS
    assert all(isinstance(result, RequestError) for result in results)
    assert "the engine failed 32 times in a row, last by IndexError" in str(results[-1])


def test_a_device_that_is_lost_costs_what_was_not_finished_and_is_not_asked_again():
    class Lost(ScriptedEngine):
        def step(self):
            if self.num_steps == 10:
                self.num_steps += 1
                raise RuntimeError("CUDA error: device-side assert triggered\nCompile with ...")
            return super().step()

    engine = Lost(lambda text, seed: "answer", max_num_seqs=2)
    results = results_of(engine, [str(i) for i in range(20)])
    assert engine.num_steps == 11
    assert results[0] == "answer"
    assert "the device is lost (RuntimeError: CUDA error: device-side assert" in str(results[-1])


def test_a_keyboard_interrupt_is_not_a_fault():
    class Interrupted(ScriptedEngine):
        def step(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        results_of(Interrupted(), ["a"])


def test_requests_that_wait_count_as_unfinished_and_can_be_aborted():
    engine = ReliableEngine(Fragile())
    for number, prompt in enumerate(["poison", "a", "b"]):
        engine.add_request(number, *[op := next(generate(ids(prompt), max_tokens=9)), 0])
    assert engine.step() == []
    engine.add_request(3, op, 0)
    assert engine.num_unfinished == 4
    for number in (1, 3, 99):
        engine.abort(number)
    results = {}
    while engine.num_unfinished:
        results.update({o.request_id: o.result for o in engine.step()})
    assert isinstance(results[0], RequestError)
    assert set(results) == {0, 2}


def test_a_model_that_raises_on_one_prompt_answers_the_others_as_if_it_were_not_there(
    tiny_model, tiny_tokenizer
):
    """An id beyond the vocabulary is what a wrong tokenizer or a bad recording would bring."""
    from lm_eval_tts.engines.hf.engine import HFEngine
    from lm_eval_tts.engines.tokenizer import HFTokenizer

    def results(*prompts):
        engine = HFEngine(
            tiny_model,
            HFTokenizer(tiny_tokenizer),
            eos_token_ids=[0],
            max_length=99,
            max_num_seqs=4,
        )
        jobs = [Job(generate(prompt, max_tokens=9), seed=0) for prompt in prompts]
        return sorted(run(jobs, ReliableEngine(engine)), key=lambda result: result.job)

    good = [tuple(range(5, 30)), tuple(range(40, 52)), (7, 8, 9)]
    want = [result.value for result in results(*good)]
    first, poison, *others = results(good[0], (5, 6, 10**6), *good[1:])
    assert isinstance(poison.value, RequestError)
    assert "IndexError" in str(poison.value)
    assert [result.value for result in (first, *others)] == want
