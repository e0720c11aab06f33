"""How each family of reward models wants a question and its steps written, and where it answers.

A writer turns texts into token ids and the positions at which the scores are read. No token after
the last position is written: a causal model would not look at it. Knows tokenizers, no models.

What a step says cannot look like the family's own marks: they are taken out of the texts, so there
is one position a step, whatever a policy writes."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lm_eval_tts.core.program import TokenIds
from lm_eval_tts.errors import RequestError

SEPARATOR = "\n"  # after each step of a token-classification PRM, unless it says otherwise


class Input(NamedTuple):
    """What a reward model reads."""

    token_ids: TokenIds
    positions: tuple[int, ...]  # ascending: the index of the token at which it gives each score


class Reading(NamedTuple):
    """What a reward model said of an input."""

    scores: tuple[float, ...]  # at each position
    num_tokens: int  # that had to be read for them


@dataclass(frozen=True, slots=True)
class Words:
    """What a checkpoint says about its texts."""

    tokenizer: Any  # of transformers, a fast one
    separator: str = SEPARATOR  # after each step, in the formats that leave it open
    pad_token_id: int | None = None  # of the config


InputWriter = Callable[[Words, str, Sequence[str]], Input]  # question, steps (stripped, none empty)


def write_math_shepherd(words: Words, question: str, steps: Sequence[str]) -> Input:
    """Write `question step ки\\nstep ки`; scores are at each ки (id 12902 of its tokenizer).
    Source: model card of peiyi9979/math-shepherd-mistral-7b-prm; Wang et al. 2023,
    arXiv:2312.08935. Its steps begin with "Step 1: ", which is left to the prompt of the policy."""
    tag = "ки"
    alone = re.compile(rf"(?<!\S){tag}(?!\S)")
    question, *steps = (alone.sub(" ", text) for text in (question, *steps))
    text, ends = question, []
    for index, step in enumerate(steps):
        text += ("\n" if index else " ") + f"{step} {tag}"
        ends.append(len(text) - 1)
    encoded, wanted = words.tokenizer(text), words.tokenizer.encode(tag)[-1]
    ids = encoded["input_ids"]
    found = [p for end in ends if (p := encoded.char_to_token(end)) is not None]
    return _cut(ids, [p for p in found if ids[p] == wanted], steps)


def write_rlhflow(words: Words, question: str, steps: Sequence[str]) -> Input:
    """Write a chat: each user turn is a step (the first with the question), answered by "+". Scores
    are where the assistant's turn opens: the token before each "+". The same for the models of
    DeepSeek and of Mistral data. Source: `math-rm/prm_evaluate.py` of RLHFlow/RLHF-Reward-Modeling,
    which renders the chat anew for each step and reads the third token from the end."""
    tokenizer = words.tokenizer
    chat: list[dict[str, str]] = []
    ids: list[int] = []
    positions: list[int] = []
    done = ""
    for index, step in enumerate(steps):
        chat.append({"role": "user", "content": step if index else f"{question} {step}"})
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        if not text.startswith(done):
            raise RequestError("the chat template rewrites earlier turns, so steps have no place")
        ids += tokenizer.encode(text[len(done) :], add_special_tokens=False)
        positions.append(len(ids) - 1)
        ids += tokenizer.encode("+", add_special_tokens=False)
        chat.append({"role": "assistant", "content": "+"})
        done = text + "+"
    return _cut(ids, positions, steps)


def write_skywork(words: Words, question: str, steps: Sequence[str]) -> Input:
    """Write bos, question, newline, and each step with a newline; scores are at these newlines.
    Each piece is encoded by itself.
    Source: `model_utils/io_utils.py` of SkyworkAI/skywork-o1-prm-inference."""
    bos = words.tokenizer.bos_token or ""
    ids = words.tokenizer.encode(f"{bos}{question}\n")
    return _write_steps(words.tokenizer, ids, steps, "\n")


def write_qwen(words: Words, question: str, steps: Sequence[str]) -> Input:
    """Write a chat whose assistant turn is `step<extra_0>step<extra_0>`; scores at <extra_0>.
    Source: model card of Qwen/Qwen2.5-Math-PRM-7B, with its system prompt."""
    tag = "<extra_0>"
    system = "Please reason step by step, and put your final answer within \\boxed{}."
    question, *steps = (text.replace(tag, " ") for text in (question, *steps))
    turns = {"system": system, "user": question, "assistant": tag.join(steps) + tag}
    chat = [{"role": role, "content": text} for role, text in turns.items()]
    ids = _encode(words.tokenizer, chat)
    wanted = words.tokenizer.convert_tokens_to_ids(tag)
    return _cut(ids, [p for p, token in enumerate(ids) if token == wanted], steps)


def write_labelled(words: Words, question: str, steps: Sequence[str]) -> Input:
    """Write the chat prompt of the question, and each step with a separator, which is labelled.
    What `scripts/train_prm.py` trains on. Each piece is encoded by itself."""
    ids = prompt_ids(words.tokenizer, question)
    return _write_steps(words.tokenizer, ids, steps, words.separator)


def write_trl(words: Words, question: str, steps: Sequence[str]) -> Input:
    """Write bos, the bare question, and each step with a separator, which is labelled. What TRL's
    `PRMTrainer` trains on (`tokenize_row`; its `step_separator` is a newline)."""
    bos = words.tokenizer.bos_token_id
    asked = words.tokenizer.encode(question, add_special_tokens=False)
    ids = asked if bos is None else [bos, *asked]
    return _write_steps(words.tokenizer, ids, steps, words.separator)


def write_outcome(words: Words, question: str, steps: Sequence[str]) -> Input:
    """Write a chat of question and response (the one step); the score is at its last token. Without
    a chat template: question, empty line, response. Padding tokens at the end do not count, as
    AutoModelForSequenceClassification looks for the last token that is none."""
    tokenizer, (response,) = words.tokenizer, steps
    if tokenizer.chat_template is None:
        ids = tokenizer.encode(f"{question}\n\n{response}")
    else:
        user = {"role": "user", "content": question}
        chat = [user, {"role": "assistant", "content": response}]
        ids = _encode(tokenizer, chat)
    last = max((p for p, token in enumerate(ids) if token != words.pad_token_id), default=0)
    return _cut(ids, [last], steps)


def prompt_ids(tokenizer: Any, question: str) -> list[int]:
    """Return the ids of the prompt as the tasks make it: the chat template, or the question."""
    if tokenizer.chat_template is None:
        return list(tokenizer.encode(f"{question}\n\n"))
    chat = [{"role": "user", "content": question}]
    return _encode(tokenizer, chat, add_generation_prompt=True)


def special_tokens(tokenizer: Any) -> re.Pattern[str]:
    """Return what finds a special token written in a text: it would open or close a turn."""
    special = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]
    longest_first = sorted(special, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def _write_steps(
    tokenizer: Any, prompt: Sequence[int], steps: Sequence[str], separator: str
) -> Input:
    """Append steps, each with a separator, at whose last token its score is. A separator within a
    step would end it, so it becomes a space."""
    ids, positions = list(prompt), []
    texts = [*(step.replace(separator, " ") for step in steps), separator]
    *encoded, ending = tokenizer(texts, add_special_tokens=False)["input_ids"]
    for step_ids in encoded:
        ids += [*step_ids, *ending]
        positions.append(len(ids) - 1)
    return _cut(ids, positions, steps)


def _cut(ids: Sequence[int], positions: Sequence[int], steps: Sequence[str]) -> Input:
    """Return ids up to the last score. Raises RequestError unless there is one for each step."""
    if len(positions) != len(steps):
        places = f"{len(positions)} places for the scores of {len(steps)} steps"
        raise RequestError(f"the reward model's input has {places}")
    return Input(tuple(ids[: positions[-1] + 1]), tuple(positions))


def _encode(tokenizer: Any, chat: list[dict[str, str]], **kwargs: Any) -> list[int]:
    return list(tokenizer.apply_chat_template(chat, return_dict=False, **kwargs))
