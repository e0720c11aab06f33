"""How well a process reward model tells right lines of `arith` from wrong ones.

    lm_eval --model tts-hf --tasks arith_bon --output_path results --log_samples
    python scripts/check_prm.py results

Two figures, each the share of pairs of a right line and a first wrong line in which the right one
has the higher score (the area under the ROC curve): for slips that the generator of the training
texts makes up, on problems that are not the test's, and for what the policy wrote in these samples.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import arith_texts
from arith_problems import WORDINGS, Problem, Step
from scipy.stats import mannwhitneyu

from lm_eval_tts.checkpoints import find_checkpoint
from lm_eval_tts.core.program import Score
from lm_eval_tts.core.reward_model import RewardModel
from lm_eval_tts.reward_models.loading import RewardModelSettings

OPERATORS = {text.split()[0]: operator for operator, texts in WORDINGS.items() for text in texts}


class Rated(NamedTuple):
    """A response: the question, its steps, and for each whether it is a right line, a first wrong
    one (False), or neither (None).
    """

    question: str
    steps: list[str]
    right: list[bool | None]


def made_up(count: int) -> Iterator[Rated]:
    """Yield responses with slips in equations, as the training texts have them."""
    first = arith_texts.NUM_EQUATION_ROWS
    rows = arith_texts.steps(random.Random("made-up slips"))
    for row in islice(rows, first, first + count):
        steps = zip(row["steps"], row["labels"], row["wrong_from"], strict=True)
        right = [bool(x) if x or (x == 0 and "=" in step[:at]) else None for step, x, at in steps]
        yield Rated(row["question"], row["steps"], right)


def of_the_policy(paths: Iterable[Path]) -> Iterator[Rated]:
    """Yield the candidates of samples files, equal ones of a problem once."""
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            sample = json.loads(line)
            question = sample["doc"]["question"]
            problem = parse(question)
            for text in {c["text"]: None for c in sample["answered"]["candidates"]}:
                head, *lines = text.partition("</think>")[0].strip().split("\n")
                checked: list[bool | None] = list(arith_texts.check_lines(problem, lines))
                first = checked.index(False) if False in checked else len(checked)
                right = [*checked[: first + 1], *[None] * len(checked)][: len(checked)]
                yield Rated(question, [head, *lines], [None, *right])


def parse(question: str) -> Problem:
    """Return the problem that a question tells."""
    (start,) = re.findall(r"has (\d+)", question)
    told = re.findall(r"\d+\) (\w+) (\d+)\.", question)
    return Problem(int(start), tuple(Step(OPERATORS[word], int(n)) for word, n in told))


def area(reward_model: RewardModel, responses: Iterable[Rated]) -> str:
    """Return the area under the curve, and how many lines it comes from."""
    scores: dict[bool, list[float]] = {True: [], False: []}
    rated = list(responses)
    asked = [Score(question, tuple(steps)) for question, steps, _ in rated]
    for result, (_, _, right) in zip(reward_model.score(asked), rated, strict=True):
        if isinstance(result, Exception):
            raise result
        for score, is_right in zip(result.scores, right, strict=True):
            if is_right is not None:
                scores[is_right].append(score)
    right, wrong = scores[True], scores[False]
    share = mannwhitneyu(right, wrong).statistic / (len(right) * len(wrong))
    return f"{share:.3f} ({len(right)} right lines, {len(wrong)} wrong ones)"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", type=Path, help="folder with samples files of arith_bon")
    parser.add_argument("--reward-model", default="arith-prm", help="Hub name or folder")
    parser.add_argument("--count", type=int, default=400, help="responses that are made up")
    args = parser.parse_args()
    reward_model = RewardModelSettings(find_checkpoint(args.reward_model)).load()
    print("made-up slips:", area(reward_model, made_up(args.count)))
    files = sorted(args.results.glob("**/samples_arith_bon_*.jsonl"))
    print("the policy's own errors:", area(reward_model, of_the_policy(files)))


if __name__ == "__main__":
    main()
