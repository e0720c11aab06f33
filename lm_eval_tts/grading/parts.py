"""The parts of a response: thinking, answers between tags, and the text outside both.

Knows tags only, those asked for and the usual families; it does not know what an answer is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from lm_eval_tts.grading.lexicon import pattern

State = Literal["both", "end_only", "start_only", "none"]
Tags = tuple[str, str, str, str]
DEFAULT_TAGS: Tags = ("<think>", "</think>", "<answer>", "</answer>")

# Families: <think>, <|think|>, <|begin_of_thought|>, [THINK], `< /reasoning>`, and a closing tag
# cut off at the end of the response. s1: arXiv:2501.19393; the channels: the harmony format of
# gpt-oss; <|begin_of_thought|>: Sky-T1 and OpenThinker.
_TAG_WORDS = {
    "thinking": "(?:think(?:ing)?|thoughts?|reason(?:ing)?|scratch_?pad|analysis)",
    "answer": "(?:(?:final[_ -]?)?answer|solution)",
}
_START_TAG = r"[<\[]\|?\s{{0,2}}(?:begin_of_|start_of_)?{0}(?:_start)?\s{{0,2}}\|?[>\]]"
_END_TAG = (
    r"<\|?\s{{0,2}}[/\\]\s{{0,2}}{0}\s{{0,2}}(?:\|?>|\Z)"
    r"|<\|(?:end_of_{0}|{0}_end)\|>|\[/{0}\]|\\end\{{{0}[>}}]"
)
_FAMILIES = {
    "thinking_end": rf"<\|im_start\|>answer\b|<\|channel\|>final<\|message\|>|◁/think▷|{_END_TAG}",
    "thinking_start": r"<\|im_start\|>think\b|<\|channel\|>analysis<\|message\|>|◁think▷|"
    + _START_TAG,
    "answer_end": _END_TAG,
    "answer_start": _START_TAG,
}
TAG_NAMES = ("thinking_start", "thinking_end", "answer_start", "answer_end")
# Where a response goes on to write the user's next turn, and what chat templates leave behind.
_TURN = pattern(
    r"(?=[<\[])(?:<\|im_start\|>\s*user|<\|start_header_id\|>\s*user|<\|user\|>|<start_of_turn>user"
    r"|\[INST\])|\n[ \t]*(?:#+[ \t]*)?(?:\*\*)?<turn>(?:(?:[ \t]*\d{1,3})?(?:\*\*)?[ \t]*[:：]"
    r"|[ \t]+\d{1,3}(?:[.)]|(?:\*\*)?[ \t]*\n))"
)
_RESIDUE = re.compile(
    r"(?=[<\[])(?:<\|start_header_id\|>[a-z]*<\|end_header_id\|>|<\|im_start\|>\s*(?:assistant\b)?"
    r"|<\|(?:im_end|im_sep|endoftext|eot_id|eom_id|end|start|begin_of_text|assistant|channel|"
    r"message|return)\|>|</?s>|<(?:end|start)_of_turn>(?:model\b)?|\[/INST\]|<｜[^｜<>\n]{1,30}｜>)"
)


class Parts(NamedTuple):
    """state: the thinking tags found. thinking: in tags that were closed. open_thinking: in one
    that was not. answers: what stood between answer tags. before, after: the text outside both,
    before and after the first answer that is not empty."""

    state: State
    thinking: str
    open_thinking: str
    answers: tuple[str, ...]
    before: str
    after: str


class Format(NamedTuple):
    """How well a response keeps to its tags; NaN where there are no tags to keep to.

    strict: all of them in order, each once, and nothing but white space outside. soft: in order,
    with anything around. tag_count: the share of the tags that occur exactly once.
    """

    strict: float
    soft: float
    tag_count: float


@lru_cache(maxsize=64)
def _pattern(tags: Tags) -> re.Pattern[str]:
    """Tags that are asked for, the longest first, before those of the families."""
    own = sorted(zip(tags, TAG_NAMES, strict=True), key=lambda pair: -len(pair[0]))
    branches = [f"(?P<own_{name}>{re.escape(tag)})" for tag, name in own if tag]
    for name, family in _FAMILIES.items():
        branches.append(f"(?P<{name}>{family.format(_TAG_WORDS[name.split('_')[0]])})")
    first = re.escape("".join({tag[:1] for tag in tags if tag}))
    return re.compile(rf"(?=[<\[\\◁{first}])(?:{'|'.join(branches)})", re.I)


def first_turn(text: str) -> str:
    """Return a response up to where it goes on to write a user's turn."""
    for match in _TURN.finditer(text):
        if text[: match.start()].strip():
            return text[: match.start()]
    return text


def split_parts(response: str, tags: Tags) -> Parts:
    """Take a response apart at its tags; special tokens of chat templates are left out."""
    events = [
        ((match.lastgroup or "").removeprefix("own_"), match.start(), match.end())
        for match in _pattern(tuple(tags)).finditer(response)
    ]
    names = [name for name, _, _ in events]
    last_end = max((i for i, name in enumerate(names) if name == "thinking_end"), default=-1)
    reader, at = _Reader(), 0
    for index, (name, start, end) in enumerate(events):
        reader.text(_RESIDUE.sub("\n", response[at:start]))
        reader.tag(name, closes_later=last_end > index)
        at = end
    reader.text(_RESIDUE.sub("\n", response[at:]))
    states: tuple[State, ...] = ("none", "end_only", "start_only", "both")
    return reader.parts(states[2 * ("thinking_start" in names) + (last_end >= 0)])


class _Reader:
    """Walks over texts and tags, knowing which part it is in."""

    def __init__(self) -> None:
        self.part = self.outside = "before"
        self.answers: list[str] = []
        self.texts: dict[str, list[str]] = {
            part: [] for part in ("thinking", "open_thinking", "before", "after")
        }

    def text(self, text: str) -> None:
        if self.part == "answer":
            self.answers[-1] += text
        else:
            self.texts[self.part].append(text)

    def tag(self, name: str, closes_later: bool) -> None:
        in_thinking = self.part == "open_thinking"
        if name == "thinking_start":
            self.part = "open_thinking"
        elif name == "thinking_end":
            if self.part == "before" and not self.texts["thinking"] and not self.answers:
                self.part = "open_thinking"  # the start was in the prompt
                self.texts["open_thinking"], self.texts["before"] = self.texts["before"], []
            self.end_part()
        elif name == "answer_start" and not (in_thinking and closes_later):
            self.end_part()
            self.part = "answer"
            self.answers.append("")
        elif name == "answer_end":
            if not (in_thinking and closes_later):
                self.end_part()
            self.text("\n\n")

    def end_part(self) -> None:
        if self.part == "open_thinking":
            self.texts["thinking"] += [*self.texts["open_thinking"], "\n\n"]
            self.texts["open_thinking"] = []
        if self.part == "answer" and self.answers[-1].strip():
            self.outside = "after"
        self.part = self.outside

    def parts(self, state: State) -> Parts:
        thinking, thought = ("".join(self.texts[p]) for p in ("thinking", "open_thinking"))
        around = ("\n\n".join(filter(str.strip, self.texts[p])) for p in ("before", "after"))
        return Parts(state, thinking, thought, tuple(self.answers), *around)


def format_adherence(response: str, tags: Sequence[str]) -> Format:
    """Say how well a response keeps to four tags; empty ones are not asked for."""
    wanted = [tag.strip() for tag in tags if tag.strip()]
    if not wanted:
        return Format(float("nan"), float("nan"), float("nan"))
    counts = [response.count(tag) for tag in wanted]
    rest, soft = response, True
    for tag in wanted:
        _, found, rest = rest.partition(tag)
        soft = soft and bool(found)
    strict = soft and set(counts) == {1} and not _outside(response, tags)
    return Format(float(strict), float(soft), counts.count(1) / len(wanted))


def _outside(response: str, tags: Sequence[str]) -> str:
    """The text that is in no part: before the first tag, between the pairs, after the last."""
    first, thinking_end, answer_start, last = (tag.strip() for tag in tags)
    outside = response.partition(first)[0] if first else ""
    outside += response.rpartition(last)[2] if last else ""
    if thinking_end and answer_start:
        outside += response.partition(thinking_end)[2].partition(answer_start)[0]
    return outside.strip()
