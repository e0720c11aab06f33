"""Reads formulas, from tokens to an exact value, by recursive descent.

    sum      := ["+"|"-"] product (("+"|"-"|"±") product)*
    product  := power ((["*"|"/"]) power)*
    power    := factor ("!" | "°" | "^" factor)*
    factor   := number | name | FUNCTION factor | "(" sum ")" | "|" sum "|"

It evaluates as it reads and never runs anything; what is not known raises `NotAFormula`."""

from __future__ import annotations

import re

from lm_eval_tts.grading import functions, values
from lm_eval_tts.grading.cursor import (
    BRACKETS,
    FIRST_IDEOGRAM,
    FUNCTION_NAMES,
    GREEK_NAMES,
    NO_SYMBOLS,
    ORDINALS,
    Cursor,
    script,
    spelled_name,
)
from lm_eval_tts.grading.functions import FUNCTIONS, binomial
from lm_eval_tts.grading.tokens import NUMBERS, Token
from lm_eval_tts.grading.values import NotAFormula, TooLarge, Value, power, rational

MAX_DEPTH = 30
EITHER_SIGN = ("\\pm", "\\mp")
CONSTANTS = {"pi": values.PI} | dict.fromkeys(("infty", "infinity", "oo"), values.INFINITY)
CONSTANTS |= {"i": values.IMAGINARY_UNIT, "e": values.E}
_DERIVATIVE = re.compile(r"\{(d|\\partial)[A-Za-z]?\}\{\1[A-Za-z][^+*/{}]{0,4}\}")
_CALLED = frozenset("fghpqFGHPQ")  # letters that are functions before a parenthesis


class FormulaReader(Cursor):
    """Each method raises NotAFormula and TooLarge."""

    def sum(self) -> Value:
        """Read a sum."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge("nested too deep")
        total = rational(0) if self.peek().kind in EITHER_SIGN else self.product()
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
        is_cross = is_cross and (word.spaced or after.text == "10")  # 3 x 10^8
        is_times = is_cross or (word.kind == "*" and after.kind != "MATRIX")
        self.at += is_times
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
                base = functions.factorial(base)
            elif self.take("°"):
                base *= values.DEGREE
            elif self.peek().kind in ("SUPER", "^"):
                base = self._raised(base)
            else:
                return base

    def _raised(self, base: Value) -> Value:
        braced = self.peek(1).kind == "{"
        mark = self.peek(1 + braced)
        is_mark = mark.kind in ("°", "\\top") or mark.text in ("th", *ORDINALS.values())
        if self.peek().kind == "SUPER" or not is_mark:
            return power(base, self.exponent())
        self.at += 4 if braced else 2  # 60^\circ, 5^{th}
        return base * values.DEGREE if mark.kind == "°" else base

    def exponent(self) -> Value:
        """Read a raised number, or what is after ^."""
        if self.take("SUPER"):
            return self._script()
        self.expect("^")
        negative = self.take("-")
        value = self.group("{") if self.peek().kind == "{" else self.factor()
        if self.peek().kind == "^":
            value = power(value, self.exponent())
        return -value if negative else value

    def _script(self) -> Value:
        """The number of the raised or lowered characters that were passed."""
        text = script(self.peek(-1).text)
        if not text.lstrip("+-").isdecimal() or len(text) > 9:
            return values.free(text)
        return rational(int(text))

    def group(self, opening: str) -> Value:
        """Read a sum in brackets, or two with the infix commands of plain TeX between them."""
        self.expect(opening)
        value = self.sum()
        if infix := self.take("\\choose", "\\over"):
            other = self.sum()
            value = binomial(value, other) if infix == "\\choose" else value / other
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
            value = functions.absolute(self.group("|"))
        elif token.kind in NUMBERS:
            value = self.number()
        elif token.kind.startswith("\\") or token.kind == "WORD":
            value = self.name(token)
        else:
            raise NotAFormula(token.text)
        self.depth -= 1
        return value

    def name(self, token: Token) -> Value:
        """Read what a word or command stands for."""
        self.at += 1
        name, is_word = spelled_name(token), token.kind == "WORD"
        if name in ("frac", "binom") and not is_word:
            return self._stacked(name)
        if name in ("sqrt", "cbrt"):
            return self._root(token)
        if name in ("lfloor", "lceil"):
            value = self.sum()
            self.expect(f"\\r{name[1:]}")
            return functions.rounded(name[1:], value)
        if name in CONSTANTS and len(name) > 1:
            return CONSTANTS[name]
        if name in FUNCTIONS:
            return self._applied(name)
        is_command = name.isalpha() and token.kind not in NO_SYMBOLS and self.peek().kind != "{"
        is_letter = len(name) == 1 and name < FIRST_IDEOGRAM
        if name in GREEK_NAMES or (is_letter if is_word else is_command):
            return self._symbol(name)  # \hbar, \ell and what else there is
        self.at -= 1
        if not is_word or not self.is_symbolic():
            raise NotAFormula(name)
        known = (n for n in FUNCTION_NAMES if name.startswith(n) and len(n) > 2 and n.islower())
        self.split(len(next(known, name[0])))
        return self.name(self.peek())

    def _stacked(self, name: str) -> Value:
        spelled, end = "", self.at  # dy/dx is one symbol, not a quotient
        while end < len(self.tokens) and spelled.count("}") < 2:
            spelled, end = spelled + self.tokens[end].text, end + 1
        if name == "frac" and _DERIVATIVE.fullmatch(spelled):
            self.at = end
            return values.free(f"derivative {spelled}")
        top = self.argument()
        bottom = self.argument()
        return top / bottom if name == "frac" else binomial(top, bottom)

    def _root(self, token: Token) -> Value:
        degree = self.group("[") if self.peek().kind == "[" else rational(2)
        degree = rational(3) if "cbrt" in (token.text, token.kind[1:]) else degree
        radicand = self.argument() if token.text.startswith("\\") else self.factor()
        return power(radicand, rational(1) / degree)

    def _symbol(self, name: str) -> Value:
        primes = (["'"], ["^", "'"], ["^", "{", "'", "}"])
        while any(self.take_all(*prime) for prime in primes):
            name += "'"
        if self.take("SUB"):
            name += f"_{script(self.peek(-1).text)}"
        elif self.take("_"):
            name += f"_{self._subscript()}"
        if name in self.known:
            return self.known[name]
        if name[0] in _CALLED and "".join(self.peek(k).text for k in range(6)) == "^{-1}(":
            self.at += 5
            return self._called(f"{name}^-1")
        if self.peek().kind == "(" and not self.peek().spaced and self._is_function(name):
            return self._called(name)
        return CONSTANTS.get(name) or values.free(name)

    def _subscript(self) -> str:
        start, braced = self.at, self.peek().kind == "{"
        is_formula = self.peek(1).mode != "text" and len(self.peek(1).text) < 2
        if braced and is_formula and self.peek(2).kind != "}":
            try:
                return str(self.group("{").key)
            except NotAFormula:
                self.at = start
        end = start
        while braced and end < len(self.tokens) - 1 and self.tokens[end].kind != "}":
            end += 1
        following = self.peek(1 + (end - start)).kind
        if not braced and self.peek().text.isalpha() and following in ("_", "^", "SUB", "SUPER"):
            self.split(1)  # as TeX reads F_kF_n
        self.at = end + 1
        name = "".join(t.text for t in self.tokens[start + braced : end + (not braced)])
        return str(self.known[name].key) if name in self.known else name

    def _is_function(self, name: str) -> bool:
        """Whether a letter before a parenthesis is a function: f(0), P(x), but not x(x+1)."""
        inner, closing = self.peek(1).text, self.peek(2).kind
        is_single = closing == ")" and len(inner) == 1 and (inner.isalpha() or name.isupper())
        is_command = len(name) > 2 and name not in GREEK_NAMES and name.isalpha()
        return (
            name[0] in _CALLED or is_single or is_command or (inner in _CALLED and closing == "(")
        )

    def _called(self, name: str) -> Value:
        return values.free(f"{name}({', '.join(str(value.key) for value in self._arguments())})")

    def _arguments(self) -> list[Value]:
        self.expect("(", "{{")
        found = [self.sum()]
        while self.take(","):
            found.append(self.sum())
        self.expect(")", "}}")
        return found

    def _applied(self, name: str) -> Value:
        base = exponent = None
        for _ in range(2):
            if self.take("SUB"):
                base = self._script()
            elif self.take("_"):
                base = self.argument()
            elif self.peek().kind in ("SUPER", "^"):
                exponent = self.exponent()
        if exponent is not None and exponent.constant == -1:
            name, exponent = f"arc{name}", None
        is_bracketed = self.peek().kind in BRACKETS
        argument = self.group(self.peek().kind) if is_bracketed else self._bare_argument()
        result = functions.apply(name, argument)
        result = result if base is None else result / functions.apply("log", base)
        return result if exponent is None else power(result, exponent)

    def _bare_argument(self) -> Value:
        """The argument of a function without brackets: factors up to an operator or function."""
        value = self.signed()
        while self.starts_factor() and self.peek().kind != "(":
            if spelled_name(self.peek()) in FUNCTIONS:
                break
            value *= self.power()
        return value
