"""Reads numbers, operators and brackets, from tokens to an exact value, by recursive descent.

    sum      := ["+"|"-"] product (("+"|"-"|"±") product)*
    product  := power ((["*"|"/"]) power)*
    power    := factor ("!" | "°" | "^" factor)*
    factor   := number | name | FUNCTION factor | "(" sum ")" | "|" sum "|"

It evaluates as it reads and never runs anything. Names and functions are for `formulas`.
"""

from __future__ import annotations

from lm_eval_tts.grading import values
from lm_eval_tts.grading.cursor import BRACKETS, ORDINALS, Cursor, script, whole
from lm_eval_tts.grading.functions import absolute, binomial, factorial
from lm_eval_tts.grading.tokens import NUMBERS, Token
from lm_eval_tts.grading.values import NotAFormula, TooLarge, Value, power

MAX_DEPTH = 30
EITHER_SIGN = ("\\pm", "\\mp")


class ArithmeticReader(Cursor):
    """The levels of a formula without names."""

    def sum(self) -> Value:
        """Read a sum. Raises NotAFormula and TooLarge, as all that follow."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge("nested too deep")
        total = values.rational(0) if self.peek().kind in EITHER_SIGN else self.product()
        while sign := self.take("+", "-", *EITHER_SIGN):
            minus = sign == "-" or (sign != "+" and (sign == "\\pm") == (self.sign < 0))
            term = self.product()
            total = total - term if minus else total + term
        self.depth -= 1
        return total

    def product(self) -> Value:
        """Read a product."""
        value = self.signed()
        while True:
            if self._times():
                value *= self.signed()
            elif self.take_all("out", "of") or (not self.unit_at(1) and self.take("/")):
                value /= self.signed()
            elif self.starts_factor():
                value *= self.power()
            else:
                return value

    def _times(self) -> bool:
        word, before, after = self.peek(), self.peek(-1), self.peek(1)
        is_cross = word.text in ("x", "X") and before.kind in NUMBERS and after.kind in NUMBERS
        is_times = word.kind == "*" or (is_cross and (word.spaced or after.text == "10"))
        self.at += is_times  # 3 x 10^8
        return is_times

    def signed(self) -> Value:
        """Read a factor with signs before it."""
        negative = False
        while sign := self.take("-", "+", "minus", "negative"):
            negative ^= sign != "+"
        value = self.power()
        return -value if negative else value

    def power(self) -> Value:
        """Read a factor with its powers."""
        base = self.factor()
        while True:
            if self.peek(1).kind != "!" and self.take("!"):
                base = factorial(base)
            elif self.take("°"):
                base *= values.DEGREE
            elif self.take("SUPER"):
                raised = script(self.peek(-1).text)
                exponent = values.free("n") if raised == "n" else values.rational(whole(raised))
                base = power(base, exponent)
            elif self.take("^"):
                base = self._raised(base)
            else:
                return base

    def _raised(self, base: Value) -> Value:
        braced = self.peek().kind == "{"
        mark = self.peek(int(braced))
        if mark.kind in ("°", "\\top") or mark.text in ORDINALS:  # 60^\circ, 5^{th}
            self.at += 3 if braced else 1
            return base * values.DEGREE if mark.kind == "°" else base
        return power(base, self.exponent())

    def exponent(self) -> Value:
        """Read what is after ^."""
        negative = self.take("-")
        value = self.group("{") if self.peek().kind == "{" else self.factor()
        if self.take("^"):
            value = power(value, self.exponent())
        return -value if negative else value

    def group(self, opening: str) -> Value:
        """Read a sum in brackets, or "n choose k" in them."""
        self.expect(opening)
        value = self.sum()
        if self.take("\\choose"):
            value = binomial(value, self.sum())
        self.expect(BRACKETS.get(opening, opening))
        return value

    def argument(self) -> Value:
        """What a command takes: a group, or as TeX reads it one digit or letter."""
        token = self.peek()
        if token.kind == "{":
            return self.group("{")
        if token.text[:1].isalnum() and len(token.text) > 1:
            self.split(1)
        return self.factor()

    def factor(self) -> Value:
        """Read a number, a name or brackets."""
        self.depth += 1
        if self.depth > 3 * MAX_DEPTH:
            raise TooLarge("nested too deep")
        token = self.peek()
        if token.kind in BRACKETS:
            value = self.group(token.kind)
        elif token.kind == "|":
            value = absolute(self.group("|"))
        elif token.kind in NUMBERS:
            value = values.rational(self.number())
        elif token.kind.startswith("\\") or token.kind == "WORD":
            value = self.name(token)
        else:
            raise NotAFormula(token.text)
        self.depth -= 1
        return value

    def name(self, token: Token) -> Value:
        """Read what a word or command stands for."""
        raise NotAFormula(token.text)
