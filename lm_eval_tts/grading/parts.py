"""What a text is made of: the parts of a response, their sentences, the expressions in a sentence.

Parts are the thinking, answers in tags, and the text outside both. Knows tags, those asked for and
the usual families, and markup; not what an answer is. Expressions are maximal runs of tokens that
belong to one formula, as 16π + 3n.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from lm_eval_tts.grading import notation
from lm_eval_tts.grading.formulas import FIRST_IDEOGRAM, FUNCTION_NAMES, Cursor
from lm_eval_tts.grading.grammar import bare
from lm_eval_tts.grading.notation import NUMBERS, Token, fold, tokens, unit_of, words_of

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
_TURN = notation.pattern(
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
BINARY = words_of("binary")
MAX_SUBSTANCE = 16  # tokens of its formula
MAX_NESTED = 8  # brackets and scripts
PAIRS = {"(": (")", "]"), "[": ("]", ")"), "{": ("}",), "{{": ("}}",), "|": ("|",), "<": (">",)}
_SIGNS_BEFORE = ("+", "-", "\\pm", "\\mp", "~", "MONEY", "minus", "negative")
_ARTICLES = frozenset(["a", "A", "I"])
_CONSTANTS = (*notation.GREEK, "pi", "infinity")
_NUMBERS = (*NUMBERS, "TIME", "MATRIX", "\\infty", "\\pi")
_FONT_BEFORE = re.compile(r"\\[A-Za-z]+\*?\s*\{\s*$")
_DELIMITERS = str.maketrans({",": " , ", ";": " ; "} | dict.fromkeys("\\$()", ""))


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
    money = notation.currency(text) if "$" in text else ()
    signs = (i for i, c in enumerate(text[:end]) if c != "$" or i in money or text[i - 1] == "\\")
    return "".join(text[i] for i in signs if i >= start).rstrip(".,;: ").strip()


class Expression(NamedTuple):
    """Where an expression stands in its text, and its tokens."""

    start: int
    end: int
    tokens: tuple[Token, ...]

    @property
    def has_number(self) -> bool:
        """Whether a number or a constant occurs."""
        return any(t.kind in _NUMBERS or t.text in ("π", "pi") for t in self.tokens)


def runs(text: str) -> list[Expression]:
    """Return the expressions of a text, from left to right."""
    found = _Tokens(fold(tokens(text)))
    result: list[Expression] = []
    at = 0
    while at < len(found.tokens):
        end = found.run_end(at)
        if end > at:
            part = tuple(found.tokens[at:end])
            font = _FONT_BEFORE.search(text, 0, part[0].start)
            start = font.start() if font else part[0].start
            result.append(Expression(start, part[-1].end, part))
        at = max(end, at + 1)
    return result


class _Tokens(Cursor):
    """Places in tokens; each method returns where something ends, or its start if there is none."""

    def run_end(self, at: int) -> int:
        self.depth += 1
        end = self.operand_end(at) if self.depth < MAX_NESTED else at
        last = at + 1
        while last < at + MAX_SUBSTANCE and not self.peek(last).spaced:
            last += 1
            end = max(end, last) if notation.is_substance(bare(self.tokens[at:last])) else end
        while end > at and (following := self.piece_end(end)) > end:
            end = following
        self.depth -= 1
        return end

    def operand_end(self, at: int) -> int:
        """After signs or a currency, and one operand or bracket."""
        start, token = at, self.peek(at)
        while at < start + 3 and (token.kind in _SIGNS_BEFORE or token.text in _SIGNS_BEFORE):
            at += 1
            sign, token = token, self.peek(at)
            if sign.kind in ("+", "-") and token.spaced and not sign.formula:
                return start  # a dash
        is_bracket = token.kind in PAIRS and not token.formula
        end = self.bracket_end(at) if is_bracket else at + self.is_operand(at)
        return end if end > at else start

    def bracket_end(self, at: int, follows: bool = False) -> int:
        """After a bracket that holds nothing but expressions; (A) is a label unless it follows."""
        opening, inner = self.peek(at), at + 1
        while (token := self.peek(inner)).kind not in PAIRS[opening.kind] or inner == at + 1:
            end = inner + 1 if token.kind in (",", ";", ":") else self.run_end(inner)
            if end == inner:
                if opening.kind not in BINARY:  # never tried again, in deep nests
                    self.tokens[at] = opening._replace(kind="UNCLOSED")
                return at
            inner = end
        is_letter = inner == at + 2 and self.peek(at + 1).text.isalpha() and opening.kind != "|"
        return at if is_letter and not follows else inner + 1

    def is_operand(self, at: int) -> bool:
        token, following = self.peek(at), self.peek(at + 1)
        is_known = token.formula or token.kind in _NUMBERS or token.text in _CONSTANTS
        if is_known or token.kind != "WORD":
            return is_known or token.kind[0] == "\\"
        if token.text in FUNCTION_NAMES:
            return following.kind in ("(", "_", "^", "WORD", *NUMBERS)
        is_letter = len(token.text) == 1 and token.text < FIRST_IDEOGRAM
        return is_letter and self.peek(at - 1).kind != "'"  # that's -7

    def piece_end(self, at: int) -> int:
        """After one more piece of the expression that goes on here."""
        token, before, after = self.peek(at), self.peek(at - 1), self.peek(at + 1)
        is_function = before.text.lstrip("\\") in FUNCTION_NAMES
        if token.formula and before.formula:
            return at + 1
        if token.kind in ("°", "%") or (token.kind == "MONEY" and after.kind not in NUMBERS):
            return at + 1
        if token.kind in ("'", "!"):
            return at + (not token.spaced and after.kind not in ("END", '"'))
        unit = at + (token.text.lower() in ("square", "cubic", "sq", "per", "/"))
        if self.peek(unit).kind == "WORD" and unit_of(self.peek(unit).text):
            return unit + 1
        if token.kind in ("_", "^", *BINARY) or (token.kind == ":" and after.kind in NUMBERS):
            end = self.operand_end(at + 1)
            end = self.operand_end(end) if is_function else end  # log_2 12
            return end if end > at + 1 else at
        if token.kind in ("(", "[", "{") and (not token.spaced or token.formula):
            return self.bracket_end(at, follows=True)
        is_word = before.kind in NUMBERS and token.kind == "WORD"  # 5 sqrt(2), 2 x
        is_glued = is_word and token.text.isascii() and not token.spaced  # 4mn
        is_factor = is_word and token.text not in _ARTICLES
        goes_on = is_factor or is_function or before.kind[0] == "\\" or not token.spaced
        return at + (is_glued or (goes_on and self.is_operand(at)))


def listed(text: str, found: Sequence[Expression], at: int) -> int:
    """Return where a list that starts with this expression ends, as in "-1, 0, and 5"."""
    end = found[at].end
    for run in found[at + 1 :]:
        words = text[end : run.start].lower().translate(_DELIMITERS).split()
        if not words or not words_of("list_words").issuperset(words):
            break
        end = run.end
    return end
