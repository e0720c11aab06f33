"""The problems of `dial`: a dial of 100 positions is turned step by step; what does it end on?

    dial=97 a)+7 b)-9 dial?

is 97, then 04 (past 99 it goes on from 00), then 95. Five levels of difficulty, each twice as long
as the one before: 1, 2, 3 to 4, 5 to 8, and 9 to 16 steps. Which split a problem is in is decided
by a hash of its numbers, so none that is measured can be trained on. Knows no model, no prompt.

    python scripts/dial_problems.py     # writes the documents of the benchmark
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from string import ascii_lowercase
from typing import Any

from arith_problems import FOLDER, Step, written

POSITIONS = 100
STEPS = {1: (1, 1), 2: (2, 2), 3: (3, 4), 4: (5, 8), 5: (9, 16)}  # fewest and most, by level
LABELS = tuple(f"{letter})" for letter in ascii_lowercase)
SPLITS = ("test", "validation")  # a sixth of all problems each; the others may be trained on
NUM_DOCS = 500


class Turn(Step):
    """One step; operator is "+" or "-"."""

    __slots__ = ()

    def apply(self, value: int) -> int:
        """Return the position after this step."""
        return super().apply(value) % POSITIONS

    def __str__(self) -> str:
        return f"{self.operator}{self.operand}"


@dataclass(frozen=True, slots=True)
class DialProblem:
    """Where the dial is, and how it is turned."""

    start: int
    turns: tuple[Turn, ...]

    @property
    def values(self) -> tuple[int, ...]:
        """The start and the position after each step."""
        return tuple(accumulate(self.turns, lambda v, turn: turn.apply(v), initial=self.start))

    @property
    def question(self) -> str:
        """The problem as it is put."""
        told = zip(LABELS, self.turns, strict=False)
        steps = " ".join(f"{label}{turn}" for label, turn in told)
        return f"dial={self.start:02} {steps} dial?"

    @property
    def split(self) -> str:
        """One of SPLITS, or "train"."""
        digest = hashlib.blake2b(self.question.encode(), digest_size=8).digest()
        return dict(enumerate(SPLITS)).get(digest[0] % 6, "train")


def draw_turn(rng: random.Random) -> Turn:
    """Draw a step of one digit."""
    return Turn(rng.choice("+-"), rng.randint(1, 9))


def draw_dial(level: int, rng: random.Random, split: str = "train") -> DialProblem:
    """Draw a problem of a level, of this split."""
    while True:
        turns = tuple(draw_turn(rng) for _ in range(rng.randint(*STEPS[level])))
        problem = DialProblem(rng.randrange(POSITIONS), turns)
        if problem.split == split:
            return problem


def dial_documents(split: str = "test", num_docs: int = NUM_DOCS) -> Iterator[dict[str, Any]]:
    """Yield the documents of a split, none twice; levels take turns."""
    rng = random.Random(f"dial {split}")
    seen: set[DialProblem] = set()
    while len(seen) < num_docs:
        level = 1 + len(seen) % len(STEPS)
        problem = draw_dial(level, rng, split)
        if problem not in seen:
            seen.add(problem)
            answer = f"{problem.values[-1]:02}"
            head = {"id": f"dial-{split}-{len(seen) - 1:03}", "question": problem.question}
            yield {**head, "answer": answer, "level": level}


if __name__ == "__main__":
    for name in SPLITS:
        (FOLDER / f"dial_{name}.jsonl").write_text(written(dial_documents(name)), encoding="utf-8")
