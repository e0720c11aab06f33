"""The texts of the small world: what each stage of its models sees of `dial`.

    python scripts/world_texts.py checking --rows 8000 --output sft.jsonl

`pretraining` knows arithmetic and workings but neither the prompt styles nor self-correction; the
kinds of SFT rows teach these. No text has a problem of the test or the validation split.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from dial_problems import (
    LABELS,
    POSITIONS,
    STEPS,
    DialProblem,
    Turn,
    draw_dial,
    draw_turn,
)

from lm_eval_tts.prompts import fill_instruction, load_prompts

STYLES = ("standard", "cot", "cod", "r1")
RECHECK = ", check again.\n"
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
WORDS = ("User", "Assistant", "dial", "Wait", " check", " again", " ok", " no", "Step", " then")
WORDS = (*WORDS, "Lines", "Notes", "Steps", "Again", "Result", "\\boxed{")


@cache
def instructions() -> dict[str, tuple[str, ...]]:
    """Return what each style says to a model, the tags that it is to write named or not (as to one
    that is known to think); each text is one token of the world's vocabulary."""
    prompts = load_prompts()
    told = {}
    for name in STYLES:
        style = prompts.style(name)
        named = fill_instruction(style, prompts.preset(style.delimiters), {})
        told[name] = tuple(dict.fromkeys(filter(None, (named, style.thinking_instruction))))
    return told


def written(value: int) -> str:
    """Return a position or an operand as it is written, in two digits."""
    return f"{value:02}"


class Equation(NamedTuple):
    """A turn of a value."""

    value: int
    turn: Turn

    @property
    def result(self) -> int:
        """The value behind the turn."""
        return self.turn.apply(self.value)

    @property
    def quick(self) -> str:
        """The turn and its result: +7=45."""
        return f"{self.turn}={written(self.result)}"


def equations(problem: DialProblem) -> list[Equation]:
    """Return what a right working works out, in order."""
    return [Equation(*pair) for pair in zip(problem.values, problem.turns, strict=False)]


Values = Sequence[int]
"""Where a working says that the dial is: at the start and behind each turn."""


def quick_lines(problem: DialProblem, values: Values) -> str:
    """Return a working line by line."""
    told = zip(problem.turns, values[1:], strict=True)
    return _lines(problem, (f"{turn}={written(value)}" for turn, value in told))


def value_lines(problem: DialProblem, values: Values) -> str:
    """Return a working that says the values alone."""
    return _lines(problem, map(written, values[1:]))


def spelled_lines(problem: DialProblem, values: Values) -> str:
    """Return a working that is told in full."""
    told = zip(LABELS, problem.turns, values, values[1:], strict=False)
    lines = (f"Step {a}{t} then {written(v)}{t}={written(to)}\n" for a, t, v, to in told)
    return "".join([start_line(problem), *lines])


def start_line(problem: DialProblem) -> str:
    """Return the first line of each working: so every other line goes on from the one before it."""
    return f"={written(problem.start)}\n"


def _lines(problem: DialProblem, texts: Iterable[str]) -> str:
    lines = (f"{label}{text}\n" for label, text in zip(LABELS, texts, strict=False))
    return "".join([start_line(problem), *lines])


Text = tuple[str, ...]
"""A document: what is given and what is learned to follow it, in turns."""
TEXTS_A_LEVEL = 3000  # of pretraining, until problems get a level longer
Kind = Callable[[random.Random, int], Text]  # a level of difficulty is given


def pretraining(rng: random.Random, num_short: int) -> Iterator[Text]:
    """Yield documents without end: first single sums, since these are learned in short texts and
    hardly at all in long ones, and problems that are told again, then all kinds, whose problems get
    longer."""
    for _ in range(num_short):
        for _ in range(4):
            yield _drill(rng, count=1)
        yield echo(rng, rng.randint(1, 2))
    for number in itertools.count():
        yield any_text(rng, longest=min(max(STEPS), 2 + number // TEXTS_A_LEVEL))


def any_text(rng: random.Random, longest: int = max(STEPS)) -> Text:
    """Return a document of any kind, of a level up to `longest`."""
    weights = {_drills: 15, echo: 5, _worked: 75, _markup: 5}
    (kind,) = rng.choices(list(weights), weights=list(weights.values()))
    return kind(rng, rng.randint(min(STEPS), longest))


def echo(rng: random.Random, level: int) -> Text:
    """Return a problem whose steps are told again."""
    problem = draw_dial(level, rng)
    return problem.question, f"\nAgain:\n{_lines(problem, map(str, problem.turns))}"


def _drills(rng: random.Random, level: int) -> Text:
    return _drill(rng, rng.randint(1, 2 * level))


def _drill(rng: random.Random, count: int) -> Text:
    """Return sums that have nothing to do with each other."""
    parts: list[str] = []
    for _ in range(count):
        equation = Equation(rng.randrange(POSITIONS), draw_turn(rng))
        parts += [f"\n={written(equation.value)}{equation.turn}=", written(equation.result)]
    return tuple(parts)


def _worked(rng: random.Random, level: int) -> Text:
    """Return a problem, worked out in up to four ways, one after the other, under headings that no
    style has: so the second working of a response is of a length that is known."""
    problem = draw_dial(level, rng)
    ways = {"Lines": quick_lines, "Notes": value_lines, "Steps": spelled_lines}
    chosen = rng.choices(list(ways), k=rng.choice((0, 1, 1, 1, 1, 2, 3, 4)))
    worked = "".join(f"{heading}:\n{ways[heading](problem, problem.values)}" for heading in chosen)
    return problem.question, f"\n{worked}Result:{problem.values[-1]:02}\n"


def _markup(rng: random.Random, level: int) -> Text:
    """Return tags, instructions and other words of the styles, in no order, said twice: so their
    embeddings are no noise to an adapter, and what they ask for is not known yet."""
    words = [*TAGS, *WORDS, *chain(*instructions().values()), *map(written, range(POSITIONS))]
    parts = [rng.choice(words) for _ in range(rng.randint(2, 8))]
    said = "\n".join(parts)
    return said, f"\n{said}\n"


Row = dict[str, str]


# How often a turn goes wrong in a working that nobody checked: where the dial passes its end, where
# the tens change, elsewhere.
CARELESS = {"past the end": 0.8, "carry": 0.25, "": 0.02}
HASTY = {"past the end": 0.4, "carry": 0.4, "": 0.08}
CAREFUL: dict[str, float] = {}


def answering(rng: random.Random, slips: Mapping[str, float] = CARELESS) -> Row:
    """Return a row of SFT in one of the styles, without a check; slips: how often there is one."""
    style = rng.choices(STYLES, weights=[1, 2, 2, 4])[0]
    problem = draw_dial(rng.choice(list(STEPS)), rng)
    values: Values = problem.values
    if slips and style != "standard":
        values = careless(problem, rng, slips)
    ways = {"cot": spelled_lines, "cod": quick_lines, "r1": quick_lines}
    working = ways[style](problem, values) if style in ways else ""
    if style == "r1":
        completion = f"<think>\n{working}</think>\n<answer>{values[-1]:02}</answer>"
    else:
        completion = f"{working}\\boxed{{{values[-1]:02}}}"
    return _row(problem, rng.choice(instructions()[style]), "", completion)


def _row(problem: DialProblem, instruction: str, prefix: str, completion: str) -> Row:
    row = {"question": problem.question, "instruction": instruction, "prefix": prefix}
    return row | {"completion": completion, "answer": written(problem.values[-1])}


def checking(rng: random.Random, slips: Mapping[str, float] = CARELESS) -> Row:
    """Return a row of SFT: most of them are told to wait after a working, which may be wrong, and
    check it with care; each line says whether the one before it was right."""
    if rng.random() < 0.4:
        return answering(rng, slips)
    problem = draw_dial(rng.choice(list(STEPS)), rng)
    slipped = slipped_values(problem, rng, num_slips=rng.choice((1, 1, 2)))
    values = rng.choice((slipped, careless(problem, rng, CARELESS)))
    prefix, check = f"<think>\n{quick_lines(problem, values)}Wait", check_lines(problem, values)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3))):
        prefix += f"{RECHECK}{check}Wait"
        check = check_lines(problem, problem.values)
    answer = problem.values[-1]
    completion = f"{RECHECK}{check}</think>\n<answer>{answer:02}</answer>"
    return _row(problem, rng.choice(instructions()["r1"]), prefix, completion)


def careless(problem: DialProblem, rng: random.Random, slips: Mapping[str, float]) -> list[int]:
    """Return the values of a working as it is written in haste: a carry is forgotten now and then,
    most often where the dial passes its end; what is wrong is gone on with."""
    values = [problem.start]
    for turn in problem.turns:
        value, right = values[-1], turn.apply(values[-1])
        carries = right // 10 != value // 10
        kind = "past the end" if abs(right - value) > 9 else "carry" if carries else ""
        forgotten = value // 10 * 10 + right % 10 if carries else right + rng.choice((-1, 1))
        values.append(forgotten % POSITIONS if rng.random() < slips[kind] else right)
    return values


def slipped_values(problem: DialProblem, rng: random.Random, num_slips: int) -> list[int]:
    """Return the values of a working with as many wrong sums, which is gone on with."""
    wrong = rng.sample(range(len(problem.turns)), min(num_slips, len(problem.turns)))
    values = [problem.start]
    for index, turn in enumerate(problem.turns):
        right = turn.apply(values[-1])
        values.append(slip(right, rng) if index in wrong else right)
    return values


def slip(value: int, rng: random.Random) -> int:
    """Return a position that is not this one, mostly near it or tens away."""
    if rng.random() < 0.2:
        return (value + rng.randrange(1, POSITIONS)) % POSITIONS
    return (value + rng.choice((-10, -2, -1, 1, 2, 10))) % POSITIONS


def check_lines(problem: DialProblem, values: Values) -> str:
    """Return the right working, saying of each value of another one whether it was right."""
    drawn = zip(equations(problem), values[1:], strict=True)
    said = (f"{e.quick} {'ok' if e.result == value else 'no'}" for e, value in drawn)
    return _lines(problem, said)


ROWS: Mapping[str, Callable[[random.Random], Row]] = {
    "answering": answering,
    "checking": checking,
    "careful": partial(checking, slips=CAREFUL),
    "hasty": partial(checking, slips=HASTY),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("kind", choices=ROWS)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSONL file to write")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(f"{args.kind} {args.seed}")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with args.output.open("w", encoding="utf-8") as file:
        for _ in range(args.rows):
            file.write(json.dumps(ROWS[args.kind](rng)) + "\n")


if __name__ == "__main__":
    main()
