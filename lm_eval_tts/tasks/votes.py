"""Which programs are equal, for votes: those that do the same on the inputs of their prompt.

Inputs are the calls in doctests (`>>> f(2)`) and in assertions (`assert f(2) == 4`); what should
come out, and tests that the prompt does not show, are not looked at. Each program runs in a
separate process, as lm_eval's metrics for code run it: not for code that may be hostile."""

import ast
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache
from typing import Any

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
