"""Which answers to any task are equal, for votes: those that its filter makes the same; of
programs, those that do the same on the inputs that their prompt gives.

Inputs are the calls in doctests (`>>> f(2)`) and in assertions (`assert f(2) == 4`); what should
come out, and tests that the prompt does not show, are not looked at. Each program runs in a
separate process, as lm_eval's metrics for code run it: not for code that may be hostile."""

import ast
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from lm_eval_tts.core.voting import Classes
from lm_eval_tts.tasks.views import filtered

# What lm_eval's filters return where they find nothing.
NOTHING_FOUND = ("", "[invalid]", "None", "[]", "['invalid']", "['[invalid]']")
KeysOf = Callable[[Any, list[Any]], Iterable[Hashable | None] | None]
CALL_SECONDS = 5.0  # for one program
_LINE = re.compile(r"^\s*(?:>>> ?(?=\S)|(?=assert\b))(.+)$", re.MULTILINE)
_RUN = """
import contextlib, io, json, sys
program, calls = json.load(sys.stdin)
names, found = {"__name__": "program"}, []
with contextlib.redirect_stdout(io.StringIO()):
    exec(program, names)
    for call in calls:
        try:
            found.append(repr(eval(call, names)))
        except Exception as error:
            found.append(type(error).__name__)
print(json.dumps(found))
"""


class VoteClasses:
    """The classes of a task.
    ensembles: its filters, of which the first that takes a single response decides. keys_of: the
    task's own function, see `anytask`."""

    def __init__(self, ensembles: Sequence[Any], keys_of: KeysOf | None) -> None:
        self._ensembles, self._keys_of = ensembles, keys_of

    def of(self, instance: Any) -> Callable[[Sequence[str]], Classes]:
        """Return what finds the classes of answers to an instance."""

        def of_answer(answer: str) -> Any:
            found = filtered(instance, self._ensembles, str, [answer], optional=True)
            return next(iter(found.values()), answer)

        return lambda answers: self.of_values(instance.doc, list(map(of_answer, answers)))

    def of_values(self, doc: Any, values: Sequence[Any]) -> list[int | None]:
        """Return the classes of filtered answers, None for none."""
        keys = self._keys_of and self._keys_of(doc, list(values))
        if keys is None:
            texts = [str(value).strip() for value in values]
            keys = (None if text in NOTHING_FOUND else text for text in texts)
        numbers: dict[Hashable, int] = {}
        return [None if key is None else numbers.setdefault(key, len(numbers)) for key in keys]


def by_behaviour(prompt_of: Callable[[Any], str]) -> KeysOf:
    """Return what distinguishes programs. prompt_of: a document to what its task shows of it; where
    that gives no inputs, the filter's output decides."""

    def keys(doc: Any, values: list[Any]) -> list[str | None] | None:
        calls = calls_in(prompt_of(doc))
        programs = [value[0] if isinstance(value, list) else value for value in values]
        return [behaviour_of(str(program), calls) for program in programs] if calls else None

    return keys


def calls_in(prompt: str) -> tuple[str, ...]:
    """Return the expressions that a prompt shows programs to be tried on, in its order."""
    return tuple(dict.fromkeys(call for line in _LINE.findall(prompt) for call in _calls(line)))


def _calls(line: str) -> Iterator[str]:
    try:
        (statement,) = ast.parse(line.strip()).body
    except (SyntaxError, ValueError):  # an example in words, or several statements
        return
    if isinstance(statement, ast.Expr):
        yield ast.unparse(statement.value)
    elif isinstance(statement, ast.Assert):
        test = statement.test
        yield ast.unparse(test.left if isinstance(test, ast.Compare) else test)


@cache
def behaviour_of(program: str, calls: tuple[str, ...]) -> str | None:
    """Return the values, or the kinds of errors, of all calls; None where the program itself does
    not run, or not within `CALL_SECONDS`."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-c", _RUN],
                input=json.dumps([program, calls]),
                capture_output=True,
                text=True,
                timeout=CALL_SECONDS,
                cwd=folder,
                env={"PYTHONHASHSEED": "0"},  # sets are shown in one order
            )
        except subprocess.TimeoutExpired:
            return None
    return done.stdout.strip() or None
