"""Expressions in a sentence: maximal runs of tokens that belong to one formula, never a part of it.

"so the ratio is 16π + 3n" has one, 16π + 3n; commas and "and" join several to a list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from lm_eval_tts.grading.cursor import FIRST_IDEOGRAM, FUNCTION_NAMES, Cursor
from lm_eval_tts.grading.lexicon import words_of
from lm_eval_tts.grading.numerals import NUMBER_WORDS, fold
from lm_eval_tts.grading.tokens import GREEK, NUMBERS, Token, tokens
from lm_eval_tts.grading.units import unit_of

BINARY = words_of("binary")
POSTFIX = frozenset(["°", "%", "'", "SUPER", "SUB", "MONEY"])
PAIRS = {"(": (")", "]"), "[": ("]", ")"), "{": ("}",), "{{": ("}}",), "|": ("|",), "<": (">",)}
ARTICLES = frozenset(["a", "A", "I"])
FUNCTION_WORDS = frozenset(FUNCTION_NAMES) - {"arg", "Re", "Im"}
NO_OPERANDS = ("\\to", "\\", "\\n", "\\cup", "\\in")
MAX_SCRIPT = 16  # of a script, or of the formula of a substance
_CONSTANTS = ("π", "pi", "infinity")
_LIST_WORDS = words_of("list_words")
_SIZES = ("square", "cubic", "sq", "per")
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
        known = (*NUMBERS, "TIME", "MATRIX", "\\infty", "\\pi")
        return any(t.kind in known or t.text in ("π", "pi") for t in self.tokens)


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

    def kind(self, at: int) -> str:
        return self.peek(at).kind

    def run_end(self, at: int) -> int:
        if self.kind(at) in NUMBERS and self.is_glued(at):
            return at  # CO2 is no 2
        end = self.operand_end(at)
        while end > at and (following := self.extended(end)) > end:
            end = following
        return end

    def is_glued(self, at: int) -> bool:
        before = self.peek(at - 1)
        is_word = (
            before.kind == "WORD" and before.text.isascii() and before.end == self.peek(at).start
        )
        return is_word and not before.formula

    def operand_end(self, at: int) -> int:
        """After a sign, a currency and one operand, or a bracket."""
        start = at
        while self.kind(at) in ("+", "-", "\\pm", "\\mp", "~", "MONEY") and at - start < 3:
            is_spaced = self.peek(at + 1).spaced and not self.peek(at).formula and at > 0
            if self.kind(at + 1) == "END" or (is_spaced and self.kind(at) in ("+", "-")):
                return start
            at += 1
        at += self.peek(at).text in ("minus", "negative") and self.kind(at + 1) in NUMBERS
        if self.kind(at) in PAIRS and not self.peek(at).formula:
            closed = self.bracket_end(at)
            return closed if closed > at else start
        return at + 1 if self.is_operand(at) else start

    def bracket_end(self, at: int, follows: bool = False) -> int:
        """After a bracket that holds nothing but expressions; (A) is a label unless it follows."""
        closing, inner = PAIRS[self.kind(at)], at + 1
        while inner < len(self.tokens):
            token = self.peek(inner)
            if token.kind in closing and inner > at + 1:
                single = self.peek(at + 1)
                is_letter = single.kind == "WORD" and len(single.text) == 1 and not single.formula
                is_letter = is_letter and token.kind != "|"
                return at if is_letter and inner == at + 2 and not follows else inner + 1
            is_joint = token.kind in (",", ";", ":") or token.text in ("and", "or")
            end = inner + 1 if is_joint else self.run_end(inner)
            if end == inner:
                return at
            inner = end
        return at

    def is_operand(self, at: int) -> bool:
        token, following = self.peek(at), self.peek(at + 1)
        if token.formula or token.kind in (*NUMBERS, "TIME", "MATRIX"):
            return True
        if token.text == "s" and self.kind(at - 1) == "'" and not token.spaced:
            return False  # that's -7
        is_word = token.text.lower() in _LIST_WORDS
        if token.mode == "text" and following.kind in ("_", "(") and not is_word:
            return True  # \text{mod}_5(6)
        if token.kind == "DOTS":
            return following.kind != "END" and self.kind(at - 1) in BINARY
        if token.kind != "WORD":
            return token.kind[:1] == "\\" and token.kind not in NO_OPERANDS
        if token.text in GREEK or token.text in _CONSTANTS:
            return True
        if token.text in FUNCTION_WORDS:
            is_letter = following.kind == "WORD" and len(following.text) == 1
            return is_letter or following.kind in ("(", "_", "^", "SUB", "SUPER", *NUMBERS)
        if len(token.text) > 1:
            return _is_product(token.text) and following.kind in ("^", "=", "*", "SUPER")
        if token.text >= FIRST_IDEOGRAM:
            return False
        if token.text in ARTICLES:
            is_called = following.kind == "(" and not following.spaced
            return is_called or (following.kind in BINARY and following.kind not in ("-", "/"))
        return True

    def extended(self, end: int) -> int:
        """Where the expression extends to with one more piece; here if it ends."""
        token, before, after = self.peek(end), self.peek(end - 1), self.peek(end + 1)
        if token.kind == "END":
            return end
        if token.formula and before.formula:
            return end + 1
        is_money = token.kind == "MONEY" and after.kind in NUMBERS
        is_quote = token.kind == "'" and token.spaced
        is_sign = not token.spaced and after.kind not in ("END", '"', "MONEY")  # 5!, no exclamation
        if (is_sign if token.kind == "!" else token.kind in POSTFIX) and not is_money | is_quote:
            return end + 1
        if token.kind in ("_", "^"):
            return self.script_end(end)
        if token.kind in BINARY:
            return self.after_operator(end)
        is_between = before.kind in NUMBERS and after.kind in (*NUMBERS, "MONEY")
        if is_between and token.kind == ":" and not token.spaced:
            return end + 2
        if is_between and token.text in ("x", "X"):  # 3 x 10^8
            return self.operand_end(end + 1)
        unit = self.unit_end(end)
        return unit if unit > end else self.juxtaposed(end)

    def script_end(self, at: int) -> int:
        if self.kind(at + 1) == "{":
            depth = 0
            for inner in range(at + 1, len(self.tokens)):
                depth += (self.kind(inner) == "{") - (self.kind(inner) == "}")
                if not depth:
                    return inner + 1
            return at
        return self.after(at)

    def after(self, at: int) -> int:
        """After the operand that follows a sign."""
        following = self.operand_end(at + 1)
        return following if following > at + 1 else at

    def after_operator(self, at: int) -> int:
        token = self.peek(at)
        if token.kind == "|" and not token.formula:
            return at
        if token.kind == "/" and (unit := self.unit_end(at + 1)) > at + 1:
            return unit
        return self.after(at)

    def unit_end(self, at: int) -> int:
        """After a unit of measure that follows a number."""
        before, start = self.peek(at - 1), at
        follows = (*NUMBERS, "WORD", "/", "}", ")", "SUPER", "*", "°")
        if before.kind not in follows and not before.formula:
            return at
        while self.peek(at).text.lower() in _SIZES:
            at += 1
        word = self.peek(at)
        if word.kind != "WORD" or word.text in ARTICLES or unit_of(word.text) is None:
            return start
        return at + 1

    def before_scripts(self, at: int) -> int:
        """The place of what the scripts before here belong to: of log in log_2 and log_{2}."""
        at -= 1
        while True:
            opening = at
            while self.kind(at) == "}" and self.kind(opening) != "{" and opening > at - MAX_SCRIPT:
                opening -= 1
            if self.kind(at) in ("SUB", "SUPER"):
                at -= 1
            elif self.kind(opening - 1) in ("_", "^"):
                at = opening - 2
            else:
                return at

    def juxtaposed(self, at: int) -> int:
        token, before = self.peek(at), self.peek(at - 1)
        if token.kind in ("(", "[", "{") and (not token.spaced or token.formula):
            return self.bracket_end(at, follows=True)
        if not self.is_operand(at):
            return at
        after_number = before.kind in NUMBERS
        is_glued = not token.spaced and not (
            token.kind in NUMBERS and after_number and token.text.isascii()
        )
        name = self.peek(self.before_scripts(at))
        is_argument = name.text.lstrip("\\") in FUNCTION_WORDS or before.kind.startswith("\\")
        is_function = token.text in FUNCTION_WORDS and unit_of(token.text) is None  # 5 sqrt(2)
        is_letter = token.kind == "WORD" and len(token.text) == 1 and token.text not in ARTICLES
        follows_number = after_number and (is_letter or is_function)
        return at + 1 if is_glued or is_argument or follows_number else at


def _is_product(word: str) -> bool:
    """Whether a word before a sign is a product of variables, as xy in xy = 12."""
    is_name = len(word) < 4 and word.islower() and not any(c in "aeiou" for c in word)
    return is_name and unit_of(word) is None and word not in NUMBER_WORDS


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
