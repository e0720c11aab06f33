"""A place in the tokens of an answer, and what may start a factor there."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction

from lm_eval_tts.grading.functions import FUNCTIONS, NotAFormula
from lm_eval_tts.grading.tokens import GREEK, LOWERED, RAISED, Token, words_of
from lm_eval_tts.grading.units import is_unit
from lm_eval_tts.grading.values import TooLarge, Value

MAX_SUMMANDS = 200  # of a finite sum that is worked out
NUMBERS = ("NUMBER", "GROUPED", "REPEATING", "EUROPEAN")
BRACKETS = {"(": (")",), "[": ("]",), "{": ("}",)}
# Commands that are no symbols although they are not known as anything else.
NO_SYMBOLS = frozenset(
    f"\\{name}"
    for name in words_of(
        "to cup cap in pm emptyset setminus choose begin end mod pmod bmod text equiv "
        "rfloor rceil lfloor lceil infty frac sqrt cbrt binom mathbb overline dots ldots "
        "cdots forall exists nmid R reals Reals Z iint oint max min gcd lcm log not item "
        "hline angle triangle star oplus otimes diamond bullet clubsuit parallel perp"
    )
)
BINDERS = {"\\sum": "sum", "\\prod": "prod", "\\int": "int", "\\lim": "lim"}
ALIASES = {
    "tg": "tan",
    "ctg": "cot",
    "cosec": "csc",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
}
FUNCTION_NAMES = (
    *sorted((*FUNCTIONS, *ALIASES, "sqrt", "pi"), key=len, reverse=True),
    "infinity",
    "oo",
)
# Words of two letters that are no products of variables.
SHORT = frozenset(
    words_of("no on in is it up at to by of me he so go do we as an us or if be my am pm")
)
END = Token("END", "", 0, 0, False, "")


def spelled_name(token: Token) -> str:
    """Return the name of a word or command, Greek letters spelled out."""
    name = (token.kind if token.kind.startswith("\\") else token.text).lstrip("\\")
    name = GREEK.get(name, name)
    return (
        "epsilon"
        if name == "varepsilon"
        else "phi"
        if name == "varphi"
        else ALIASES.get(name, name)
    )


class Cursor(ABC):
    """A place in tokens. sign: what ± means. known: values of bound variables.

    The abstract methods are the levels of a formula, which `formulas` reads.
    """

    def __init__(self, found: Sequence[Token], sign: int = 1) -> None:
        self.tokens, self.at, self.depth, self.sign = list(found), 0, 0, sign
        self.known: dict[str, Value] = {}

    def peek(self, ahead: int = 0) -> Token:
        """Return the token some places ahead."""
        at = self.at + ahead
        return self.tokens[at] if 0 <= at < len(self.tokens) else END

    def take(self, *kinds: str) -> str | None:
        """Pass a token of one of these kinds, and return it; None if there is another."""
        token = self.peek()
        if token.kind in kinds or (token.kind == "WORD" and token.text in kinds):
            self.at += 1
            return token.text if token.kind == "WORD" else token.kind
        return None

    def expect(self, *kinds: str) -> str:
        """Pass a token of one of these kinds. Raises NotAFormula."""
        if not (found := self.take(*kinds)):
            raise NotAFormula(self.peek().text)
        return found

    @abstractmethod
    def sum(self) -> Value:
        """Read a sum. Raises NotAFormula and TooLarge, as all that follow."""

    @abstractmethod
    def product(self) -> Value:
        """Read a product."""

    @abstractmethod
    def signed(self) -> Value:
        """Read the sign and the first factor of an argument without brackets."""

    @abstractmethod
    def power(self) -> Value:
        """Read a factor with what is raised or stands after it."""

    @abstractmethod
    def exponent(self) -> Value:
        """Read what stands after ^."""

    @abstractmethod
    def group(self, opening: str, *closing: str) -> Value:
        """Read a sum in brackets."""

    @abstractmethod
    def bracketed(self, opening: str) -> Value:
        """Read a sum in brackets of a kind, or "n choose k" in them."""

    @abstractmethod
    def argument(self) -> Value:
        """What a command takes: a group, or as TeX reads it one digit or letter."""

    @abstractmethod
    def factor(self) -> Value:
        """Read a number, a name or brackets."""

    def unit_at(self, ahead: int) -> bool:
        """Whether a unit of several letters, or in text mode, stands there."""
        token = self.peek(ahead)
        if (
            token.kind != "WORD"
            or self.depth > 1
            or (len(token.text) == 1 and token.mode != "text")
        ):
            return False
        return is_unit(token.text)

    def starts_factor(self) -> bool:
        """Say whether a factor starts here, after another one."""
        token = self.peek()
        if token.kind in NUMBERS:
            if self.peek(-1).kind in (*NUMBERS, "WORD"):
                raise NotAFormula("a number after a number or a letter")
            return True
        if token.kind == "WORD":
            return not self.unit_at(0) and self.is_symbolic()
        if (
            token.kind == "("
            and token.spaced
            and self.peek(1).kind == "WORD"
            and len(self.peek(1).text) > 1
        ):
            return self.peek(1).text in FUNCTION_NAMES  # an aside: 12 (or 13), 12 (twelve)
        if token.kind[1:].isalpha() and token.kind[0] == "\\" and token.kind not in NO_SYMBOLS:
            return self.peek(1).kind != "{"
        known = (
            "(",
            "[",
            "{",
            "\\infty",
            "\\sqrt",
            "\\cbrt",
            "\\frac",
            "\\binom",
            "\\lfloor",
            "\\lceil",
        )
        return token.kind in known or token.kind in BINDERS or self.is_symbolic()

    def is_symbolic(self) -> bool:
        """Whether a word is a function, a letter or a product of letters rather than prose."""
        token = self.peek()
        name = spelled_name(token)
        if token.kind != "WORD":
            return token.kind.startswith("\\") and (
                name in FUNCTION_NAMES or name in GREEK.values()
            )
        if name in FUNCTION_NAMES or len(name) == 1 or name in GREEK.values():
            return token.mode != "text" or len(name) == 1 or name in FUNCTION_NAMES
        if (
            token.mode == "text"
            or "-" in name
            or "'" in name
            or name.lower() in SHORT
            or is_unit(token.text)
        ):
            return False
        if (
            any(
                name.startswith(known)
                for known in FUNCTION_NAMES
                if len(known) > 2 and known.islower()
            )
            and len(name) < 6
        ):
            return True
        glued = not token.spaced and self.peek(-1).kind not in ("END", "WORD", ",")
        glued = glued or (self.peek(1).kind in ("^", "SUPER", "*") and not self.peek(1).spaced)
        vowels = re.search("[aeiouy]", name.lower())
        return len(name) <= 2 or (
            len(name) <= 4 and (not vowels or glued or (name.isupper() and len(name) < 4))
        )


def script(text: str) -> str:
    """Return raised or lowered characters as plain ones."""
    return "".join(RAISED.get(c) or LOWERED[c] for c in text)


def whole(text: str) -> int:
    """Return the whole number of a script. Raises NotAFormula."""
    if not re.fullmatch(r"[-+]?\d{1,9}", text):
        raise NotAFormula(text)
    return int(text)


def number_of(token: Token) -> Fraction:
    """Return the number that a token is."""
    text = token.text
    if token.kind == "EUROPEAN":
        text = text.replace(".", "").replace(",", ".")
    elif token.kind == "GROUPED":
        text = re.sub(r"[^\d.]", "", text)
    elif token.kind == "REPEATING":
        whole, _, rest = text.partition(".")
        fixed = re.match(r"\d*", rest).group()  # type: ignore[union-attr]
        cycle = re.sub(r"\D", "", rest[len(fixed) :])
        scale = 10 ** len(fixed)
        tail = Fraction(int(cycle), (10 ** len(cycle) - 1) * scale)
        return Fraction(int((whole or "0") + fixed), scale) + tail
    elif text in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞":
        return Fraction(unicodedata.numeric(text)).limit_denominator(10)
    exponent = re.search(r"e([+-]?\d+)", text, re.I)
    if len(text) > 1_000 or (exponent and abs(int(exponent.group(1))) > 999):
        raise TooLarge("digits")
    return Fraction(text)
