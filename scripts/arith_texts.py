"""The texts that the embedded reasoner is trained on: what each stage sees of `arith`.

`pretraining` knows arithmetic, working and markup but neither the R1 tags nor self-correction;
`sft` teaches these. No text has a problem of the test split.

    python scripts/arith_texts.py sft --rows 12000 --output sft.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from arith_problems import (
    LEVELS,
    PEOPLE,
    VALUES,
    Problem,
    Step,
    draw_problem,
    draw_step,
)

from lm_eval_tts.core.texts import shared_length

FIRST_LEVELS = 2  # steps of the longest problem at the start of pretraining
TEXTS_A_LEVEL = 4000  # until problems get a step longer
NUM_EQUATION_ROWS = 15000  # of a process reward model, before its first response
ROWS_OF_A_LEVEL = 32  # a batch of these has hardly any padding
RECHECK = ", check again.\n"
MARKUP = ("b", "i", "td", "tr", "li", "row", "name", "note", "word", "size", "list", "task", "hint")


class Told(NamedTuple):
    """A problem as it was put into words."""

    problem: Problem
    steps: list[str]
    question: str


def tell(num_steps: int, rng: random.Random) -> Told:
    """Draw a problem that is not of the test split and put it into words."""
    problem = draw_problem(num_steps, rng, test=False)
    steps = problem.tell(rng)
    return Told(problem, steps, problem.question(steps, rng))


def working(told: Told, rng: random.Random) -> list[str]:
    """Return the lines of a right working; which operands are split is left to chance."""
    return [
        f"{text} {step.written(value, split=rng.random() < 0.5)}"
        for text, step, value in zip(
            told.steps, told.problem.steps, told.problem.values, strict=False
        )
    ]


class Text(NamedTuple):
    """A document: what is given, and what is learned to follow it."""

    given: str
    learned: str


Kind = Callable[[random.Random, int], Text]  # a level is given, the number of steps


def pretraining(rng: random.Random) -> Iterator[Text]:
    """Yield documents without end; the problems get longer as they go, up to all levels.

    Copying a step is learned in a few hundred short texts and hardly at all in long ones.
    """
    for count in itertools.count():
        longest = min(LEVELS[-1], FIRST_LEVELS + count // TEXTS_A_LEVEL)
        yield _draw(rng, longest, {_drills: 25, _worked: 50, _echo: 15, _dialogue: 4, _markup: 6})


def annealing(rng: random.Random) -> Iterator[Text]:
    """Yield documents without end, to end pretraining with: workings in markup are new in it.

    From them the base learns to take a result out of a working and into a tag. Without that, an
    adapter learns to think in tags but answers with any number.
    """
    while True:
        weights = {_drills: 20, _worked: 25, _tagged: 45, _dialogue: 5, _markup: 5}
        yield _draw(rng, LEVELS[-1], weights)


def _draw(rng: random.Random, longest: int, weights: Mapping[Kind, int]) -> Text:
    (kind,) = rng.choices(list(weights), weights=list(weights.values()))
    return kind(rng, rng.randint(LEVELS[0], longest))


def _drills(rng: random.Random, level: int) -> Text:
    lines = []
    for _ in range(rng.randint(4, 12)):
        value = rng.choice(VALUES)
        lines.append(draw_step(value, rng).written(value, split=rng.random() < 0.5))
    return Text("", "\n".join(lines) + "\n")


def _worked(rng: random.Random, level: int) -> Text:
    told = tell(level, rng)
    lines = "\n".join(working(told, rng))
    return Text(told.question, f"\nWorking:\n{lines}\nResult: {told.problem.answer}\n")


def _tagged(rng: random.Random, level: int) -> Text:
    """Return a working in one tag and its result in another."""
    told = tell(level, rng)
    outer, inner = rng.sample(MARKUP, 2)
    lines = "\n".join([f"<{outer}>", *working(told, rng), f"</{outer}>"])
    return Text(told.question, f"\n{lines}\n<{inner}>{told.problem.answer}</{inner}>\n")


def _echo(rng: random.Random, level: int) -> Text:
    """Return a problem that is told again step by step: copying is learned before working."""
    told = tell(level, rng)
    return Text(told.question, "\n".join(["\nAgain:", *told.steps, ""]))


def _dialogue(rng: random.Random, level: int) -> Text:
    told = tell(1, rng)
    return Text(f"User: {told.question}", f"\nAssistant: {told.problem.answer}\n")


def _markup(rng: random.Random, level: int) -> Text:
    """Return elements of random names around numbers and words, some of them said again."""
    parts = []
    for _ in range(rng.randint(1, 4)):
        tag, value = rng.choice(MARKUP), rng.choice([*PEOPLE, *map(str, VALUES)])
        parts.append(f"<{tag}>{value}</{tag}>" + rng.choice(["\n", " ", f" {value}\n"]))
    return Text("", "".join(parts) + rng.choice(["", f"Wait for {rng.choice(PEOPLE)}.\n"]))


def sft(rng: random.Random) -> dict[str, str]:
    """Return a row: question, `prefix` (the response so far, not learned) and completion.

    Clean workings; clean ones that are told to wait and are done again; and such with a wrong step
    in the prefix, from which the model learns to wait by itself but not to be wrong.
    """
    told = tell(rng.choice(LEVELS), rng)
    row = {"question": told.question, "prefix": "", "answer": str(told.problem.answer)}
    (kind,) = rng.choices(["clean", "told", "wrong"], weights=[60, 15, 25])
    again = "Wait" + RECHECK + _lines(working(told, rng))
    if kind == "clean":
        thinking = _lines(working(told, rng))
    elif kind == "told":
        row["prefix"] = "<think>\n" + _lines(working(told, rng)) + "Wait"
        thinking = again.removeprefix("Wait")
    else:
        row["prefix"] = "<think>\n" + _lines(wrong_working(told, rng))
        thinking = again
    opening = "" if row["prefix"] else "<think>\n"
    closing = f"</think>\n<answer>{told.problem.answer}</answer>"
    return row | {"completion": opening + thinking + closing}


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def wrong_working(told: Told, rng: random.Random) -> list[str]:
    """Return a working with one wrong step, cut right behind it or gone on with to the end."""
    problem = told.problem
    at, value, lines = rng.randrange(len(problem.steps)), problem.start, []
    for index, (text, step) in enumerate(zip(told.steps, problem.steps, strict=True)):
        if step.apply(value) not in VALUES:
            break  # what is gone on with from a wrong value may leave the range
        line = f"{text} {step.written(value, split=rng.random() < 0.5)}"
        value = step.apply(value)
        if index == at:
            value = _slip(value, rng)
            line = f"{line.rpartition('=')[0]}={value}"
        lines.append(line)
        if index >= at and rng.random() < 0.4:
            break
    return lines


def _slip(value: int, rng: random.Random) -> int:
    """Return a value that is wrong as people and models are: a carry, a digit."""
    slips = [value + d for d in (-10, -2, -1, 1, 2, 10) if value + d in VALUES]
    return rng.choice(slips)


def steps(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield rows for a process reward model without end: first single equations, then responses.

    A row has steps, which of them are right, and where the wrong ones begin to be. To tell a wrong
    result from a right one is learned from many equations and hardly at all from whole responses.
    """
    for _ in range(NUM_EQUATION_ROWS):
        yield _equations(rng)
    for count in itertools.count():
        yield _response(rng, LEVELS[count // ROWS_OF_A_LEVEL % len(LEVELS)])


def _equations(rng: random.Random) -> dict[str, Any]:
    """Return equations that have nothing to do with each other, half of them wrong."""
    lines, wrong = [], []
    for _ in range(10):
        value = rng.choice(VALUES)
        step, split, slips = draw_step(value, rng), rng.random() < 0.5, rng.random() < 0.5
        line = step.written(value, split=split)
        lines.append(_slipped(step, step.apply(value), line, rng)[1] if slips else line)
        wrong.append(_first_error(lines[-1], step, value) if slips else None)
    return _labelled("Check each line.", lines, wrong)


def _labelled(question: str, lines: Sequence[str], wrong: Sequence[int | None]) -> dict[str, Any]:
    labels: list[int | None] = [int(start is None) for start in wrong]
    return {"question": question, "steps": lines, "labels": labels, "wrong_from": wrong}


def _response(rng: random.Random, level: int) -> dict[str, Any]:
    """Return a response to a problem, half of the time with a wrong step.

    Some are told to wait and done again, which makes them no more likely to be right: a reward
    model that took "Wait" for a sign would be easy to please. What follows an error is not labelled
    (Lightman et al. 2023, arXiv:2305.20050): to find it is all there is to learn.
    """
    told = tell(level, rng)
    lines = _tried(told, rng)
    if rng.random() < 0.2:
        lines = [*lines, "Wait" + RECHECK.strip(), *_tried(told, rng)]
    right = check_lines(told.problem, lines)
    value = lines[-1].rpartition("=")[2]
    answered = right[-1] and int(value) == told.problem.answer
    wrong = [None, *_wrong_from(told, lines, right), *([None, None] if answered else [0, 0])]
    row = _labelled(
        told.question, ["<think>", *lines, "</think>", f"<answer>{value}</answer>"], wrong
    )
    before = [1, *row["labels"]]
    row["labels"] = [label if label or last else None for last, label in pairwise(before)]
    return row


def _tried(told: Told, rng: random.Random) -> list[str]:
    return working(told, rng) if rng.random() < 0.5 else flawed_working(told, rng)


def flawed_working(told: Told, rng: random.Random) -> list[str]:
    """Return a working with a flaw of the kinds that the policy has, gone on with as it is.

    Of its wrong responses at temperature 1, about 60 in 100 have a slip in an equation, 20 a step
    that is told wrongly, 20 one that is left out (the last one often).
    """
    problem = told.problem
    (flaw,) = rng.choices(["slip", "told wrongly", "left out"], weights=[60, 20, 20])
    at, value, lines = rng.randrange(len(problem.steps)), problem.start, []
    for index, (text, step) in enumerate(zip(told.steps, problem.steps, strict=True)):
        if index == at and flaw == "left out":
            continue
        if index == at and flaw == "told wrongly":
            wrong = draw_step(value, rng)
            step = Step(step.operator if rng.random() < 0.5 else wrong.operator, wrong.operand)
            text = text.replace(f" {problem.steps[at].operand}.", f" {step.operand}.")
        if step.apply(value) not in VALUES:
            break
        line = f"{text} {step.written(value, split=rng.random() < 0.5)}"
        value = step.apply(value)
        if index == at and flaw == "slip":
            value, line = _slipped(step, value, line, rng)
        lines.append(line)
        if index >= at and rng.random() < 0.3:
            break
    return lines or flawed_working(told, rng)


def _slipped(step: Step, value: int, line: str, rng: random.Random) -> tuple[int, str]:
    """Return a wrong value and the line that has it, some in the middle of a split step."""
    left, *middle, _ = line.split("=")
    wrong = rng.choice([v for v in VALUES if v != value and abs(v - value) <= 10])
    if middle and rng.random() < 0.5:
        number, ones = middle[0][:2], middle[0][2:]
        middle = [f"{int(number) + wrong - value}{ones}"]
    return wrong, "=".join([left, *middle, str(wrong)])


def _wrong_from(told: Told, lines: Sequence[str], right: Sequence[bool]) -> list[int | None]:
    """Return the index of the first wrong character of each line, None for a right one."""
    starts: list[int | None] = []
    done, before = 0, True  # steps, and whether all lines so far are right
    for line, is_right in zip(lines, right, strict=True):
        waits = line.startswith("Wait")
        start = None if is_right else 0
        if not is_right and before and done < len(told.steps):
            step, value = told.problem.steps[done], told.problem.values[done]
            start = _first_error(line, step, value, told=f"{told.steps[done]} ")
        starts.append(start)
        done, before = (0, True) if waits else (done + 1, is_right)
    return starts


def _first_error(line: str, step: Step, value: int, told: str = "") -> int:
    """Return the index of the first character at which a line is neither way to write the step."""
    right = [told + step.written(value, split=split) for split in (False, True)]
    return max(shared_length(line, way) for way in right)


def _endless(row: Callable[[random.Random], dict[str, Any]], rng: random.Random) -> Iterator[Any]:
    while True:
        yield row(rng)


# GRPO takes question and answer of "sft".
ROWS = {"sft": partial(_endless, sft), "steps": steps}


def check_lines(problem: Problem, lines: Sequence[str]) -> list[bool]:
    """Say of each line of a working whether it is right and all before it are. A line that begins
    with "Wait" starts anew and is right."""
    checked: list[bool] = []
    done, right = 0, True
    for line in lines:
        if line.startswith("Wait"):
            done, right = 0, True
        else:
            right = right and done < len(problem.steps) and _is_right(problem, done, line)
            done += 1
        checked.append(right)
    return checked


def _is_right(problem: Problem, index: int, line: str) -> bool:
    """Whether a line has the number and the equation of a step, however it tells the step."""
    step, value = problem.steps[index], problem.values[index]
    number, equation = line.partition(" ")[0], line.rpartition(" ")[2]
    return number == f"{index + 1})" and equation in {
        step.written(value, split=split) for split in (False, True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=ROWS)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSONL file to write")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(f"{args.kind} {args.seed}")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with args.output.open("w", encoding="utf-8") as file:
        for row in itertools.islice(ROWS[args.kind](rng), args.rows):
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
