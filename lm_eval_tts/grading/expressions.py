"""Expressions in a sentence: maximal runs of tokens that belong to one formula, never a part of it.

"so the ratio is 16π + 3n" has one, 16π + 3n; commas and "and" join several to a list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from lm_eval_tts.grading.cursor import FUNCTION_NAMES, NUMBERS
from lm_eval_tts.grading.tokens import GREEK, Token, currency, tokens, words_of
from lm_eval_tts.grading.units import unit_of
from lm_eval_tts.grading.words import NUMBER_WORDS, fold

BINARY = frozenset(words_of("+ - * / = < > <= >= != ~ \\pm \\cup \\cap \\in \\setminus |"))
POSTFIX = frozenset(words_of("° % ' SUPER SUB MONEY"))
PAIRS = {"(": (")", "]"), "[": ("]", ")"), "{": ("}",), "{{": ("}}",), "|": ("|",), "<": (">",)}
ARTICLES = frozenset(["a", "A", "I"])
FUNCTION_WORDS = frozenset(FUNCTION_NAMES) - {"arg", "Re", "Im"}


_FONT_BEFORE = re.compile(r"\\[A-Za-z]+\*?\s*\{\s*$")
_DELIMITERS = str.maketrans("", "", "\\$()")


class Expression(NamedTuple):
    """Where an expression stands in its text, and its tokens."""

    start: int
    end: int
    tokens: tuple[Token, ...]

    @property
    def has_number(self) -> bool:
        """Whether a number or a constant occurs."""
        return any(
            t.kind in (*NUMBERS, "TIME", "MATRIX", "\\infty", "\\pi") or t.text in ("π", "pi")
            for t in self.tokens
        )


def runs(text: str) -> list[Expression]:
    """Return the expressions of a text, from left to right."""
    found = _Tokens(fold(tokens(text)))
    result: list[Expression] = []
    at = 0
    while at < len(found.tokens):
        end = found.run_end(at)
        if end > at:
            part = found.tokens[at:end]
            font = _FONT_BEFORE.search(text, 0, part[0].start)
            result.append(
                Expression(font.start() if font else part[0].start, part[-1].end, tuple(part))
            )
        at = max(end, at + 1)
    return result


class _Tokens:
    def __init__(self, found: Sequence[Token]) -> None:
        self.tokens = list(found)

    def kind(self, at: int) -> str:
        return self.tokens[at].kind if 0 <= at < len(self.tokens) else "END"

    def run_end(self, at: int) -> int:
        """Where the expression that starts here ends; here if there is none."""
        end = self.operand_end(at)
        if end == at:
            return at
        while (following := self.extended(end)) > end:
            end = following
        return end

    def operand_end(self, at: int) -> int:
        """After a sign, a currency and one operand, or a bracket."""
        start = at
        while (
            self.kind(at) in ("+", "-", "\\pm", "~", "MONEY")
            and self.kind(at + 1) != "END"
            and at - start < 3
        ):
            if (
                self.tokens[at + 1].spaced
                and self.kind(at) in ("+", "-")
                and not self.tokens[at].formula
                and at > 0
            ):
                return start
            at += 1
        if (
            self.tokens[at : at + 1]
            and self.tokens[at].text in ("minus", "negative")
            and self.kind(at + 1) in NUMBERS
        ):
            at += 1
        if self.kind(at) in PAIRS and not self.tokens[at].formula:
            closed = self.bracket_end(at)
            return closed if closed > at else start
        return at + 1 if self.is_operand(at) else start

    def bracket_end(self, at: int, follows: bool = False) -> int:
        """After a bracket that holds nothing but expressions; here if there is more."""
        closing, inner = PAIRS[self.kind(at)], at + 1
        if self.kind(at) == "<" and self.kind(at + 1) not in NUMBERS:
            return at
        while inner < len(self.tokens):
            if self.kind(inner) in closing and inner > at + 1:
                single = self.tokens[at + 1]
                is_label = (
                    not follows
                    and inner == at + 2
                    and single.kind == "WORD"
                    and len(single.text) == 1
                    and not single.formula
                )
                return at if is_label else inner + 1
            if self.kind(inner) in (",", ";", ":") or self.tokens[inner].text in ("and", "or"):
                inner += 1
                continue
            end = self.run_end(inner)
            if end == inner:
                return at
            inner = end
        return at

    def is_operand(self, at: int) -> bool:
        if at >= len(self.tokens):
            return False
        token = self.tokens[at]
        if token.formula or token.kind in (*NUMBERS, "TIME", "MATRIX"):
            return True
        if token.mode == "text" and self.kind(at + 1) in ("_", "("):
            return True  # \text{mod}_5(6)
        if token.kind == "DOTS":
            return 0 < at < len(self.tokens) - 1 and self.kind(at - 1) in BINARY
        if token.kind.startswith("\\"):
            return token.kind not in ("\\to", "\\", "\\n", "\\cup", "\\in")
        if token.kind != "WORD":
            return False
        following = self.kind(at + 1)
        if token.text in GREEK or token.text in ("pi", "infinity"):
            return True
        if token.text in FUNCTION_WORDS:
            return following in ("(", "_", "^", "SUB", "SUPER", *NUMBERS) or (
                following == "WORD" and len(self.tokens[at + 1].text) == 1
            )
        if len(token.text) > 1:
            is_product = (
                len(token.text) < 4
                and unit_of(token.text) is None
                and token.text.lower() not in NUMBER_WORDS
            )
            glued = following in ("^", "=", "*", "SUPER") and (
                following != "=" or token.text.islower()
            )
            return (
                is_product
                and glued
                and token.text.islower()
                and not any(c in "aeiou" for c in token.text)
            )
        if token.text in ARTICLES:
            return (following in BINARY and following not in ("-", "/")) or (
                following == "(" and not self.tokens[at + 1].spaced
            )
        return True

    def extended(self, end: int) -> int:
        """Where the expression goes on to with one more piece; here if it ends."""
        if end >= len(self.tokens):
            return end
        token, before = self.tokens[end], self.tokens[end - 1]
        if token.formula and before.formula:
            return end + 1
        if (
            token.kind in POSTFIX
            and not (token.kind == "MONEY" and self.kind(end + 1) in NUMBERS)
            and not (token.kind == "'" and token.spaced)
        ):
            return end + 1
        if (
            token.kind == "!"
            and not token.spaced
            and self.kind(end + 1) not in ("END", '"', "MONEY")
        ):
            return end + 1
        if token.kind in ("_", "^"):
            return self.script_end(end)
        if token.kind in BINARY:
            return self.after_operator(end)
        if (
            token.kind == ":"
            and not token.spaced
            and self.kind(end + 1) in NUMBERS
            and before.kind in NUMBERS
        ):
            return end + 2
        if self.is_cross(end):
            return self.operand_end(end + 1)
        if (unit := self.unit_end(end)) > end:
            return unit
        return self.juxtaposed(end)

    def script_end(self, at: int) -> int:
        if self.kind(at + 1) == "{":
            depth = 0
            for inner in range(at + 1, len(self.tokens)):
                depth += (self.kind(inner) == "{") - (self.kind(inner) == "}")
                if not depth:
                    return inner + 1
            return at
        if self.kind(at + 1) in ("-", "+"):
            return at + 3 if self.is_operand(at + 2) else at
        following = self.operand_end(at + 1)
        return following if following > at + 1 else at

    def after_operator(self, at: int) -> int:
        token = self.tokens[at]
        if token.kind == "|" and not token.formula:
            return at
        if token.kind == "/" and (unit := self.unit_end(at + 1)) > at + 1:
            return unit
        if (
            token.kind == "-"
            and token.spaced
            and at + 1 < len(self.tokens)
            and not self.tokens[at + 1].spaced
            and self.kind(at - 1) in NUMBERS
            and self.kind(at + 1) == "WORD"
        ):
            return at
        following = self.operand_end(at + 1)
        return following if following > at + 1 else at

    def is_cross(self, at: int) -> bool:
        """3 x 10^8"""
        return (
            self.tokens[at].text in ("x", "X")
            and self.kind(at - 1) in NUMBERS
            and self.kind(at + 1) in NUMBERS
        )

    def unit_end(self, at: int) -> int:
        """After a unit of measure that follows a number."""
        before = self.tokens[at - 1]
        if (
            before.kind not in (*NUMBERS, "WORD", "/", "}", ")", "SUPER", "*", "°")
            and not before.formula
        ):
            return at
        start = at
        while at < len(self.tokens) and self.tokens[at].text.lower() in (
            "square",
            "cubic",
            "sq",
            "per",
        ):
            at += 1
        word = self.tokens[at] if at < len(self.tokens) else None
        if not word or word.kind != "WORD" or unit_of(word.text) is None or word.text in ARTICLES:
            return start
        if len(word.text) == 1 and self.kind(at + 1) in ("=", "+"):
            return start
        at += 1
        return at + 1 if self.kind(at) == "SUPER" else at

    def juxtaposed(self, at: int) -> int:
        token, before = self.tokens[at], self.tokens[at - 1]
        glued = not token.spaced
        if token.kind in ("(", "[", "{") and (glued or token.formula):
            return self.bracket_end(at, follows=True)
        if not self.is_operand(at):
            return at
        if glued and not (token.kind in NUMBERS and before.kind in NUMBERS):
            return at + 1
        is_function = (
            before.text.lstrip("\\") in FUNCTION_WORDS
            or before.kind in ("\\sqrt", "\\frac")
            or before.kind.startswith("\\")
        )
        if is_function:
            return at + 1
        if (
            before.kind in NUMBERS
            and token.kind == "WORD"
            and len(token.text) == 1
            and token.text not in ARTICLES
        ):
            return at + 1
        return at


def listed(text: str, found: Sequence[Expression], at: int) -> int:
    """Return where a list that starts with this expression ends, as in "-1, 0, and 5"."""
    end = found[at].end
    for run in found[at + 1 :]:
        joint = text[end : run.start].lower().translate(_DELIMITERS).strip()
        words = joint.replace(",", " ").replace(";", " ").split()
        if not joint or any(
            word not in ("and", "or", "&", "y", "et", "und", "и", "和", "、") for word in words
        ):
            break
        end = run.end
    return end


def shown(text: str, start: int, end: int) -> str:
    """Return a part of a text without the dollar signs that only delimit formulas."""
    part = text[start:end]
    if "$" not in part:
        return part.strip()
    money = currency(text)
    return "".join(
        c
        for at, c in enumerate(part, start)
        if c != "$" or at in money or text[at - 1 : at] == "\\"
    ).strip()
