"""The problems of `arith`: generated word problems of one to eight steps, with exact answers.

    Mia has 38 pens. 1) Finds 27. 2) Loses 6. How many pens?

is worked out line by line, each repeating its step: `1) Finds 27. 38+27=65` and
`2) Loses 6. 65-6=59`, or with tens first, `1) Finds 27. 38+27=58+7=65`.

A problem is a start and its steps; every value on the way has two digits. Which split it is in is
decided by a hash of these numbers, whatever the wording, so no test problem can be trained on.
Says what is right; knows no model and no prompt.

    python scripts/arith_problems.py     # writes the documents of the benchmark
"""

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parents[1] / "lm_eval_tts" / "tasks" / "problems"
LEVELS = range(1, 9)  # steps of a problem
VALUES = range(10, 100)
NUM_TEST = 200
PEOPLE = ("Tom", "Mia", "Ben", "Ada", "Sam", "Eva", "Leo", "Zoe")
ITEMS = ("pens", "cards", "shells", "coins", "books", "keys", "beads", "stamps")
_ADDS, _TAKES = ("Finds {}.", "Buys {}.", "Gets {}."), ("Loses {}.", "Sells {}.", "Gives {}.")
WORDINGS = {"+": _ADDS, "-": _TAKES, "*": ("Times {}.",)}


class Step(NamedTuple):
    """One operation on the running value; operator is "+", "-" or "*"."""

    operator: str
    operand: int

    def apply(self, value: int) -> int:
        """Return the value after this step."""
        signed = {"+": self.operand, "-": -self.operand, "*": value * (self.operand - 1)}
        return value + signed[self.operator]

    def written(self, value: int, *, split: bool = False) -> str:
        """Return the step as it is written down: 38+27=65, or split, 38+27=58+7=65."""
        tens, ones = divmod(self.operand, 10)
        result = self.apply(value)
        if split and tens and ones and self.operator != "*":
            middle = Step(self.operator, 10 * tens).apply(value)
            return f"{value}{self.operator}{self.operand}={middle}{self.operator}{ones}={result}"
        return f"{value}{self.operator}{self.operand}={result}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A start and what happens to it. Every value on the way is in `VALUES`."""

    start: int
    steps: tuple[Step, ...]

    @property
    def values(self) -> tuple[int, ...]:
        """The start and the value after each step."""
        return tuple(accumulate(self.steps, lambda v, step: step.apply(v), initial=self.start))

    @property
    def answer(self) -> int:
        """The value after the last step."""
        return self.values[-1]

    @property
    def is_test(self) -> bool:
        """Whether it belongs to the test split: a tenth of all problems, by a hash."""
        text = f"{self.start}|{self.steps}".encode()
        return hashlib.blake2b(text, digest_size=8).digest()[0] % 10 == 0

    def tell(self, rng: random.Random) -> list[str]:
        """Put each step into words, numbered from 1."""
        return [
            f"{number}) {rng.choice(WORDINGS[step.operator]).format(step.operand)}"
            for number, step in enumerate(self.steps, 1)
        ]

    def question(self, told: Sequence[str], rng: random.Random) -> str:
        """Return the problem with its steps as they were worded."""
        name, items = rng.choice(PEOPLE), rng.choice(ITEMS)
        return " ".join([f"{name} has {self.start} {items}.", *told, f"How many {items}?"])


def draw_step(value: int, rng: random.Random) -> Step:
    """Draw a step that keeps the value in `VALUES`; every third operand has two digits."""
    while True:
        operator = rng.choice("++++---**")
        low, high = (2, 4) if operator == "*" else rng.choice([(2, 9), (2, 9), (11, 49)])
        step = Step(operator, rng.randint(low, high))
        if step.apply(value) in VALUES:
            return step


def draw_problem(num_steps: int, rng: random.Random, *, test: bool) -> Problem:
    """Draw a problem of the test split, or of the others."""
    while True:
        problem = Problem(rng.choice(VALUES), ())
        for _ in range(num_steps):
            step = draw_step(problem.answer, rng)
            problem = Problem(problem.start, (*problem.steps, step))
        if problem.is_test == test:
            return problem


def benchmark_documents(num_docs: int = NUM_TEST) -> Iterator[dict[str, Any]]:
    """Yield the documents of the benchmark; levels take turns."""
    rng = random.Random("arith test")
    seen: set[Problem] = set()
    while len(seen) < num_docs:
        level = LEVELS[len(seen) % len(LEVELS)]
        problem = draw_problem(level, rng, test=True)
        question = problem.question(problem.tell(rng), rng)
        if problem not in seen:
            seen.add(problem)
            number = f"arith-{len(seen) - 1:03}"
            answer = str(problem.answer)
            yield {"id": number, "question": question, "answer": answer, "level": level}


def written(documents: Iterable[dict[str, Any]]) -> str:
    """Return documents as the package has them: JSON lines."""
    return "".join(json.dumps(document) + "\n" for document in documents)


if __name__ == "__main__":
    (FOLDER / "arith_test.jsonl").write_text(written(benchmark_documents()), encoding="utf-8")
