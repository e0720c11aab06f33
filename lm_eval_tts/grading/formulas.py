"""Reads a formula, from tokens to an exact value, by recursive descent.

    sum      := ["+"|"-"] product (("+"|"-"|"±") product)*
    product  := power ((["*"|"/"]) power)*
    power    := factor ("!" | "°" | "^" factor)*
    factor   := number | name | FUNCTION factor | "(" sum ")" | "|" sum "|"

It evaluates as it reads and never runs anything. What it does not know raises `NotAFormula`.
"""

from __future__ import annotations

from fractions import Fraction

from lm_eval_tts.grading import values
from lm_eval_tts.grading.cursor import BRACKETS, NUMBERS, Cursor, number_of, script, whole
from lm_eval_tts.grading.functions import NotAFormula, absolute, binomial, factorial
from lm_eval_tts.grading.powers import power
from lm_eval_tts.grading.symbols import symbol
from lm_eval_tts.grading.tokens import Token
from lm_eval_tts.grading.values import TooLarge, Value

MAX_DEPTH = 30


class FormulaReader(Cursor):
    """The levels of a formula."""

    def sum(self) -> Value:
        """Read a sum. Raises NotAFormula and TooLarge, as all that follow."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge("nested too deep")
        total = values.rational(0) if self.peek().kind == "\\pm" else self.product()
        while sign := self.take("+", "-", "\\pm"):
            minus = sign == "-" or (sign == "\\pm" and self.sign < 0)
            term = self.product()
            total = values.add(total, values.negate(term) if minus else term)
        self.depth -= 1
        return total

    def product(self) -> Value:
        """Read a product."""
        value = self.signed()
        while True:
            if self._times():
                value = values.multiply(value, self.signed())
            elif self._over():
                value = values.divide(value, self.signed())
            elif self.starts_factor():
                value = values.multiply(value, self.power())
            else:
                return value

    def _times(self) -> bool:
        if self.take("*"):
            return True
        word, before, after = self.peek(), self.peek(-1), self.peek(1)
        is_cross = word.text in ("x", "X") and before.kind in NUMBERS and after.kind in NUMBERS
        if is_cross and (word.spaced or after.text == "10"):  # 3 x 10^8
            self.at += 1
            return True
        return False

    def _over(self) -> bool:
        if self.peek().text == "out" and self.peek(1).text == "of":
            self.at += 2
            return True
        if self.peek().kind == "/" and not self.unit_at(1):
            self.at += 1
            return True
        return False

    def signed(self) -> Value:
        """Read a factor with signs before it."""
        negative = False
        while sign := self.take("-", "+", "minus", "negative"):
            negative ^= sign != "+"
        value = self.power()
        return values.negate(value) if negative else value

    def power(self) -> Value:
        """Read a factor with its powers."""
        base = self.factor()
        while True:
            if self.peek().kind == "!" and self.peek(1).kind != "!":
                self.at += 1
                base = factorial(base)
            elif self.take("°"):
                base = values.multiply(base, values.DEGREE)
            elif self.peek().kind == "SUPER":
                raised = script(self.peek().text)
                self.at += 1
                base = power(
                    base, values.free("n") if raised == "n" else values.rational(whole(raised))
                )
            elif self.take("^"):
                base = self._raised(base)
            else:
                return base

    def _raised(self, base: Value) -> Value:
        braced = self.peek().kind == "{"
        mark = self.peek(int(braced))
        if mark.kind in ("°", "\\top") or mark.text in ("st", "nd", "rd", "th"):  # 60^\circ, 5^{th}
            self.at += 3 if braced else 1
            return values.multiply(base, values.DEGREE) if mark.kind == "°" else base
        return power(base, self.exponent())

    def exponent(self) -> Value:
        """Read what is after ^."""
        negative = self.take("-")
        value = self.group("{", "}") if self.peek().kind == "{" else self.factor()
        if self.take("^"):
            value = power(value, self.exponent())
        return values.negate(value) if negative else value

    def group(self, opening: str, *closing: str) -> Value:
        """Read a sum in brackets."""
        self.expect(opening)
        value = self.sum()
        self.expect(*closing)
        return value

    def argument(self) -> Value:
        """What a command takes: a group, or as TeX reads it one digit or letter."""
        token = self.peek()
        if token.kind == "{":
            return self.group("{", "}")
        if token.text[:1].isalnum() and len(token.text) > 1 and token.text[0] != "\\":
            self.tokens[self.at : self.at + 1] = [
                token._replace(
                    text=token.text[0], kind="NUMBER" if token.text[0].isdigit() else "WORD"
                ),
                token._replace(text=token.text[1:]),
            ]
        return self.factor()

    def factor(self) -> Value:
        """Read a number, a name or brackets."""
        self.depth += 1
        if self.depth > 3 * MAX_DEPTH:
            raise TooLarge("nested too deep")
        token = self.peek()
        if token.kind in BRACKETS:
            value = self.bracketed(token.kind)
        elif token.kind == "|":
            value = absolute(self.group("|", "|"))
        elif token.kind in NUMBERS:
            value = self._number(token)
        elif token.kind.startswith("\\") or token.kind == "WORD":
            value = symbol(self, token)
        else:
            raise NotAFormula(token.text)
        self.depth -= 1
        return value

    def bracketed(self, opening: str) -> Value:
        """Read a sum in brackets of a kind, or "n choose k" in them."""
        self.expect(opening)
        value = self.sum()
        if self.take("\\choose"):
            value = binomial(value, self.sum())
        self.expect(*BRACKETS[opening])
        return value

    def _number(self, token: Token) -> Value:
        self.at += 1
        number = number_of(token)
        if self.peek().text in ("st", "nd", "rd", "th") and not self.peek().spaced:
            self.at += 1
        if number.denominator != 1 or token.kind == "REPEATING" or "." in token.text:
            return values.rational(number)
        if self.peek().text in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞" and self.peek().text:
            number += number_of(self.peek())
            self.at += 1
        mixed = 1 if self.peek().text == "and" else 0  # 2 1/2, 2 and 1/2
        top, over, bottom = (self.peek(mixed + k) for k in range(3))
        if (
            top.kind == bottom.kind == "NUMBER"
            and over.kind == "/"
            and top.spaced
            and int(bottom.text or 0)
        ):
            self.at += mixed + 3
            number += Fraction(int(top.text), int(bottom.text))
        elif self.peek().kind == "\\frac" and (part := self._numeric_fraction()):
            number += part
        return values.rational(number)

    def _numeric_fraction(self) -> Fraction | None:
        start, saved = self.at, list(self.tokens)
        self.at += 1
        top, bottom = self.argument().constant, self.argument().constant
        if top is not None and bottom and top.denominator == bottom.denominator == 1:
            return top / bottom
        self.at, self.tokens = start, saved
        return None
