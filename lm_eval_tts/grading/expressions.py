"""Expressions in a sentence: maximal runs of tokens that belong to one formula, as 16π + 3n."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from lm_eval_tts.grading.formulas import FIRST_IDEOGRAM, FUNCTION_NAMES, Cursor
from lm_eval_tts.grading.grammar import bare, is_substance
from lm_eval_tts.grading.lexicon import words_of
from lm_eval_tts.grading.numerals import fold
from lm_eval_tts.grading.tokens import GREEK, NUMBERS, Token, tokens
from lm_eval_tts.grading.units import unit_of

BINARY = words_of("binary")
MAX_SUBSTANCE = 16  # tokens of its formula
MAX_NESTED = 8  # brackets and scripts
PAIRS = {"(": (")", "]"), "[": ("]", ")"), "{": ("}",), "{{": ("}}",), "|": ("|",), "<": (">",)}
_SIGNS = ("+", "-", "\\pm", "\\mp", "~", "MONEY", "minus", "negative")
_POSTFIX = ("°", "%", "'", "MONEY", "!")
_ARTICLES = frozenset(["a", "A", "I"])
_NO_OPERANDS = ("\\to", "\\", "\\n", "\\cup", "\\in")
_CONSTANTS = (*GREEK, "pi", "infinity")
_NUMBERS = (*NUMBERS, "TIME", "MATRIX")
_LIST_WORDS = words_of("list_words")
_FONT_BEFORE = re.compile(r"\\[A-Za-z]+\*?\s*\{\s*$")
_DELIMITERS = str.maketrans(",;", "  ", "\\$()")


class Expression(NamedTuple):
    """Where an expression stands in its text, and its tokens."""

    start: int
    end: int
    tokens: tuple[Token, ...]

    @property
    def has_number(self) -> bool:
        """Whether a number or a constant occurs."""
        known = (*_NUMBERS, "\\infty", "\\pi", "π", "pi")
        return any(t.kind in known or t.text in known for t in self.tokens)


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
        end = max(end, self.substance_end(at))
        while end > at and (following := self.piece_end(end)) > end:
            end = following
        self.depth -= 1
        return end

    def substance_end(self, at: int) -> int:
        """After the formula of a substance, as H2SO4 and Ca(OH)_2."""
        end = last = at
        while last == at or (last < at + MAX_SUBSTANCE and not self.peek(last).spaced):
            last += 1
            end = last if is_substance(bare(self.tokens[at:last])) else end
        return end

    def operand_end(self, at: int) -> int:
        """After signs or a currency, and one operand or bracket."""
        start, token = at, self.peek(at)
        while at < start + 3 and (token.kind in _SIGNS or token.text in _SIGNS):
            if at and token.kind in ("+", "-") and not token.formula and self.peek(at + 1).spaced:
                return start  # a dash
            at += 1
            token = self.peek(at)
        if token.kind in PAIRS and not token.formula:
            closed = self.bracket_end(at)
            return closed if closed > at else start
        return at + 1 if self.is_operand(at) else start

    def bracket_end(self, at: int, follows: bool = False) -> int:
        """After a bracket that holds nothing but expressions; (A) is a label unless it follows."""
        opening, inner = self.peek(at), at + 1
        while (token := self.peek(inner)).kind not in PAIRS[opening.kind] or inner == at + 1:
            is_joint = token.kind in (",", ";", ":") or token.text in ("and", "or")
            end = inner + 1 if is_joint else self.run_end(inner)
            if end == inner:
                if opening.kind not in BINARY:  # never tried again, in deep nests
                    self.tokens[at] = opening._replace(kind="UNCLOSED")
                return at
            inner = end
        single = self.peek(at + 1)
        is_label = inner == at + 2 and single.kind == "WORD" and len(single.text) == 1
        is_label = is_label and not follows and not single.formula and opening.kind != "|"
        return at if is_label else inner + 1

    def is_operand(self, at: int) -> bool:
        token, following = self.peek(at), self.peek(at + 1)
        if token.formula or token.kind in _NUMBERS or token.text in _CONSTANTS:
            return True
        if token.kind != "WORD":
            return token.kind[:1] == "\\" and token.kind not in _NO_OPERANDS
        if token.text in FUNCTION_NAMES:
            is_letter = following.kind == "WORD" and len(following.text) == 1
            return is_letter or following.kind in ("(", "_", "^", *NUMBERS)
        if len(token.text) > 1 or (self.peek(at - 1).kind == "'" and not token.spaced):
            return False  # that's -7
        if token.text in _ARTICLES:
            return following.kind in BINARY
        return token.text < FIRST_IDEOGRAM

    def piece_end(self, at: int) -> int:
        """After one more piece of the expression that goes on here."""
        token, before, after = self.peek(at), self.peek(at - 1), self.peek(at + 1)
        if token.formula and before.formula:
            return at + 1
        if token.kind in _POSTFIX:
            is_money = token.kind == "MONEY" and after.kind in NUMBERS
            is_quote = token.kind in ("'", "!") and (token.spaced or after.kind in ("END", '"'))
            return at if is_money or is_quote else at + 1
        if (unit := self.unit_end(at)) > at:
            return unit
        is_ratio = token.kind == ":" and before.kind in NUMBERS and after.kind in NUMBERS
        if token.kind in ("_", "^", *BINARY) or is_ratio:
            end = self.operand_end(at + 1)
            if token.kind in ("_", "^") and before.text.lstrip("\\") in FUNCTION_NAMES:
                end = self.operand_end(end)  # log_2 12
            return end if end > at + 1 else at
        return self.juxtaposed(at)

    def unit_end(self, at: int) -> int:
        """After a unit of measure."""
        last = at + (self.peek(at).text.lower() in ("square", "cubic", "sq", "per", "/"))
        word = self.peek(last)
        is_unit = word.kind == "WORD" and word.text not in _ARTICLES and unit_of(word.text)
        return last + 1 if is_unit else at

    def juxtaposed(self, at: int) -> int:
        token, before = self.peek(at), self.peek(at - 1)
        if token.kind in ("(", "[", "{") and (not token.spaced or token.formula):
            return self.bracket_end(at, follows=True)
        is_argument = before.text.lstrip("\\") in FUNCTION_NAMES or before.kind[0] == "\\"
        follows_number = before.kind in NUMBERS and token.kind == "WORD"  # 5 sqrt(2), 2 x
        is_glued = follows_number and token.text.isascii() and not token.spaced  # 4mn
        follows_number = follows_number and token.text not in _ARTICLES
        is_factor = is_argument or follows_number or not token.spaced
        return at + 1 if is_glued or (is_factor and self.is_operand(at)) else at


def listed(text: str, found: Sequence[Expression], at: int) -> int:
    """Return where a list that starts with this expression ends, as in "-1, 0, and 5"."""
    end = found[at].end
    for run in found[at + 1 :]:
        between = text[end : run.start].lower()
        words = between.translate(_DELIMITERS).split()
        if not between.strip("\\$() \n") or not _LIST_WORDS.issuperset(words):
            break
        end = run.end
    return end
