"""A place in the tokens of an answer, and what may start a factor there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction

from lm_eval_tts.grading.functions import FUNCTIONS
from lm_eval_tts.grading.lexicon import NOTATION, words_of
from lm_eval_tts.grading.tokens import GREEK, NUMBERS, SCRIPTS, Token
from lm_eval_tts.grading.units import unit_of
from lm_eval_tts.grading.values import NotAFormula, TooLarge, Value

BRACKETS = {"(": ")", "[": "]", "{": "}"}
NO_SYMBOLS = frozenset(f"\\{name}" for name in words_of("no_symbols"))
BINDERS = {"\\sum": "sum", "\\prod": "prod", "\\int": "int", "\\lim": "lim"}
ALIASES: dict[str, str] = NOTATION["aliases"]
GREEK_NAMES = frozenset(GREEK.values())
FUNCTION_NAMES = (
    *sorted((*FUNCTIONS, *ALIASES, "sqrt", "pi"), key=len, reverse=True),
    *("infinity", "oo"),
)
SHORT = words_of("short_words")
_NAME_PREFIXES = tuple(name for name in FUNCTION_NAMES if len(name) > 2 and name.islower())
_STARTS = frozenset(
    [*BRACKETS, *BINDERS, "\\infty", "\\sqrt", "\\cbrt", "\\frac", "\\binom", "\\lfloor", "\\lceil"]
)
ORDINALS = ("st", "nd", "rd", "th")
FIRST_IDEOGRAM = "\u2e80"  # Chinese and Japanese words are no variables
_VALUES = (*NUMBERS, "WORD", "}", ")", "°", "SUPER")  # what a unit comes after
_CYCLE = re.compile(r"(\d*?)(\d{1,6}?)\2+(?=\.|…|\\)")
_FRACTIONS = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
END = Token("END", "")


def spelled_name(token: Token) -> str:
    """Return the name of a word or command, Greek letters spelled out."""
    name = (token.kind if token.kind.startswith("\\") else token.text).lstrip("\\")
    name = GREEK.get(name, name)
    return ALIASES.get(name) or name


class Cursor:
    """A place in tokens. sign: what ± means. known: values of bound variables."""

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

    def take_all(self, *kinds: str) -> bool:
        """Pass tokens of these kinds or texts, if they are the next ones."""
        following = [self.peek(ahead) for ahead in range(len(kinds))]
        if any(kind not in (t.kind, t.text) for kind, t in zip(kinds, following, strict=True)):
            return False
        self.at += len(kinds)
        return True

    def expect(self, *kinds: str) -> str:
        """Pass a token of one of these kinds. Raises NotAFormula."""
        if not (found := self.take(*kinds)):
            raise NotAFormula(self.peek().text)
        return found

    def split(self, size: int) -> None:
        """Take the first letters or digits of a token as one of their own."""
        token = self.peek()
        kind = "NUMBER" if token.text[0].isdigit() else "WORD"
        self.tokens[self.at : self.at + 1] = [
            token._replace(kind=kind, text=token.text[:size]),
            token._replace(text=token.text[size:], spaced=False),
        ]

    def unit_at(self, ahead: int) -> bool:
        """Whether a unit of several letters, or in text mode, stands there."""
        token = self.peek(ahead)
        is_word = token.kind == "WORD" and (len(token.text) > 1 or token.mode == "text")
        return is_word and self.depth <= 1 and unit_of(token.text) is not None

    def starts_factor(self) -> bool:
        """Say whether a factor starts here, after another one."""
        token, following = self.peek(), self.peek(1)
        if token.kind in NUMBERS:
            if self.peek(-1).kind in (*NUMBERS, "WORD"):
                raise NotAFormula("a number after a number or a letter")
            return True
        if token.kind == "WORD":
            return not self.unit_at(0) and self.is_symbolic()
        is_aside = token.kind == "(" and token.spaced and following.kind == "WORD"
        if is_aside and len(following.text) > 1:  # 12 (or 13), 12 (twelve)
            return following.text in FUNCTION_NAMES
        if token.kind in _STARTS or self.is_symbolic():
            return True
        is_command = token.kind[0] == "\\" and token.kind[1:].isalpha()
        return is_command and token.kind not in NO_SYMBOLS and following.kind != "{"

    def is_symbolic(self) -> bool:
        """Whether a word is a function, a letter or a product of letters rather than prose."""
        token = self.peek()
        name = spelled_name(token)
        if token.kind != "WORD":
            return token.kind[0] == "\\" and (name in FUNCTION_NAMES or name in GREEK_NAMES)
        if name >= FIRST_IDEOGRAM:
            return False
        if name in FUNCTION_NAMES or len(name) == 1:
            return True
        if token.mode == "text" or not name.isalpha() or name.lower() in SHORT:
            return False
        if name in GREEK_NAMES:
            return True
        if self.unit_at(0) and self.peek(-1).kind in _VALUES:
            return False
        if len(name) <= 2 or (name.startswith(_NAME_PREFIXES) and len(name) < 6):
            return True
        glued = not token.spaced and self.peek(-1).kind not in ("END", "WORD", ",")
        glued = glued or (self.peek(1).kind in ("^", "SUPER", "*") and not self.peek(1).spaced)
        has_vowel = any(c in "aeiouy" for c in name.lower())
        return len(name) <= 4 and (not has_vowel or glued or (name.isupper() and len(name) < 4))

    def number(self) -> Fraction:
        """Pass a number, with its fraction: 2 1/2, 2½, 2 and 1/2, 2\\frac12. Raises TooLarge."""
        token = self.peek()
        self.at += 1
        number = number_of(token)
        if self.peek().text in _ordinals(token.text) and not self.peek().spaced:
            self.at += 1
        is_whole = token.kind != "REPEATING" and number.denominator == 1 and "." not in token.text
        return number + self._fraction() if is_whole else number

    def _fraction(self) -> Fraction:
        start, token, joint = self.at, self.peek(), int(self.peek().text == "and")
        digits: list[str] = []
        if token.kind == "NUMBER" and token.text in _FRACTIONS:
            self.at += 1
            return number_of(token)
        if self.peek(joint).spaced and self.peek(joint + 1).kind == "/":
            digits = [self.peek(joint).text, self.peek(joint + 2).text]
            self.at += joint + 3
        elif self.take_all("\\frac", "{", "NUMBER", "}", "{", "NUMBER", "}"):
            digits = [self.peek(-5).text, self.peek(-2).text]
        elif self.take_all("\\frac", "NUMBER"):
            digits = list(self.peek(-1).text)
        if len(digits) == 2 and all(d.isdecimal() for d in digits) and int(digits[1]):
            return Fraction(int(digits[0]), int(digits[1]))
        self.at = start
        return Fraction(0)


def _ordinals(digits: str) -> tuple[str, ...]:
    """The endings that make an ordinal of a number: 21st, but not 24st."""
    return ("th", {"1": "st", "2": "nd", "3": "rd"}.get(digits[-1:], "th"))


def script(text: str) -> str:
    """Return raised or lowered characters as plain ones."""
    return "".join(SCRIPTS[c] for c in text)


def whole(text: str) -> int:
    """Return the whole number of a script. Raises NotAFormula."""
    if not text.lstrip("+-").isdecimal() or len(text) > 9:
        raise NotAFormula(text)
    return int(text)


def number_of(token: Token) -> Fraction:
    """Return the number that a token is. Raises TooLarge."""
    text = token.text
    if text in _FRACTIONS:
        return Fraction(unicodedata.numeric(text)).limit_denominator(10)
    if token.kind == "EUROPEAN":
        text = re.sub(r"\{?,\}?", ".", text.replace(".", ""))
    elif token.kind == "GROUPED":
        text = "".join(c for c in text if c.isdecimal() or c == ".")
    elif token.kind == "REPEATING":
        return _repeating(text)
    exponent = text.lower().partition("e")[2]
    if len(text) > 1_000 or (exponent and abs(int(exponent)) > 999):
        raise TooLarge("digits")
    return Fraction(text)


def _repeating(text: str) -> Fraction:
    whole_part, _, rest = text.partition(".")
    *before, cycle = re.findall(r"\d+", rest)
    if not before and (match := _CYCLE.match(rest)):  # 0.1666...
        before, cycle = [match[1]], match[2]
    fixed = "".join(before)
    scale = 10 ** len(fixed)
    tail = Fraction(int(cycle), (10 ** len(cycle) - 1) * scale)
    return Fraction(int((whole_part or "0") + fixed), scale) + tail
