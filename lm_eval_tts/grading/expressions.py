"""Reads a formula, in LaTeX or plain text, into an exact value.

A recursive-descent parser over cleaned text (see `normalize`); it evaluates as it reads and
never runs anything. What it does not know (prose, integrals, matrices) raises `NotAFormula`.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache

from lm_eval_tts.grading import values
from lm_eval_tts.grading.functions import (
    FUNCTIONS,
    NotAFormula,
    absolute,
    apply,
    binomial,
    degree,
    factorial,
)
from lm_eval_tts.grading.powers import power
from lm_eval_tts.grading.values import TooLarge, Value

MAX_LENGTH = 1_000
MAX_DEPTH = 30

WORDS = (*FUNCTIONS, "sqrt", "pi", "binom")
_GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu "
    "nu xi rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma "
    "Phi Psi Omega"
)
GREEK = _GREEK.split()
TIMES = ("\\cdot", "\\times", "\\ast", "*")
OVER = ("\\div", "/")

_NUMBER = re.compile(
    r"(\d*)\.(\d*)\\overline\s*\{?(\d+)\}?|\d+(?:\.\d*)?(?:[eE][+-]?\d{1,4}(?![\d.]))?|\.\d+"
)
_COMMAND = re.compile(r"\\[A-Za-z]+|[A-Za-z]+")
_MIXED = re.compile(r"\s*\\frac\s*(?:\{(\d+)\}\s*\{(\d+)\}|(\d)(\d))")
_SUBSCRIPT = re.compile(r"_(?:\{([^{}]{1,30})\}|([A-Za-z0-9]))")


@lru_cache(maxsize=20_000)
def read_value(text: str) -> Value | None:
    """Return the value of a formula; None if it is not one. Raises TooLarge for a huge one."""
    if len(text) > MAX_LENGTH:
        return None
    try:
        parser = _Parser(text)
        value = parser.sum()
        return value if parser.at_end() else None
    except (NotAFormula, RecursionError):
        return None


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def at_end(self) -> bool:
        self.skip()
        return self.at == len(self.text)

    def take(self, *tokens: str) -> str | None:
        self.skip()
        for token in tokens:
            end = self.at + len(token)
            if self.text.startswith(token, self.at):
                if token[-1].isalpha() and self.text[end : end + 1].isalpha():
                    continue
                self.at = end
                return token
        return None

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise NotAFormula(f"no {token} at {self.at}")

    def sum(self) -> Value:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge("nested too deep")
        total = self.product()
        while sign := self.take("+", "-"):
            term = self.product()
            total = values.add(total, term if sign == "+" else values.negate(term))
        self.depth -= 1
        return total

    def product(self) -> Value:
        value = self.signed()
        while True:
            if self.take("**"):
                raise NotAFormula("power of a power")
            if self.take(*TIMES):
                value = values.multiply(value, self.signed())
            elif self.take(*OVER):
                value = values.divide(value, self.signed())
            elif self.starts_factor():
                value = values.multiply(value, self.power())
            else:
                return value

    def signed(self) -> Value:
        negative = False
        while sign := self.take("-", "+"):
            negative ^= sign == "-"
        value = self.power()
        return values.negate(value) if negative else value

    def starts_factor(self) -> bool:
        self.skip()
        rest = self.text[self.at : self.at + 8]
        if not rest or rest.startswith((*TIMES, *OVER)):
            return False
        if rest[0] in "0123456789." and self.text[: self.at].rstrip()[-1:].isalnum():
            raise NotAFormula("a number behind a number or a letter")
        return rest[0].isalnum() or rest[0] in "({[\\."

    def power(self) -> Value:
        base = self.factor()
        while True:
            if self.take("!"):
                base = factorial(base)
            elif self.take("^\\circ", "^{\\circ}", "\\circ", "\\degree"):
                base = values.multiply(base, degree())
            elif self.take("^", "**"):
                return power(base, self.exponent())
            else:
                return base

    def exponent(self) -> Value:
        negative = self.take("-")
        value = self.argument()
        return values.negate(value) if negative else value

    def argument(self) -> Value:
        """What a command takes: a group in braces or one factor."""
        return self.group("{", "}") if self.take("{") else self.factor()

    def tex_argument(self) -> Value:
        """As TeX reads it: one digit where there are no braces."""
        self.skip()
        if self.text[self.at : self.at + 1].isdecimal():
            self.at += 1
            return values.rational(int(self.text[self.at - 1]))
        return self.argument()

    def group(self, opening: str, closing: str) -> Value:
        value = self.sum()
        self.expect(closing)
        return value

    def factor(self) -> Value:
        self.depth += 1
        if self.depth > 3 * MAX_DEPTH:
            raise TooLarge("nested too deep")
        try:
            return self.bracketed() or self.numeral() or self.named()
        finally:
            self.depth -= 1

    def bracketed(self) -> Value | None:
        for opening, closing in (("(", ")"), ("[", "]"), ("{", "}")):
            if self.take(opening):
                return self.group(opening, closing)
        if self.take("|", "\\lvert"):
            value = self.sum()
            if not self.take("|", "\\rvert"):
                raise NotAFormula("open bars")
            return absolute(value)
        return None

    def numeral(self) -> Value | None:
        self.skip()
        match = _NUMBER.match(self.text, self.at)
        if not match:
            return None
        self.at = match.end()
        number = _repeating(match) if match.group(3) else Fraction(_sized(match.group()))
        mixed = _MIXED.match(self.text, self.at) if number.denominator == 1 else None
        if mixed and int(mixed.group(2) or mixed.group(4)):
            self.at = mixed.end()
            parts = [int(part) for part in mixed.groups() if part]
            number += Fraction(parts[0], parts[1])
        return values.rational(number)

    def named(self) -> Value:
        self.skip()
        match = _COMMAND.match(self.text, self.at)
        if not match:
            raise NotAFormula(f"nothing known at {self.at}")
        word = match.group().lstrip("\\")
        is_command = match.group()[0] == "\\"
        if word in WORDS or (is_command and word in ("frac", "infty", "lfloor", "lceil")):
            self.at = match.end()
            return self.command(word)
        if is_command and word not in GREEK:
            raise NotAFormula(word)
        if not is_command:
            known = next((w for w in WORDS if word.startswith(w) and len(w) > 2), None)
            word = known or (word[0] if len(word) <= 4 else "")
            if not word:
                raise NotAFormula("a word")
        self.at += len(word) + is_command
        return self.command(word) if word in WORDS else self.symbol(word)

    def symbol(self, name: str) -> Value:
        while self.take("'"):
            name += "'"
        if match := _SUBSCRIPT.match(self.text, self.at):
            self.at = match.end()
            return values.free(f"{name}_{match.group(1) or match.group(2)}")
        if name == "i":
            return values.imaginary_unit()
        return values.constant("e", math.e) if name == "e" else values.free(name)

    def command(self, word: str) -> Value:
        if word == "frac":
            top = self.tex_argument()
            return values.divide(top, self.tex_argument())
        if word == "sqrt":
            degree = self.group("[", "]") if self.take("[") else values.rational(2)
            return power(self.argument(), values.divide(values.rational(1), degree))
        if word == "binom":
            top = self.tex_argument()
            return binomial(top, self.tex_argument())
        if word == "pi":
            return values.constant("π", math.pi)
        if word == "infty":
            return values.free("∞")
        if word in ("lfloor", "lceil"):
            return self.rounded(word)
        return self.applied(word)

    def rounded(self, word: str) -> Value:
        value = self.sum()
        self.expect("\\rfloor" if word == "lfloor" else "\\rceil")
        if value.constant is None:
            raise NotAFormula("rounding of an unknown")
        rule = math.floor if word == "lfloor" else math.ceil
        return values.rational(rule(value.constant))

    def applied(self, name: str) -> Value:
        base = exponent = None
        for _ in range(2):
            if self.take("_"):
                base = self.argument()
            elif self.take("^"):
                exponent = self.exponent()
        if exponent is not None and exponent.constant == -1:
            name, exponent = f"arc{name}", None
            if name not in FUNCTIONS:
                raise NotAFormula(name)
        argument = self.bracketed() or self.bare_argument()
        result = apply(name, argument)
        if base is not None:
            result = values.divide(result, apply("log", base))
        return result if exponent is None else power(result, exponent)

    def bare_argument(self) -> Value:
        """The argument of a function without brackets: factors up to an operator or function."""
        value = self.power()
        while self.starts_factor() and self.text[self.at] not in "(":
            match = _COMMAND.match(self.text, self.at)
            if match and match.group().lstrip("\\") in FUNCTIONS:
                break
            value = values.multiply(value, self.power())
        return value


def _sized(digits: str) -> str:
    if len(digits) > 1_000 or (
        "e" in digits.lower() and abs(int(digits.lower().split("e")[1])) > 999
    ):
        raise TooLarge("digits")
    return digits


def _repeating(match: re.Match[str]) -> Fraction:
    whole, fixed, cycle = match.group(1) or "0", match.group(2), match.group(3)
    _sized(whole + fixed + cycle)
    scale = 10 ** len(fixed)
    tail = Fraction(int(cycle), (10 ** len(cycle) - 1) * scale)
    return Fraction(int(whole + fixed), scale) + tail
