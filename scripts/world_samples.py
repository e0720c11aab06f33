"""Samples of a policy of the small world with a label for each line, to train a reward model on.

The problems are of the train split. A line is right if it says what the checker says, and all lines
before it are right; what follows an error is not labelled (Lightman et al. 2023, arXiv:2305.20050).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from operator import eq
from typing import Any

import world_texts
from dial_problems import LABELS, STEPS, DialProblem, draw_dial, draw_turn

from lm_eval_tts.core.texts import shared_length
from lm_eval_tts.strategies.parts.candidates import steps_of

Marks = list[int | None]
MISREAD = 0.02  # of the turns of a working full of slips
BATCH = 256  # responses that are sampled together
ROLL_OUTS = 4  # of each step


def right_steps(problem: DialProblem) -> list[str]:
    """Return the steps of the right response."""
    lines = world_texts.quick_lines(problem, problem.values).splitlines()
    return ["<think>", *lines, "</think>", f"<answer>{problem.values[-1]:02}</answer>"]


def label_steps(problem: DialProblem, steps: Sequence[str]) -> tuple[Marks, Marks]:
    """Return labels, 1 for each right step up to the first wrong one, which is 0, and None for what
    follows that; and where the wrong one begins to be wrong."""
    labels: Marks
    wrong_from: Marks
    labels, wrong_from = [None] * len(steps), [None] * len(steps)
    for number, (step, wanted) in enumerate(zip_longest(steps, right_steps(problem)[: len(steps)])):
        if step != wanted:
            labels[number] = 0
            wrong_from[number] = shared_length(step, wanted or "")
            break
        labels[number] = 1
    return labels, wrong_from


def accuracy(model: Any, tokenizer: Any, num_problems: int = 40) -> float:
    """Return the share of samples that are right and in the format, of as many problems of each
    level."""
    rng = random.Random("accuracy")
    problems = [draw_dial(level, rng) for level in STEPS for _ in range(num_problems)]
    ends = (steps[-2:] for steps in sample(model, tokenizer, problems))
    return sum(map(eq, ends, (right_steps(problem)[-2:] for problem in problems))) / len(problems)


def sample(
    model: Any, tokenizer: Any, problems: Sequence[DialProblem], begun: Sequence[str] = ()
) -> Iterator[list[str]]:
    """Yield the steps of a response to each problem, sampled at temperature 1.
    begun: how each response begins, where it does."""
    instruction = itertools.cycle(world_texts.instructions()["r1"])
    for start in range(0, len(problems), BATCH):
        chats = [
            [
                {"role": "system", "content": next(instruction)},
                {"role": "user", "content": problem.question},
            ]
            for problem in problems[start : start + BATCH]
        ]
        texts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
        heads = begun[start : start + BATCH] or [""] * len(texts)
        given = [text + head for text, head in zip(texts, heads, strict=True)]
        prompts = tokenizer(given, return_tensors="pt", padding=True, padding_side="left")
        ids = model.generate(
            input_ids=prompts.input_ids,
            attention_mask=prompts.attention_mask,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            max_new_tokens=180,
        )
        width = prompts.input_ids.shape[1]
        written = tokenizer.batch_decode(ids[:, width:], skip_special_tokens=True)
        for head, text in zip(heads, written, strict=True):
            yield steps_of(head + text, "\n")


def rated_samples(model: Any, tokenizer: Any, num_problems: int = 800) -> list[dict[str, Any]]:
    """Return rated responses, to `num_problems` of each level."""
    rng = random.Random("samples")
    problems = [draw_dial(level, rng) for level in STEPS for _ in range(num_problems)]
    sampled = sample(model, tokenizer, problems)
    rows = [rated(*pair) for pair in zip(problems, sampled, strict=True) if pair[1]]
    print(f"{len(rows)} responses, {sum(0 in row['labels'] for row in rows)} with an error")
    rng.shuffle(rows)
    return rows


def rolled_out(model: Any, tokenizer: Any, num_problems: int = 150) -> list[dict[str, Any]]:
    """Return responses rated without a checker of lines: a step is right if one of `ROLL_OUTS`
    samples that go on from it ends right (Wang et al. 2023, arXiv:2312.08935, hard estimation)."""
    rng = random.Random("samples")
    problems = [draw_dial(level, rng) for level in STEPS for _ in range(num_problems)]
    responses = list(zip(problems, sample(model, tokenizer, problems), strict=True))
    begun = [
        (problem, "\n".join(steps[:end]) + "\n" * (end < len(steps)))
        for problem, steps in responses
        for end in range(1, len(steps) + 1)
        for _ in range(ROLL_OUTS)
    ]
    ended = sample(model, tokenizer, [p for p, _ in begun], [text for _, text in begun])
    right = [steps[-1:] == right_steps(p)[-1:] for (p, _), steps in zip(begun, ended, strict=True)]
    outcomes = iter(right)
    rows, agreed = [], list[bool]()
    for problem, steps in responses:
        labels = [int(True in list(islice(outcomes, ROLL_OUTS))) for _ in steps]
        wrong_from = [None if label else 0 for label in labels]
        row = {"question": problem.question, "steps": steps, "labels": labels}
        rows.append({**row, "wrong_from": wrong_from})
        exact = zip(labels, label_steps(problem, steps)[0], strict=True)
        agreed += [own == label for own, label in exact if label is not None]
    share = sum(agreed) / len(agreed)
    print(f"{len(rows)} responses, {share:.1%} of their labels as the checker gives them")
    rng.shuffle(rows)
    return [row for row in rows if row["steps"]]


def rated(problem: DialProblem, steps: Sequence[str]) -> dict[str, Any]:
    """Return a row of training data; every token of it that is rated is learned from."""
    labels, wrong_from = label_steps(problem, steps)
    row = {"question": problem.question, "steps": list(steps)}
    return {**row, "labels": labels, "wrong_from": wrong_from}


def mixed(own: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield rows without end: the policy's own responses, in turns with ones full of slips and ones
    that are wrong in other ways."""
    rng = random.Random("mixed")
    for row in itertools.cycle(own):
        yield row
        yield slipped(rng, rng.choice(list(STEPS)))
        yield spoiled(rng)


def spoiled(rng: random.Random) -> dict[str, Any]:
    """Return a response with right sums that guesses without a working, leaves a line out or ends
    too early."""
    problem = draw_dial(rng.choice(list(STEPS)), rng)
    steps = right_steps(problem)
    gap = rng.randrange(2, len(steps) - 2)
    shortened = [steps[:gap] + steps[gap + 1 :], steps[:gap] + steps[-2:]]
    return rated(problem, rng.choice([[f"\\boxed{{{problem.values[-1]:02}}}"], *shortened]))


def slips() -> Iterator[dict[str, Any]]:
    """Yield workings full of slips without end."""
    rng = random.Random("slips")
    while True:
        yield slipped(rng, rng.randint(3, max(STEPS)))


def slipped(rng: random.Random, level: int) -> dict[str, Any]:
    """Return a working in which half of the lines are wrong, each rated by itself: to tell a wrong
    result from a right one is learned from very many sums."""
    problem = draw_dial(level, rng)
    value, steps = problem.start, ["<think>", world_texts.start_line(problem).strip()]
    wrong_from: Marks = [None, None]
    for label, turn in zip(LABELS, problem.turns, strict=False):
        told = draw_turn(rng) if rng.random() < MISREAD else turn
        right, value = turn.apply(value), told.apply(value)
        value = world_texts.slip(value, rng) if rng.random() < 0.5 else value
        step, wanted = f"{label}{told}={value:02}", f"{label}{turn}={right:02}"
        steps.append(step)
        wrong_from.append(None if step == wanted else shared_length(step, wanted))
    labels = [int(start is None) for start in wrong_from]
    row = {"question": problem.question, "steps": steps}
    return {**row, "labels": labels, "wrong_from": wrong_from}
