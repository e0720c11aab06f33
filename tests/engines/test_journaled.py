"""A run that goes on from a journal: nothing is asked twice, and everything is as it would be."""

import tracemalloc
from dataclasses import replace

import pytest
from helpers import byte_request, ids, text_of

from lm_eval_tts.core.journal import Journal
from lm_eval_tts.core.program import Completion, Generate, Sampling, TokenLogprob, gather, generate
from lm_eval_tts.core.scheduler import Job, derive_seed, run
from lm_eval_tts.engines.reliable import ReliableEngine, op_key, pack, unpack
from lm_eval_tts.engines.scripted import ScriptedEngine, babble, failing
from lm_eval_tts.errors import RequestError
from lm_eval_tts.strategies.budget import Budget

HOT = Sampling(temperature=1.0)
OP = Generate(ids("2+2?"), 20, ("\n",), HOT, n=2, logprobs=1)


class Stopped(BaseException):
    """The process ends here."""


def mortal(steps: int) -> ScriptedEngine:
    """An engine whose process ends after so many steps."""
    engine = ScriptedEngine(babble, eos=False)
    step = engine.step

    def count_down():
        if engine.num_steps == steps:
            raise Stopped
        return step()

    engine.step = count_down
    return engine


def jobs(sampling: Sampling):
    strategy = Budget(max_thinking_tokens=(8, 24), num_waits=2, max_answer_tokens=6)

    def vote(prompt):
        return (yield from gather(generate(prompt, max_tokens=9, sampling=sampling) for _ in "abc"))

    for number in range(6):
        request = byte_request(f"Problem {number}?", sampling=sampling)
        yield Job(strategy.run(request), derive_seed(1, number))
        yield Job(vote(request.prompt), derive_seed(2, number))


def results_of(engine, sampling: Sampling) -> list:
    return sorted(run(jobs(sampling), engine), key=lambda result: result.job)


@pytest.mark.parametrize("sampling", [Sampling(), HOT], ids=["greedy", "sampled"])
def test_stopped_at_any_step_a_run_goes_on_to_the_same_results_and_costs(tmp_path, sampling):
    whole = ScriptedEngine(babble, eos=False)
    want = results_of(whole, sampling)
    for steps in range(0, whole.num_steps, 7):
        folder = tmp_path / str(steps)
        with pytest.raises(Stopped), Journal(folder, {}) as journal:
            results_of(ReliableEngine(mortal(steps), journal), sampling)
        with Journal(folder, {}) as journal:
            assert (
                results_of(ReliableEngine(ScriptedEngine(babble, eos=False), journal), sampling)
                == want
            )


def test_what_is_finished_is_never_asked_of_the_engine_again(tmp_path):
    with Journal(tmp_path, {}) as journal:
        want = results_of(ReliableEngine(ScriptedEngine(babble, eos=False), journal), HOT)
    idle = ScriptedEngine(failing("asked again"))
    with Journal(tmp_path, {}) as journal:
        assert results_of(ReliableEngine(idle, journal), HOT) == want
    assert idle.num_steps == 0


def test_a_long_run_keeps_no_result_in_memory_and_goes_on_from_the_file_alone(tmp_path):
    """python scripts/bench_scheduler.py --journal does it with 100,000."""
    count, prompt, short = 500, ids("x" * 300), lambda text, seed: "four"

    def some():
        yield from (Job(generate(prompt, max_tokens=4), seed) for seed in range(count))

    with Journal(tmp_path, {}) as journal:
        tracemalloc.start()
        done = sum(1 for _ in run(some(), ReliableEngine(ScriptedEngine(short), journal)))
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (done, len(journal)) == (count, count)
    assert grown / count < 800  # bytes a request: a key and where its record is
    idle = ScriptedEngine(failing("asked again"))
    with Journal(tmp_path, {}) as journal:
        found = [len(r.value.token_ids) for r in run(some(), ReliableEngine(idle, journal))]
    assert found == [4] * count
    assert idle.num_steps == 0


def test_every_field_of_an_op_and_the_seed_make_its_key():
    changes = [
        {"token_ids": ids("2+3?")},
        {"max_tokens": 21},
        {"stop": ()},
        {"sampling": Sampling(temperature=0.9)},
        {"n": 3},
        {"logprobs": None},
    ]
    keys = {op_key(OP, 7), op_key(OP, 8), *(op_key(replace(OP, **c), 7) for c in changes)}
    assert len(keys) == 8
    assert op_key(OP, 7) == op_key(replace(OP), 7)


def test_completions_come_back_exactly_with_log_probabilities_and_cut_tokens(tmp_path):
    logprobs = (TokenLogprob(-0.1, (-0.1, -2.0000000000000004)), TokenLogprob(-1e-300, (), -3.0))
    want = (
        Completion(ids("ab"), (*ids("ab"), 256), "eos", logprobs=logprobs),
        Completion((*ids("a"), 99, 98), ids("ax"), "stop", "x"),
        Completion((), (), "length"),
    )
    with Journal(tmp_path, {}) as journal:
        journal.add("k", pack(want))
    with Journal(tmp_path, {}) as journal:
        assert repr(unpack(journal.get("k"))) == repr(want)  # NaN is in it


def test_a_failure_is_not_kept(tmp_path):
    class Refusing(ScriptedEngine):
        def step(self):
            return [
                output._replace(result=RequestError("busy")) for output in ScriptedEngine.step(self)
            ]

    with Journal(tmp_path, {}) as journal:
        engine = ReliableEngine(Refusing(lambda text, seed: "4"), journal)
        (result,) = run([Job(generate(ids("2+2?"), max_tokens=5), 0)], engine)
        assert isinstance(result.value, RequestError)
        assert len(journal) == 0


def test_of_two_equal_ops_under_way_both_get_the_result_that_is_kept(tmp_path):
    """Half precision may tell the two apart; a resumed run cannot."""
    texts = iter(["one", "two"])
    with Journal(tmp_path, {}) as journal:
        engine = ReliableEngine(ScriptedEngine(lambda text, seed: next(texts)), journal)
        engine.add_request(1, Generate(ids("?"), 9), 5)
        engine.add_request(2, Generate(ids("?"), 9), 5)
        results = {}
        while engine.num_unfinished:
            results.update({o.request_id: text_of(o.result[0].token_ids) for o in engine.step()})
    assert results == {1: "one", 2: "one"}


def test_a_request_that_was_known_can_be_aborted(tmp_path):
    with Journal(tmp_path, {}) as journal:
        journal.add(op_key(OP, 7), pack((Completion((1,), (1,), "length"),)))
        engine = ReliableEngine(ScriptedEngine(), journal)
        engine.add_request(1, OP, 7)
        assert engine.num_unfinished == OP.n
        engine.abort(1)
        assert engine.num_unfinished == 0


def test_a_long_thought_is_small_in_the_file(tmp_path):
    """32,768 tokens of text: less than 4 bytes a token, and kept once, not twice."""
    thought = ids(" ".join(str(i * i) for i in range(9000)))[:32768]
    with Journal(tmp_path, {}) as journal:
        journal.add("k", pack((Completion(thought, thought, "length"),)))
    assert (tmp_path / "rank0.journal").stat().st_size < 4 * 32768
