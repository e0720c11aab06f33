"""The layout of a response: thinking, answers in tags, the text outside both; sentences.

Knows tags, those asked for and the usual families, and markup; not what an answer is.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Literal, NamedTuple

from lm_eval_tts.grading.lexicon import pattern
from lm_eval_tts.grading.tokens import currency

State = Literal["both", "end_only", "start_only", "none"]
Tags = tuple[str, str, str, str]
DEFAULT_TAGS: Tags = ("<think>", "</think>", "<answer>", "</answer>")
TAG_NAMES = ("thinking_start", "thinking_end", "answer_start", "answer_end")
# Families: <think>, <|think|>, <|begin_of_thought|>, [THINK], ◁think▷, `< /reasoning>`, and a
# closing tag that is cut off. The last channel of the harmony format of gpt-oss, and the second
# turn of s1 (arXiv:2501.19393), only end the thinking.
_FAMILY = (
    r"(?P<last><\|im_start\|>answer\b|<\|channel\|>final<\|message\|>)|"
    r"(?:[<\[◁]\|?|<\|(?:channel|im_start)\|>)\s{0,2}(?P<end>[/\\]\s{0,2}|end_of_)?(?:begin_of_|start_of_)?"
    r"(?:(?P<thinking>think(?:ing)?|thoughts?|reason(?:ing)?|scratch_?pad|analysis)|"
    r"(?:final[_ -]?)?answer|solution)(?P<ending>_end)?(?:_start)?"
    r"\s{0,2}(?:\|?[>\]▷]|<\|message\|>|(?=\n)|(?(end)\Z|(?!)))"
)
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
# A formula that is a sentence: \[ \text{The answer is } (B) \]
_SPOKEN = re.compile(r"\\(?:text\w*|mbox)\s*\{([^{}]*[^\W\d_]{2}\s[^{}]*)\}")
_DISPLAY = re.compile(r"(?<!\\)\\\[.{0,1000}?\\\]|\$\$.{1,1000}?\$\$", re.S)
_COLON = re.compile(r":[ \t*]*\n\s*")
_END = re.compile(
    # after a word, since 5! is a factorial
    r"(?:(?<=[.?])(?<!\b[A-Z][a-z]\.)|(?<=[a-z]!)|(?<=\d!)(?= [A-Z][a-z]))[*)\"'$\]\\]*\s+"
    r"(?=[A-Z\\$*(#\d\"'-]|[^\x00-\x7f])"
    r"|(?<=[。！？])|(?<=[\u2e80-\u9fff][.!?])(?=\S)|\n+"
)
_DRESS = re.compile(
    r"~~(?=\S)[^~\n]{1,200}~~|<(del|strike)>[^<]{0,200}</\1>|\\(?:[bx]?cancel|sout)\{[^{}]{0,200}\}"
    r"|</?(?:b|i|u|em|strong|mark|span|font|center|big|div|p|h[1-6])(?:\s[^<>]{0,80})?>",
    re.I,
)
_BOLD = re.compile(  # 2**3 stays a power
    r"(?<!\w)\*\*|\*\*(?![\d(])|__(?=\S)|(?<=\S)__|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])"
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


@lru_cache(maxsize=64)
def _pattern(tags: Tags) -> re.Pattern[str]:
    """Tags that are asked for, the longest first, before those of the families."""
    own = sorted(zip(tags, TAG_NAMES, strict=True), key=lambda pair: -len(pair[0]))
    branches = [f"(?P<{name}>{re.escape(tag)})" for tag, name in own if tag]
    first = re.escape("".join({tag[:1] for tag in tags if tag}))
    return re.compile(rf"(?=[<\[◁{first}])(?:{'|'.join([*branches, _FAMILY])})", re.I)


def _name(tag: re.Match[str]) -> str:
    """Which of the four kinds of tags one is."""
    if tag.lastgroup in TAG_NAMES:
        return tag.lastgroup
    side = "end" if tag["end"] or tag["ending"] or tag["last"] else "start"
    return f"thinking_{side}" if tag["thinking"] or tag["last"] else f"answer_{side}"


def split_parts(response: str, tags: Tags) -> Parts:
    """Take a response apart at its tags, up to where it goes on to write a user's turn.

    What is struck out, HTML tags of fonts and special tokens of chat templates are left out.
    """
    response = _DRESS.sub("", response)
    turn = _TURN.split(response, maxsplit=1)[0]
    response = turn if turn.strip() else response
    events = [(_name(m), *m.span()) for m in _pattern(tuple(tags)).finditer(response)]
    names = [name for name, _, _ in events]
    last_end = max((i for i, name in enumerate(names) if name == "thinking_end"), default=-1)
    texts = dict.fromkeys(("thinking", "open_thinking", "before", "after"), "")
    answers: list[str] = []
    part, outside, at = "before", "before", 0
    for index, (name, start, end) in enumerate([*events, ("", len(response), 0)]):
        text, at = _RESIDUE.sub("\n", response[at:start]), end
        if part == "answer":
            answers[-1] += text
        elif text.strip():
            texts[part] += f"{text}\n\n"
        if not name or (part == "open_thinking" and name[0] == "a" and index < last_end):
            continue  # an answer tag in thinking that ends later
        if name == "thinking_end" and part == "before" and not (texts["thinking"] or answers):
            part = "open_thinking"  # the start was in the prompt
            texts["open_thinking"], texts["before"] = texts["before"], ""
        if part == "open_thinking":
            texts["thinking"] += texts["open_thinking"]
            texts["open_thinking"] = ""
        elif part == "answer" and answers[-1].strip():
            outside = "after"
        part = {"thinking_start": "open_thinking", "answer_start": "answer"}.get(name, outside)
        answers += [""] if part == "answer" else []
    states: tuple[State, ...] = ("none", "end_only", "start_only", "both")
    state = states[2 * ("thinking_start" in names) + (last_end >= 0)]
    return Parts(state, answers=tuple(answers), **texts)


def says_something(text: str) -> bool:
    """Say whether there are letters or digits in a text."""
    return any(c.isalnum() for c in text)


def sentences(text: str) -> list[str]:
    """Split a text into sentences and lines; a formula on lines of its own is one."""
    text = _DISPLAY.sub(lambda m: " ".join(m[0].split()), _COLON.sub(": ", text))
    return [piece.strip() for piece in _END.split(text) if piece.strip(" *#-_\n\t`>|")]


def unmarked(text: str) -> str:
    """Return a sentence without markdown and symbols that only decorate."""
    if "*" in text or "_" in text:
        text = _BOLD.sub("", text)
    if not text.isascii():
        text = "".join(c for c in text if unicodedata.category(c) != "So" or c == "°")
    return text.replace("`", "").strip().lstrip("#> ")


def spoken(text: str) -> str:
    r"""Return a text with sentences in formulas as plain ones: \text{The answer is } (B)."""
    return _SPOKEN.sub(r" \1 ", text)


def plain(text: str, start: int = 0, end: int | None = None) -> str:
    """Return a part of a text without the punctuation after it and the dollars around formulas."""
    money = currency(text) if "$" in text else ()
    signs = (i for i, c in enumerate(text[:end]) if c != "$" or i in money or text[i - 1] == "\\")
    return "".join(text[i] for i in signs if i >= start).rstrip(".,;: ").strip()
