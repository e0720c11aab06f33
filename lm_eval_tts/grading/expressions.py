"""Expressions in a sentence: maximal runs of tokens that belong to one formula, as 16π + 3n."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from lm_eval_tts.grading.formulas import FIRST_IDEOGRAM, FUNCTION_NAMES, Cursor
from lm_eval_tts.grading.grammar import bare
from lm_eval_tts.grading.lexicon import is_substance, unit_of, words_of
from lm_eval_tts.grading.tokens import GREEK, NUMBERS, Token, fold, tokens

BINARY = words_of("binary")
MAX_SUBSTANCE = 16  # tokens of its formula
MAX_NESTED = 8  # brackets and scripts
PAIRS = {"(": (")", "]"), "[": ("]", ")"), "{": ("}",), "{{": ("}}",), "|": ("|",), "<": (">",)}
_SIGNS_BEFORE = ("+", "-", "\\pm", "\\mp", "~", "MONEY", "minus", "negative")
_ARTICLES = frozenset(["a", "A", "I"])
_CONSTANTS = (*GREEK, "pi", "infinity")
_NUMBERS = (*NUMBERS, "TIME", "MATRIX", "\\infty", "\\pi")
_LIST_WORDS = words_of("list_words")
_FONT_BEFORE = re.compile(r"\\[A-Za-z]+\*?\s*\{\s*$")
_DELIMITERS = str.maketrans({",": " , ", ";": " ; "} | dict.fromkeys("\\$()", ""))


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
            end = max(end, last) if is_substance(bare(self.tokens[at:last])) else end
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
        if not words or not _LIST_WORDS.issuperset(words):
            break
        end = run.end
    return end
