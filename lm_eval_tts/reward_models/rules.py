"""Rewards that rules can give, for training with GRPO: is the answer right, is the form kept?

The kinds and sizes are those common for GRPO on GSM8K with R1-style tags: correctness counts four
times as much as each reward for form, and tags count singly, so that a model that knows none of
them has something to climb. Each reward is a function of one response and the right answer."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from lm_eval_tts.errors import unknown_name
from lm_eval_tts.grading import DEFAULT_TAGS, Tags, format_adherence, grade

Reward = Callable[[str, str, Tags], float]

LONG = 2000  # characters from which a response is charged for its length
TRAILING = 0.001  # charged for a character after the last tag


def correctness(response: str, answer: str, tags: Tags = DEFAULT_TAGS) -> float:
    """Return 2.0 for the right answer within its tags, by the grader of the tasks, else 0.0."""
    tagged = all(tag.strip() in response for tag in tags[2:])
    return 2.0 * bool(tagged and grade(response, answer, tags=tags).correct)


def untagged_correctness(response: str, answer: str, tags: Tags = DEFAULT_TAGS) -> float:
    """Return 2.0 for the right answer wherever the response commits to it, else 0.0."""
    return 2.0 * bool(grade(response, answer, tags=tags).correct)


def integer_answer(response: str, answer: str, tags: Tags = DEFAULT_TAGS) -> float:
    """Return 0.5 if what the response commits to is a whole number, right or not, else 0.0."""
    committed = grade(response, answer, tags=tags).answer
    return 0.5 * bool(committed and re.fullmatch(r"-?\d+", committed.strip()))


def strict_format(response: str, answer: str, tags: Tags = DEFAULT_TAGS) -> float:
    """Return 0.5 if each tag is present once, in order, with nothing outside pairs, else 0.0."""
    return 0.5 * (format_adherence(response, tags).strict == 1)


def soft_format(response: str, answer: str, tags: Tags = DEFAULT_TAGS) -> float:
    """Return 0.5 if all tags are present in order, whatever is around them, else 0.0."""
    return 0.5 * (format_adherence(response, tags).soft == 1)


def tag_count(response: str, answer: str, tags: Tags = DEFAULT_TAGS) -> float:
    """Return up to 0.5, a share for each tag that occurs once, less what trails the last one. Not
    below -0.5, however long the trail."""
    wanted = [tag.strip() for tag in tags if tag.strip()]
    once = sum(response.count(tag) == 1 for tag in wanted) / max(1, len(wanted))
    trail = response.rpartition(wanted[-1])[2] if wanted and wanted[-1] in response else ""
    return max(-0.5, 0.5 * once - TRAILING * len(trail.strip()))


def length_penalty(response: str, answer: str, tags: Tags = DEFAULT_TAGS) -> float:
    """Return 0.0 up to `LONG` characters, falling to -0.5 at twice as many and beyond."""
    return -0.5 * min(1.0, max(0.0, len(response) / LONG - 1))


def tag_repetition_penalty(response: str, answer: str, tags: Tags = DEFAULT_TAGS) -> float:
    """Return -0.25 for each tag that is present more than once, not below -0.5."""
    repeated = sum(response.count(tag.strip()) > 1 for tag in tags if tag.strip())
    return max(-0.5, -0.25 * repeated)


def long_penalty(response: str, answer: str, tags: Tags = DEFAULT_TAGS) -> float:
    """Return -2.0 beyond 2,500 characters, else 0.0: github.com/yash9439/Test-time-compute-SLMs."""
    return -2.0 if len(response) > 2500 else 0.0


def extra_tag_penalty(response: str, answer: str, tags: Tags = DEFAULT_TAGS) -> float:
    """Return -0.5 for each repetition of a tag, however many; source as above."""
    counts = (response.count(tag.strip()) for tag in tags if tag.strip())
    return -0.5 * sum(max(0, count - 1) for count in counts)


_FORM = (integer_answer, strict_format, soft_format, tag_count)
_DEFAULT = (correctness, *_FORM, length_penalty, tag_repetition_penalty)
REWARDS: dict[str, Reward] = {r.__name__: r for r in (correctness, untagged_correctness, *_DEFAULT)}
PRESETS: dict[str, tuple[Reward, ...]] = {
    "default": _DEFAULT,
    # The kinds and the sizes of github.com/yash9439/Test-time-compute-SLMs, train_llama_grpo.py.
    "test-time-compute-slms": (correctness, *_FORM, long_penalty, extra_tag_penalty),
}


def reward_functions(names: Iterable[str], tags: Tags = DEFAULT_TAGS) -> list[Callable[..., Any]]:
    """Return the rewards of these names, or presets, as TRL's GRPOTrainer calls them, over a batch.
    Their dataset needs a column `answer`. Raises SettingsError for an unknown name."""
    known = {**{name: (reward,) for name, reward in REWARDS.items()}, **PRESETS}
    functions = []
    for name in names:
        if name not in known:
            raise unknown_name("reward", name, known)
        functions += [_over_batch(reward, tags) for reward in known[name]]
    return functions


def _over_batch(reward: Reward, tags: Tags) -> Callable[..., Any]:
    def rewards(*, completions: list[Any], answer: list[str], **columns: Any) -> list[float]:
        texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
        return [reward(text, right, tags) for text, right in zip(texts, answer, strict=True)]

    rewards.__name__ = reward.__name__  # TRL logs it; of a partial it would log the inner name
    return rewards
