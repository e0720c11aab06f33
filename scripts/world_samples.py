"""Samples of a policy of the small world with a label for each line, to train a reward model on.

The problems are of the train split. A line is right if it says what the checker says, and all lines
before it are right; what follows an error is not labelled (Lightman et al. 2023, arXiv:2305.20050).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from os.path import commonprefix
from typing import Any

import world_texts

from lm_eval_tts.strategies.parts.candidates import steps_of
from lm_eval_tts.tasks.dial import LABELS, LEVELS, DialProblem, draw_dial

Marks = list[int | None]
NUM_SLIPPED = 64000  # workings full of slips that a reward model begins with
BATCH = 256  # responses that are sampled together


def label_steps(problem: DialProblem, steps: Sequence[str]) -> tuple[Marks, Marks]:
    """Return labels, 1 for each right step up to the first wrong one, which is 0, and None for what
    follows that and for the opening tag; and where the wrong one begins to be wrong."""
    lines = zip(LABELS, world_texts.equations(problem), strict=False)
    right = [f"{label}{equation.quick}" for label, equation in lines]
    start = world_texts.start_line(problem).strip()
    expected = ["<think>", start, *right, "</think>", f"<answer>{problem.values[-1]:02}</answer>"]
    labels: Marks
    wrong_from: Marks
    labels, wrong_from = [None] * len(steps), [None] * len(steps)
    for number, (step, wanted) in enumerate(zip_longest(steps, expected[: len(steps)])):
        if step != wanted:
            labels[number] = 0
            wrong_from[number] = len(commonprefix([step, wanted or ""]))  # noqa: RUF071
            break
        labels[number] = int(number > 0) or None
    return labels, wrong_from


def sample(
    model: Any, tokenizer: Any, problems: Sequence[DialProblem], temperature: float
) -> Iterator[list[str]]:
    """Yield the steps of a response to each problem, which are alike in level."""
    instruction = world_texts.instructions()["r1"][0]
    for start in range(0, len(problems), BATCH):
        chats = [
            [
                {"role": "system", "content": instruction},
                {"role": "user", "content": problem.question},
            ]
            for problem in problems[start : start + BATCH]
        ]
        texts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
        prompts = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
        ids = model.generate(
            input_ids=prompts.input_ids,
            attention_mask=prompts.attention_mask,
            do_sample=True,
            temperature=temperature,
            top_k=0,
            max_new_tokens=180,
        )
        width = prompts.input_ids.shape[1]
        for text in tokenizer.batch_decode(ids[:, width:], skip_special_tokens=True):
            yield steps_of(text, "\n")


def rated_samples(
    model: Any, tokenizer: Any, num_problems: int = 300, temperature: float = 1.0
) -> list[dict[str, Any]]:
    """Return rated responses, to `num_problems` of each level."""
    rng = random.Random("samples")
    problems = [draw_dial(level, rng) for level in LEVELS for _ in range(num_problems)]
    sampled = sample(model, tokenizer, problems, temperature)
    rows = [rated(*pair) for pair in zip(problems, sampled, strict=True) if pair[1]]
    print(f"{len(rows)} responses, {sum(0 in row['labels'] for row in rows)} with an error")
    rng.shuffle(rows)
    return rows


def rated(problem: DialProblem, steps: Sequence[str]) -> dict[str, Any]:
    """Return a row of training data; every token of it that is rated is learned from."""
    labels, wrong_from = label_steps(problem, steps)
    row = {"question": problem.question, "steps": list(steps)}
    return {**row, "labels": labels, "wrong_from": wrong_from}


def mixed(own: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield rows without end: first workings full of slips, then the policy's own, in turns with
    responses that have made-up slips."""
    rng = random.Random("slips")
    for _ in range(NUM_SLIPPED):
        yield slipped(rng)
    for row in itertools.cycle(own):
        yield row
        problem = draw_dial(rng.choice(list(LEVELS)), rng)
        lines, values = world_texts.slipped_lines(problem, rng, rng.choice((0, 1, 1, 2)))
        text = f"<think>\n{lines}</think>\n<answer>{values[-1]:02}</answer>"
        yield rated(problem, steps_of(text, "\n"))


def slipped(rng: random.Random) -> dict[str, Any]:
    """Return a working in which half of the sums are wrong, each rated by itself: to tell a wrong
    result from a right one is learned from very many sums."""
    problem = draw_dial(rng.randint(3, max(LEVELS)), rng)
    value, steps = problem.start, ["<think>", world_texts.start_line(problem).strip()]
    wrong_from: Marks = [None, None]
    for label, turn in zip(LABELS, problem.turns, strict=False):
        right = turn.apply(value)
        value = world_texts.slip(right, rng) if rng.random() < 0.5 else right
        steps.append(f"{label}{turn}={value:02}")
        same = len(commonprefix([steps[-1], f"{label}{turn}={right:02}"]))  # noqa: RUF071
        wrong_from.append(None if value == right else same)
    labels = [None, *(int(start is None) for start in wrong_from[1:])]
    row = {"question": problem.question, "steps": steps}
    return {**row, "labels": labels, "wrong_from": wrong_from}
