"""Programs are known by what they do on the inputs that their prompt gives."""

from lm_eval_tts.tasks import votes
from lm_eval_tts.tasks.votes import behaviour_of, calls_in

DOUBLE = "def f(x):\n    '''Double.\n    >>> f(2)\n    4\n    >>> f([1])\n    [1, 1]\n    '''\n"
CALLS = ("f(2)", "f([1])")


def test_inputs_are_those_of_doctests_and_assertions_without_what_should_come_out():
    assert calls_in(DOUBLE) == CALLS
    shown = "Pass these:\n\nassert g((3, 4)) == (4,)\nassert h(1)\n>>> not python ="
    assert calls_in(shown) == ("g((3, 4))", "h(1)")
    assert calls_in("No examples, we assert.") == ()


def test_programs_that_do_the_same_are_equal_however_they_are_written():
    one, two = (behaviour_of(f"{DOUBLE}    return {x}", CALLS) for x in ("x + x", "2 * x"))
    assert one == two == '["4", "[1, 1]"]'


def test_errors_and_sets_are_behaviour_too():
    calls = ("f('ab')", "f(1)")
    one, two = (behaviour_of(f"def f(x): return {x}", calls) for x in ("set(x)", "{*x}"))
    assert one == two
    assert "TypeError" in one


def test_what_a_program_prints_is_no_behaviour():
    quiet, loud = "def f(x): return 1", "print(3)\ndef f(x): print(x); return 1"
    assert behaviour_of(quiet, CALLS) == behaviour_of(loud, CALLS)


def test_a_program_that_does_not_run_or_not_in_time_has_no_vote(monkeypatch):
    assert behaviour_of("def f(x) return 1", CALLS) is None
    monkeypatch.setattr(votes, "CALL_SECONDS", 0.5)
    assert behaviour_of("while True: pass", CALLS) is None
