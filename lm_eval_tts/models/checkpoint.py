"""A loaded checkpoint, as far as strategies, journals and results have to know it.

How a model thinks is seen in its own chat template: render a prompt, then look. Which delimiters it
was made for (`families` in prompts.yaml), whether the template opens or closes the thinking, what
ends a turn, and whether an instruction arrives as it was written."""

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from lm_eval_tts.core.identity import tokenizer_digest
from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.engines.tokenizer import HFTokenizer
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.models.chat import ChatPrompt, TemplateChat
from lm_eval_tts.prompts import Message, load_prompts
from lm_eval_tts.settings import Settings
from lm_eval_tts.strategies import Abilities

QUESTION: list[Message] = [{"role": "user", "content": "What is two plus two?"}]
REPLY: Message = {"role": "assistant", "content": "It is four, as all agree."}
ABOUT_THINKING = re.compile("think|thought|reason|inner_", re.IGNORECASE)
_RECOMMENDED = ("temperature", "top_p", "top_k", "min_p")


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """What is known of a model's own way of thinking; the defaults are those of a plain model."""

    delimiters: str | None = None  # a preset; None leaves it to the prompt style
    question: str = ""  # why it cannot be known whether and how it thinks
    turn_end: int | None = None  # the id that the template ends a turn with
    thinking: str = "absent"  # in a prompt: "opened", "closed" or "absent"
    dated: bool = False  # the template writes today's date

    def line(self, tokenizer: Any) -> str:
        """Say in one line what was found."""
        parts = [f"delimiters: {self.delimiters or 'those of the prompt style'}"]
        if self.delimiters:
            marks = load_prompts().preset(self.delimiters)
            tags = (marks.thinking_start.strip(), marks.thinking_end.strip())
            single = all(tag in tokenizer.get_vocab() for tag in tags)
            parts.append(f"{tags[0]!r} to {tags[1]!r}, {'single' if single else 'several'} tokens")
        parts.append(f"thinking in the prompt: {self.thinking}")
        if self.turn_end is not None:
            parts.append(f"a turn ends with {tokenizer.decode([self.turn_end])!r}")
        if self.dated:
            parts.append("the template writes today's date: prompts change from day to day")
        return "chat template: " + "; ".join(parts)


@dataclass(slots=True)
class Checkpoint:
    """What an lm_eval model class has loaded, or a server has for us."""

    tokenizer: Any  # of transformers
    # What results know the checkpoint by, for example `pretrained` and `peft`.
    names: dict[str, Any]
    generation_config: Any = None  # of transformers; its ends of turn count beside the tokenizer's
    # What makes its answers differ from another's; asked for where a journal needs it.
    own_facts: Callable[[], Mapping[str, Any]] = dict
    policy_size: float | None = None  # parameters in billions
    vocabulary_size: int | None = None  # ids that the model chooses among
    family: ModelFamily = field(default_factory=ModelFamily)  # as its chat template shows
    text: HFTokenizer = field(init=False)  # the tokenizer, seen from the middle of a sequence
    recommended: dict[str, float] = field(init=False)  # the sampling that its makers recommend

    def __post_init__(self) -> None:
        self.text = HFTokenizer(self.tokenizer)
        self.recommended = recommended_sampling(self.generation_config)

    @property
    def eos_token_ids(self) -> list[int]:
        """The ids that end a turn: the tokenizer's, the generation config's, the template's."""
        declared = getattr(self.generation_config, "eos_token_id", None)
        several = declared if isinstance(declared, list) else [declared]
        return sorted({self.tokenizer.eos_token_id, self.family.turn_end, *several} - {None})

    def facts(self, max_length: int) -> dict[str, str]:
        """Return by name what makes the results of two runs differ, whatever they ask."""
        return {
            **{name: str(value) for name, value in self.own_facts().items()},
            "tokenizer": tokenizer_digest(self.tokenizer),
            "ends of turn": str(self.eos_token_ids),
            "max_length": str(max_length),
            "seed": str(run_seed()),
        }


def recommended_sampling(config: Any) -> dict[str, float]:
    """Return what a transformers generation config recommends to sample by; nothing where it does
    not recommend to sample, or is not known (None)."""
    said = config.to_diff_dict() if config is not None else {}
    found = {name: said[name] for name in _RECOMMENDED if said.get(name) is not None}
    samples = said.get("do_sample") or found.get("temperature")
    return {"temperature": 1.0, **found} if samples else {}


def run_seed() -> int:
    """Return torch's seed, which lm-eval's --seed sets before a model is made."""
    import torch

    return int(torch.initial_seed())


def find_family(chat: TemplateChat) -> ModelFamily:
    """Return what a chat template and its tokenizer show; a plain model where there is none."""
    tokenizer, template = chat.tokenizer, str(chat.tokenizer.chat_template or "")
    if not template:
        return ModelFamily()
    prompt, tokens = chat.apply(QUESTION), tokenizer.get_added_vocab()
    vocabulary = tokenizer.get_vocab()
    prompts = load_prompts()
    rule = next((r for r in prompts.families if r.fits(template, prompt, vocabulary)), None)
    name = rule.delimiters if rule and rule.delimiters != "none" else None
    known = " ".join(f"{m.thinking_start}{m.thinking_end}" for m in prompts.delimiters.values())
    tags = (token for token in tokens if " " not in token)  # others are texts, such as instructions
    strange = sorted(tag for tag in tags if ABOUT_THINKING.search(tag) and tag not in known)
    unknown = f"its tokens {', '.join(strange)} are in no preset" if strange else ""
    return ModelFamily(
        name,
        rule.question if rule else unknown,
        _turn_end(chat, prompts.preset(name or "none"), tokens),
        thinking_in(prompt, QUESTION[-1]["content"], prompts.preset(name or "qwen3")),
        "strftime_now" in template,
    )


def thinking_in(prompt: str, question: str, marks: Delimiters) -> str:
    """Say whether a prompt has "opened" or "closed" the thinking after its question, or neither."""
    start, *others = map(str.strip, (marks.thinking_start, marks.thinking_end, marks.answer_start))
    if start and prompt.rstrip().endswith(start):
        return "opened"
    _, found, after = prompt.rpartition(question.strip())
    return "closed" if found and any(t and t in after for t in (start, *others)) else "absent"


def _turn_end(chat: TemplateChat, marks: Delimiters, tokens: dict[str, int]) -> int | None:
    """Return the added token that the template writes after a reply, if it is none of the marks."""
    try:
        text = chat.apply([*QUESTION, REPLY], ends_turn=True)
    except Exception:  # whatever a template raises: some want no reply at the end
        return None
    after = text.rpartition(REPLY["content"])[2].lstrip()
    found = [token for token in tokens if token and after.startswith(token)]
    token = max(found, key=len, default="")
    inside = f"{marks.thinking_end}{marks.answer_end}"
    return tokens[token] if token and token not in inside else None


def arrives(chat: TemplateChat, instruction: str, rendered: str, forced: bool) -> bool:
    """Say whether a prompt has the instruction verbatim, and the template's own on thinking.
    forced: the user has said in which role it goes, whatever of the template's that replaces."""
    templated = isinstance(rendered, ChatPrompt)
    own = chat.apply(QUESTION).partition(QUESTION[-1]["content"])[0] if templated else ""
    kept = [line for line in own.splitlines() if ABOUT_THINKING.search(line)]
    return instruction in rendered and (forced or all(line in rendered for line in kept))


def check_thinking_end(
    settings: Settings, given: Container[str], checkpoint: Checkpoint, model: Abilities
) -> None:
    """Raise SettingsError where the end of a thought is needed and not known, or to be masked and
    cannot be. given: the names of the settings that were given."""
    strategy, end = settings.strategy, settings.delimiters.ending
    question = checkpoint.family.question
    named = any(name in given for name in ("delimiters", "thinking_start", "thinking_end"))
    if question and strategy.needs_thinking_end and not named:
        raise SettingsError(
            f"how does this model think? That is not known, since {question}: set "
            "delimiters= to its preset, or thinking_start= and thinking_end=, or "
            "delimiters=think if it does not think by itself"
        )
    size = len(checkpoint.text.encode(end))
    if strategy.masks_thinking_end and size > 1 and not model.masks_strings:
        raise SettingsError(
            f"the end of the thinking, {end!r}, is {size} tokens, and {model.name} can mask one: "
            "leave out min_tokens=, min_thinking_by=masking and an empty wait_text=, or use "
            "tts-hf or tts-vllm"
        )
