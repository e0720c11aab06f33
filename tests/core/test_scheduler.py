"""The driver: programs over an engine, each resumed when its own op is done."""

import math

import pytest
from helpers import ids, run_one

from lm_eval_tts.core.program import (
    Program,
    Sampling,
    StepScores,
    gather,
    generate,
    join,
    score,
    spawn,
)
from lm_eval_tts.core.scheduler import Job, derive_seed, run
from lm_eval_tts.engines.scripted import ScriptedEngine, failing
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.reward_models.scripted import ScriptedRewardModel

HOT = Sampling(temperature=1.0)


def say(prompt: str, max_tokens: int = 100) -> Program[str]:
    completion = yield from generate(ids(prompt), max_tokens=max_tokens)
    return bytes(completion.token_ids).decode()


def draw(prompt: str) -> Program[bytes]:
    completion = yield from generate(ids(prompt), max_tokens=12, sampling=HOT)
    return bytes(completion.token_ids)


def unless_bad(text: str, seed: int | None) -> str:
    return failing("no")(text, seed) if "bad" in text else text


def test_a_program_gets_its_completion_and_returns_a_value():
    result = run_one(say("hi"), ScriptedEngine(lambda text, seed: text.upper()))
    assert result.value == "HI"
    assert (result.cost.num_engine_calls, result.cost.num_sampled_tokens) == (1, 3)


def test_gathered_values_come_in_order_however_their_lengths():
    def parent() -> Program[list[str]]:
        return (yield from gather([say("a" * 9), say("b"), say("c" * 4)]))

    engine = ScriptedEngine(lambda text, seed: text)
    assert run_one(parent(), engine).value == ["a" * 9, "b", "c" * 4]


def test_an_empty_gather_is_an_empty_list():
    def parent() -> Program[list[str]]:
        return (yield from gather([]))

    assert run_one(parent(), ScriptedEngine()).value == []


def test_gathers_may_nest_a_thousand_deep():
    def nested(depth: int) -> Program[int]:
        if depth == 0:
            yield from say("x")
            return 0
        (value,) = yield from gather([nested(depth - 1)])
        return value + 1

    engine = ScriptedEngine(lambda text, seed: "y")
    assert run_one(nested(1000), engine).value == 1000


def test_a_straggler_delays_only_itself():
    order = [
        result.job
        for result in run(
            [Job(say("z" * 50), 0), Job(say("a"), 1), Job(say("bb"), 2)],
            ScriptedEngine(lambda text, seed: text, max_num_seqs=3),
        )
    ]
    assert order == [1, 2, 0]


def test_programs_start_only_when_the_engine_has_room():
    started = []

    def noted(index: int) -> Program[None]:
        started.append(index)
        yield from say("abc")

    results = run(
        [Job(noted(i), i) for i in range(10)],
        ScriptedEngine(lambda text, seed: text, max_num_seqs=2),
    )
    next(results)
    assert len(started) <= 4
    assert len(list(results)) == 9


def test_a_program_samples_the_same_in_any_company():
    def several(prompt: str) -> Program[list[bytes]]:
        first = yield from draw(prompt)
        return [first, *(yield from gather([draw(prompt), draw(prompt)]))]

    prompts = ["p", "q", "r" * 20, "s"]
    want = {
        p: run_one(several(p), ScriptedEngine(eos=False), seed=derive_seed(3, p)).value
        for p in prompts
    }
    for size in (1, 3, 8):
        jobs = [Job(several(p), derive_seed(3, p)) for p in reversed(prompts)]
        for result in run(jobs, ScriptedEngine(eos=False, max_num_seqs=size)):
            assert result.value == want[prompts[::-1][result.job]]
    assert len({tuple(values) for values in want.values()}) == len(prompts)
    assert all(len(set(values)) == 3 for values in want.values())


def test_a_failed_request_ends_its_own_program_only():
    def write(text: str, seed: int | None) -> str:
        return failing("too hot")(text, seed) if "bad" in text else "fine"

    jobs = [Job(say("good"), 0), Job(say("bad"), 1), Job(say("good too"), 2)]
    values = {r.job: r.value for r in run(jobs, ScriptedEngine(write))}
    assert values[0] == values[2] == "fine"
    assert isinstance(values[1], RequestError)
    assert "too hot" in str(values[1])


def test_a_program_may_catch_a_failure_and_go_on():
    def careful() -> Program[str]:
        try:
            return (yield from say("x" * 99))
        except RequestError:
            return (yield from say("x"))

    engine = ScriptedEngine(lambda text, seed: "ok", max_length=50)
    assert run_one(careful(), engine).value == "ok"


def test_a_failed_child_ends_its_siblings_and_reaches_the_parent():
    engine = ScriptedEngine(
        lambda text, seed: failing("no")(text, seed) if "bad" in text else text * 40
    )

    def parent() -> Program[str]:
        try:
            yield from gather([say("long"), gather([say("deep"), say("bad")])])
        except RequestError as error:
            return f"caught {error}"
        return "not reached"

    assert run_one(parent(), engine).value == "caught no"
    assert engine.num_unfinished == 0


def test_a_task_goes_on_beside_its_parent_and_its_value_waits_to_be_joined():
    order = []

    def noted(text: str) -> Program[str]:
        order.append((yield from say(text)))
        return order[-1]

    def parent() -> Program[list[str]]:
        first = yield from spawn([noted("a"), noted("b" * 9)])
        yield from noted("cccc")
        second = yield from spawn([noted("d")])
        return (yield from join([*second, *first]))

    engine = ScriptedEngine(lambda text, seed: text)
    assert run_one(parent(), engine).value == ["d", "a", "b" * 9]
    assert order == ["a", "cccc", "d", "b" * 9]


def test_what_a_program_samples_does_not_depend_on_what_it_has_spawned():
    def alone() -> Program[list[bytes]]:
        return [(yield from draw("p")), (yield from draw("q"))]

    def accompanied() -> Program[list[bytes]]:
        first = yield from draw("p")
        tasks = yield from spawn([draw("q"), draw("q")])
        tasks += yield from spawn([draw("q")])
        second = yield from draw("q")
        beside = yield from join(tasks)
        assert len({second, *beside}) == 4
        return [first, second]

    want = run_one(alone(), ScriptedEngine(eos=False), seed=5).value
    assert run_one(accompanied(), ScriptedEngine(eos=False), seed=5).value == want


def test_a_failed_task_is_told_when_it_is_joined():
    engine = ScriptedEngine(unless_bad)

    def parent() -> Program[str]:
        tasks = yield from spawn([say("bad"), say("long" * 99)])
        said = yield from say("fine")
        try:
            yield from join(tasks)
        except RequestError as error:
            return f"{said}, but {error}"
        return "not reached"

    assert run_one(parent(), engine).value == "fine, but no"
    assert engine.num_unfinished == 0


@pytest.mark.parametrize("ending", ["value", "error"])
def test_tasks_that_are_not_joined_end_with_their_program(ending):
    def parent() -> Program[str]:
        yield from spawn([say("long" * 99)])
        return (yield from say("bad" if ending == "error" else "done"))

    engine = ScriptedEngine(unless_bad)
    value = run_one(parent(), engine).value
    assert isinstance(value, RequestError) if ending == "error" else value == "done"
    assert engine.num_unfinished == 0


def test_whatever_a_program_raises_ends_it_alone_and_is_named():
    def bug() -> Program[str]:
        yield from say("hello")
        raise KeyError("a bug")

    engine = ScriptedEngine(unless_bad)
    results = {r.job: r.value for r in run([Job(bug(), 0), Job(say("a"), 0)], engine)}
    assert str(results[0]) == "the strategy failed on it: KeyError: 'a bug'"
    assert not isinstance(results[1], RequestError)


def test_a_wrong_setting_is_wrong_for_all_and_is_raised():
    def wrong() -> Program[str]:
        yield from say("hello")
        raise SettingsError("no rule")

    with pytest.raises(SettingsError, match="no rule"):
        list(run([Job(wrong(), 0)], ScriptedEngine(unless_bad)))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_rating_that_is_no_number_is_a_failure_and_counted(bad):
    reward_model = ScriptedRewardModel(lambda question, steps: bad)
    (result,) = run([Job(say_and_rate("a"), 0)], ScriptedEngine(unless_bad), reward_model)
    assert "are not numbers" in str(result.value)
    assert (result.cost.num_scores, result.cost.num_unrated) == (1, 1)


def test_ratings_that_differ_by_rounding_are_the_same_to_a_program():
    def rate(score: float) -> StepScores:
        reward_model = ScriptedRewardModel(lambda question, steps: score)
        (result,) = run([Job(say_and_rate("a"), 0)], ScriptedEngine(unless_bad), reward_model)
        return result.value

    assert rate(0.80206996) == rate(0.80207007)
    assert rate(0.8020) != rate(0.8022)


def test_seeds_of_different_paths_differ_and_stay_the_same_for_ever():
    assert derive_seed(0, "doc", 1) != derive_seed(0, "doc", 2) != derive_seed(1, "doc", 2)
    assert derive_seed(1234, "doc", 0) == 4044437464581524134


def say_and_rate(prompt: str) -> Program[StepScores]:
    said = yield from say(prompt)
    return (yield from score(prompt, said.split()))


def by_length(question: str, steps: tuple[str, ...]) -> float:
    return len(steps[-1]) / 10


def test_a_program_gets_the_scores_of_its_steps_and_pays_for_them():
    rater = ScriptedRewardModel(by_length)
    (result,) = run([Job(say_and_rate("ab c"), 0)], ScriptedEngine(lambda t, seed: t), rater)
    assert result.value == StepScores((0.2, 0.1), 7)
    assert (result.cost.num_scores, result.cost.num_scorer_tokens) == (1, 7)
    assert rater.spent.num_tokens == 7


def test_scores_of_many_programs_are_asked_for_in_one_call():
    rater = ScriptedRewardModel(by_length)
    engine = ScriptedEngine(lambda text, seed: text, max_num_seqs=4)
    results = list(run([Job(say_and_rate("abc"), 0) for _ in range(12)], engine, rater))
    assert rater.batches == [4, 4, 4]
    assert {result.value for result in results} == {StepScores((0.3,), 6)}


def test_scores_wait_while_the_engine_has_all_the_work_it_can_take():
    def parent() -> Program[list[StepScores]]:
        return (yield from gather([say_and_rate("a" * n) for n in range(1, 9)]))

    rater = ScriptedRewardModel(by_length)
    engine = ScriptedEngine(lambda text, seed: text, max_num_seqs=4)
    (result,) = run([Job(parent(), 0)], engine, rater)
    assert [round(10 * scores.scores[0]) for scores in result.value] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert sum(rater.batches) == 8
    assert rater.batches[0] > 1


def test_a_response_that_cannot_be_scored_fails_alone():
    def refuse(question: str, steps: tuple[str, ...]) -> float:
        if question == "bad":
            raise RequestError("too long")
        return 1.0

    jobs = [Job(say_and_rate(prompt), 0) for prompt in ("bad", "good")]
    results = run(jobs, ScriptedEngine(lambda t, seed: t), ScriptedRewardModel(refuse))
    values = {result.job: result.value for result in results}
    assert isinstance(values[0], RequestError)
    assert values[1] == StepScores((1.0,), 8)


def test_nothing_is_scored_for_a_program_that_was_given_up():
    def fails() -> Program[None]:
        yield from say("x")
        yield from say("y" * 5000)

    def parent() -> Program[None]:
        yield from gather([say_and_rate("a"), fails()])

    rater = ScriptedRewardModel(by_length)
    engine = ScriptedEngine(lambda text, seed: text, max_num_seqs=1)
    (result,) = run([Job(parent(), 0)], engine, rater)
    assert isinstance(result.value, RequestError)
    assert rater.batches in ([], [1])


def test_a_score_without_a_reward_model_is_the_users_error():
    with pytest.raises(SettingsError, match="reward_model="):
        list(run([Job(say_and_rate("a"), 0)], ScriptedEngine(lambda t, seed: t)))
