"""Budget forcing, stepped by hand and run on the scripted engine."""

import pytest
from helpers import THINK, byte_request, completed, run_one, text_of
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_tts.core.program import Generate, Join, Sampling, Spawn, Task
from lm_eval_tts.core.trace import Delimiters, Trace
from lm_eval_tts.engines.scripted import ScriptedEngine
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.strategies.budget import Budget
from lm_eval_tts.strategies.progressive import Progressive
from lm_eval_tts.strategies.rejection import Rejection
from lm_eval_tts.strategies.single import Single


def answer_of(trace: Trace) -> str:
    return text_of(trace.response_ids).split("<answer>")[1].removesuffix("</answer>")


def writer(thoughts: list[str], answers: list[str] | None = None):
    """A model that thinks `thoughts[number of waits]` and answers by the number of waits."""

    def write(text: str, seed: int | None) -> str:
        waits = text.count("Wait")
        if "<answer>" in text:
            return (answers or ["A0", "A1", "A2", "A3"])[waits] + "</answer>"
        return thoughts[waits] + "</think> never seen"

    return write


def test_the_end_of_thinking_is_replaced_by_wait_and_then_let_through():
    program = Budget(num_waits=1, max_thinking_tokens=(50,)).run(byte_request("Q"))
    op = next(program)
    assert text_of(op.token_ids) == "Q<think>\n"
    assert op.stop == ("</think>",)
    assert op.max_tokens == 50 + len("</think>")  # so that a tag begun in time is seen whole
    op = program.send(completed(op, "one", "</think>"))
    assert text_of(op.token_ids) == "Q<think>\noneWait"
    assert op.max_tokens == 50 - len("oneWait") + len("</think>")
    spawn = program.send(completed(op, "two", "</think>"))
    assert isinstance(spawn, Spawn)
    (branch,) = spawn.programs
    op = next(branch)
    assert text_of(op.token_ids) == "Q<think>\noneWaittwo</think>\n<answer>"
    assert op.stop == ("</answer>",)
    with pytest.raises(StopIteration) as stop:
        branch.send(completed(op, "2", "</answer>"))
    assert program.send([Task(0)]) == Join((Task(0),))
    with pytest.raises(StopIteration) as done:
        program.send([stop.value.value])
    trace = done.value.value
    assert text_of(trace.response_ids) == "<think>\noneWaittwo</think>\n<answer>2</answer>"
    assert trace.num_waits == 1


def test_every_count_is_exact():
    engine = ScriptedEngine(writer(["abc", "de"], ["", "4"]))
    result = run_one(Budget(num_waits=1).run(byte_request()), engine)
    trace = result.value
    assert trace.num_tokens("thinking") == len("abcWaitde")
    assert trace.num_tokens("thinking", forced=True) == len("Wait")
    assert trace.num_tokens("answer") == 1
    # The model wrote both closing tags itself; the opening ones and the wait were forced.
    assert trace.num_tokens(forced=True) == len("<think>\n" + "Wait" + "\n<answer>")
    assert trace.num_tokens() == len("<think>\nabcWaitde</think>\n<answer>4</answer>")
    # Sampled: both endings too, as far as the token that completed them.
    assert result.cost.num_sampled_tokens == len("abc</think>" + "de</think>" + "4</answer>")
    assert result.cost.num_engine_calls == 3


def test_thinking_is_cut_at_the_maximum_and_the_answer_forced():
    engine = ScriptedEngine(writer(["x" * 500]))
    trace = run_one(
        Budget(max_thinking_tokens=(20,), num_waits=2).run(byte_request()), engine
    ).value
    assert text_of(trace.response_ids) == "<think>\n" + "x" * 20 + "</think>\n<answer>A0</answer>"
    assert trace.truncated("thinking")
    assert trace.num_waits == 0
    assert trace.num_tokens(forced=True) == len("<think>\n</think>\n<answer>")


def test_the_budget_covers_all_rounds_and_the_wait_texts():
    engine = ScriptedEngine(writer(["a" * 10, "b" * 10, "c" * 10, "d" * 10]))
    trace = run_one(
        Budget(max_thinking_tokens=(30,), num_waits=3).run(byte_request()), engine
    ).value
    thinking = "a" * 10 + "Wait" + "b" * 10 + "Wait" + "cc"
    assert text_of(trace.response_ids).startswith(f"<think>\n{thinking}</think>")
    assert trace.num_tokens("thinking") == 30


def test_a_turn_that_ends_while_thinking_goes_on_too():
    def write(text: str, seed: int | None) -> str:
        if "<answer>" in text:
            return "7</answer>"
        return "more" if "Wait" in text else "some"  # and then the end of the turn

    trace = run_one(Budget(num_waits=1).run(byte_request()), ScriptedEngine(write)).value
    assert text_of(trace.response_ids) == "<think>\nsomeWaitmore</think>\n<answer>7</answer>"
    # Nothing but an end of turn was sampled there, so the closing tag is forced.
    assert trace.num_tokens("tag", forced=False) == len("</answer>")


def test_waiting_goes_on_until_the_minimum_is_thought():
    engine = ScriptedEngine(writer(["a" * 4, "b" * 4, "c" * 4, "d" * 4], ["", "", "r", ""]))
    trace = run_one(Budget(min_thinking_tokens=15).run(byte_request()), engine).value
    assert trace.num_waits == 2
    assert trace.num_tokens("thinking") == 20
    assert answer_of(trace) == "r"


def thought_of(strategy, write) -> str:
    """What is thought; "." is written in place of an ending that is masked."""
    trace = run_one(strategy.run(byte_request()), ScriptedEngine(write)).value
    return text_of(trace.response_ids).removeprefix("<think>\n").partition("</think>\n<answer>")[0]


@pytest.mark.parametrize("ending", ["</think>", ""], ids=["tag", "end of the turn"])
def test_a_wait_without_a_text_masks_the_ending_and_thinks_on(ending):
    def write(text: str, seed: int | None) -> str:
        return ending if text.endswith("ab") or "." in text else "ab" + ending

    strategy = Budget(wait_text="", num_waits=2)
    masked = ending[:-1] + "."  # of a tag in several tokens the last one
    assert thought_of(strategy, write) == "ab" + masked + masked
    trace = run_one(strategy.run(byte_request()), ScriptedEngine(write)).value
    assert trace.num_waits == 2


def test_the_minimum_is_kept_by_masking_where_that_is_asked_for():
    def write(text: str, seed: int | None) -> str:
        return "</think>" if "ab" in text else "ab</think>"

    thought = thought_of(Budget(min_thinking_tokens=12, min_thinking_by="masking"), write)
    assert thought == "ab</think.</think."  # the second tag would begin among the 12 tokens
    assert thought_of(Budget(min_thinking_tokens=2, min_thinking_by="masking"), write) == "ab"


@given(min_tokens=st.integers(0, 12), num_waits=st.integers(0, 3), text=st.sampled_from(["", "W"]))
def test_budgets_of_a_list_equal_runs_of_their_own_where_endings_are_masked(
    min_tokens, num_waits, text
):
    def points_of(*budgets: int) -> list[Trace]:
        strategy = Budget(
            max_thinking_tokens=budgets, num_waits=num_waits, wait_text=text, min_tokens=min_tokens
        )
        write = writer(["so</think>"] * 9, ["A"] * 9)
        trace = run_one(strategy.run(byte_request()), ScriptedEngine(write)).value
        return [point for _, point in trace.points] or [trace]

    budgets = range(0, 40, 3)
    assert points_of(*budgets) == [points_of(budget)[0] for budget in budgets]


S1 = Delimiters("[think", "[answer", cut_text="\n[answer\nFinal Answer:")


@pytest.mark.parametrize(
    ("thought", "response"),
    [
        ("\nWe add\nSo 7", "[think\nWe add\n[answer\nFinal Answer: 7"),  # cut after a break
        ("\nWe add it so", "[think\nWe add \n[answer\nFinal Answer: 7"),  # and elsewhere
        ("\nAdd.[answer", "[think\nAdd.[answer 7"),  # an end of its own
        ("\nAdd.", "[think\nAdd.[answer 7"),  # an end of the turn
    ],
)
def test_only_a_thought_that_is_cut_ends_with_the_text_for_it_on_a_line_of_its_own(
    thought, response
):
    def write(text: str, seed: int | None) -> str:
        return " 7" if "[answer" in text else thought

    request = byte_request(delimiters=S1)
    trace = run_one(Budget(max_thinking_tokens=(8,)).run(request), ScriptedEngine(write)).value
    assert text_of(trace.response_ids) == response


def test_no_thinking_at_all_is_a_budget_too():
    engine = ScriptedEngine(writer(["never"]))
    trace = run_one(Budget(max_thinking_tokens=(0,)).run(byte_request()), engine).value
    assert text_of(trace.response_ids) == "<think>\n</think>\n<answer>A0</answer>"


def test_a_tag_that_the_template_opened_is_not_opened_again():
    engine = ScriptedEngine(writer(["abc"]))
    request = byte_request("Q<think>\n", thinking_opened=True)
    trace = run_one(Budget().run(request), engine).value
    assert text_of(trace.response_ids) == "abc</think>\n<answer>A0</answer>"


def test_an_answer_that_does_not_end_is_cut_and_closed():
    def write(text: str, seed: int | None) -> str:
        return "9" * 100 if "<answer>" in text else "abc</think>"

    trace = run_one(Budget(max_answer_tokens=5).run(byte_request()), ScriptedEngine(write)).value
    assert answer_of(trace) == "99999"
    assert trace.truncated("answer")


def test_the_answer_keeps_its_room_when_the_context_ends_before_the_budget():
    engine = ScriptedEngine(writer(["x" * 500]))
    request = byte_request(max_tokens=60, context_limited=True)
    trace = run_one(Budget(max_answer_tokens=10).run(request), engine).value
    assert answer_of(trace) == "A0"
    assert trace.num_tokens("thinking") == 60 - 10 - len("<think>\n</think>\n<answer></answer>")
    assert trace.out_of_context


def test_an_answer_takes_at_most_half_of_a_limit_and_nothing_thought_is_noted():
    engine = ScriptedEngine(writer(["x" * 500]))
    tags = len("<think>\n</think>\n<answer></answer>")
    for room, thinking in ((26, 13), (1, 0)):
        request = byte_request(max_tokens=tags + room)
        trace = run_one(Budget(max_answer_tokens=100).run(request), engine).value
        assert (trace.num_tokens("thinking"), trace.out_of_context) == (thinking, not thinking)


def test_a_prompt_without_room_for_an_answer_is_a_failure_not_a_crash():
    result = run_one(Budget().run(byte_request(max_tokens=12)), ScriptedEngine())
    assert isinstance(result.value, RequestError)
    assert "too few" in str(result.value)


THOUGHTS = ["think " * 5, "again " * 3, "check " * 4, "done"]


@given(
    budgets=st.lists(st.integers(0, 90), min_size=2, max_size=5, unique=True),
    num_waits=st.integers(0, 3),
)
def test_each_point_of_a_budget_list_equals_a_run_of_its_own(budgets, num_waits):
    def write(text: str, seed: int | None) -> str:
        return f"{len(text)}</answer>" if "<answer>" in text else writer(THOUGHTS)(text, seed)

    def trace_of(*some: int) -> Trace:
        strategy = Budget(max_thinking_tokens=some, num_waits=num_waits)
        return run_one(strategy.run(byte_request()), ScriptedEngine(write)).value

    points = dict(trace_of(*budgets).points)
    assert list(points) == [str(b) for b in sorted(budgets)]
    for budget in budgets:
        assert points[str(budget)] == trace_of(budget)


def test_a_list_of_budgets_costs_one_thought_and_an_answer_for_each_that_differs():
    engine = ScriptedEngine(writer(["x" * 20]))
    strategy = Budget(max_thinking_tokens=(5, 10, 40, 80))
    result = run_one(strategy.run(byte_request()), engine)
    assert result.cost.num_engine_calls == 1 + 3  # 40 and 80 both see the whole thought
    assert dict(result.value.points)["40"] == dict(result.value.points)["80"]


@pytest.mark.parametrize(
    "strategy",
    [
        Progressive(num_waits=2),
        Budget(num_waits=2, max_thinking_tokens=(2, 6, 50)),  # before, in and after the wait
    ],
)
def test_an_answer_is_asked_for_as_soon_as_its_point_is_settled(strategy):
    asked = []

    class Watched(ScriptedEngine):
        def add_request(self, request_id: int, op: Generate, seed: int) -> None:
            asked.append(text_of(op.token_ids))
            super().add_request(request_id, op, seed)

    run_one(strategy.run(byte_request()), Watched(writer(["aaa", "bbb", "ccc"])))
    second_thought = next(i for i, text in enumerate(asked) if text.endswith("Wait"))
    assert "<answer>" in asked[second_thought - 1]
    assert "<answer>" not in asked[0]


@given(
    budgets=st.lists(st.integers(0, 90), min_size=1, max_size=5, unique=True),
    num_waits=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_what_is_thought_does_not_depend_on_the_answers_on_the_way(budgets, num_waits, seed):
    def thought_of(*some: int) -> str:
        strategy = Budget(max_thinking_tokens=some, num_waits=num_waits)
        request = byte_request(sampling=Sampling(temperature=1.0))
        trace = run_one(strategy.run(request), ScriptedEngine(), seed).value
        return bytes(trace.response_ids[: trace.num_tokens("thinking") + len("<think>\n")])

    assert thought_of(*budgets, 100) == thought_of(100)


def test_progressive_expansion_answers_at_every_wait_in_one_run():
    engine = ScriptedEngine(writer(["aa", "bb", "cc"]))
    trace = run_one(Progressive(num_waits=2).run(byte_request()), engine).value
    points = dict(trace.points)
    assert [answer_of(points[f"wait{i}"]) for i in range(3)] == ["A0", "A1", "A2"]
    assert [point.num_waits for point in points.values()] == [0, 1, 2]
    assert text_of(trace.response_ids).startswith("<think>\naaWaitbbWaitcc</think>\n<answer>")


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_a_level_of_progressive_expansion_equals_budget_forcing_with_that_many_waits(level):
    engine = ScriptedEngine(writer(THOUGHTS))
    progressive = run_one(Progressive(num_waits=3).run(byte_request()), engine).value
    alone = run_one(Budget(num_waits=level).run(byte_request()), engine).value
    assert dict(progressive.points)[f"wait{level}"] == alone


def test_a_level_that_the_budget_does_not_reach_has_the_last_answer():
    engine = ScriptedEngine(writer(["a" * 30, "b" * 30]))
    strategy = Progressive(num_waits=3, max_thinking_tokens=40)
    points = dict(run_one(strategy.run(byte_request()), engine).value.points)
    assert [p.num_waits for p in points.values()] == [0, 1, 1, 1]


def test_rejection_sampling_takes_the_first_thought_that_fits():
    lengths = iter([90, 90, 7, 7])

    def write(text: str, seed: int | None) -> str:
        return "R</answer>" if "<answer>" in text else "x" * next(lengths) + "</think>"

    strategy = Rejection(max_thinking_tokens=30)
    request = byte_request(sampling=Sampling(temperature=1.0))
    trace = run_one(strategy.run(request), ScriptedEngine(write)).value
    assert (trace.tries, trace.num_tokens("thinking")) == (3, 7)
    assert answer_of(trace) == "R"


def test_rejection_sampling_gives_up_after_its_tries_and_says_so():
    engine = ScriptedEngine(writer(["x" * 90]))
    request = byte_request(sampling=Sampling(temperature=1.0))
    trace = run_one(Rejection(max_thinking_tokens=20, max_tries=3).run(request), engine).value
    assert (trace.tries, trace.truncated("thinking"), answer_of(trace)) == (3, True, "A0")


def test_a_single_completion_keeps_the_closing_tag_of_its_answer():
    engine = ScriptedEngine(lambda text, seed: "<think>a</think><answer>4</answer> and on")
    trace = run_one(Single().run(byte_request()), engine).value
    assert text_of(trace.response_ids) == "<think>a</think><answer>4</answer>"
    assert trace.num_tokens(forced=True) == 0


def test_a_single_completion_ends_at_the_stop_strings_of_the_task():
    engine = ScriptedEngine(lambda text, seed: "one\n\ntwo")
    request = byte_request(until=("\n\n",), delimiters=Delimiters())
    assert text_of(run_one(Single().run(request), engine).value.response_ids) == "one"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Budget(max_thinking_tokens=(-1,)), r"max_thinking_tokens=\[-1\]: allowed"),
        (lambda: Budget(max_thinking_tokens=()), "at least one"),
        (lambda: Budget(max_thinking_tokens=(50, 9), min_thinking_tokens=10), "allowed is 0 to"),
        (lambda: Budget(num_waits=-1), "num_waits=-1"),
        (lambda: Progressive(max_answer_tokens=0), "max_answer_tokens=0"),
        (lambda: Rejection(max_tries=0), "max_tries=0"),
        (lambda: Single(max_gen_toks=0), "max_gen_toks=0"),
        (lambda: Budget().check(Delimiters(), Sampling()), "needs a thinking_end"),
        (lambda: Rejection().check(THINK, Sampling()), "set temperature > 0"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(make, message):
    with pytest.raises(SettingsError, match=message):
        make()


def test_a_closing_tag_begun_in_time_is_not_cut_in_half():
    engine = ScriptedEngine(writer(["x" * 20]))
    trace = run_one(Budget(max_thinking_tokens=(20,)).run(byte_request()), engine).value
    assert "</think>" in text_of(trace.response_ids)
    assert not trace.truncated("thinking")
    assert trace.num_tokens("thinking") == 20
    shorter = run_one(Budget(max_thinking_tokens=(19,)).run(byte_request()), engine).value
    assert shorter.num_tokens("thinking") == 19
    assert shorter.truncated("thinking")
