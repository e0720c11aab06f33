"""Reads formulas: what names, functions, roots, sums and integrals come to.

Nothing is ever run; what is not known raises `NotAFormula`. Sums and products are worked out if
short; they, limits and integrals are else a factor with their parts, for `algebra`.
"""

from __future__ import annotations

import re

from lm_eval_tts.grading import functions, values
from lm_eval_tts.grading.arithmetic import ArithmeticReader
from lm_eval_tts.grading.cursor import (
    BINDERS,
    BRACKETS,
    FIRST_IDEOGRAM,
    FUNCTION_NAMES,
    GREEK_NAMES,
    NO_SYMBOLS,
    script,
    spelled_name,
    whole,
)
from lm_eval_tts.grading.functions import FUNCTIONS, SEVERAL
from lm_eval_tts.grading.tokens import Token
from lm_eval_tts.grading.values import NotAFormula, Value, power

MAX_SUMMANDS = 200  # of a finite sum that is worked out
CONSTANTS = {"pi": values.PI} | dict.fromkeys(("infty", "infinity", "oo"), values.INFINITY)
_DERIVATIVE = re.compile(r"\{(d|\\partial)[A-Za-z]?\}\{\1[A-Za-z][^+*/{}]{0,4}\}")


class FormulaReader(ArithmeticReader):
    """What a word or command stands for."""

    def name(self, token: Token) -> Value:
        """Read what a word or command stands for."""
        self.at += 1
        name, is_word = spelled_name(token), token.kind == "WORD"
        if name in ("frac", "binom") and not is_word:
            return self._stacked(name)
        if name in ("sqrt", "cbrt"):
            return self._root(token)
        if token.kind in BINDERS:
            return self._bound(BINDERS[token.kind])
        if name in ("lfloor", "lceil"):
            value = self.sum()
            self.expect(f"\\r{name[1:]}")
            return functions.rounded(name[1:], value)
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in SEVERAL and not is_word:
            return self._of_several(name)
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
        return top / bottom if name == "frac" else functions.binomial(top, bottom)

    def _root(self, token: Token) -> Value:
        degree = self.group("[") if self.peek().kind == "[" else values.rational(2)
        degree = values.rational(3) if token.kind == "\\cbrt" or token.text == "cbrt" else degree
        radicand = self.argument() if token.text.startswith("\\") else self.factor()
        return power(radicand, values.rational(1) / degree)

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
        if self._is_function(name):
            return self._called(name)
        return {"i": values.IMAGINARY_UNIT, "e": values.E}.get(name) or values.free(name)

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
        if name[0] in "fghFGH" and "".join(self.peek(k).text for k in range(6)) == "^{-1}(":
            return True
        if self.peek().kind != "(" or self.peek().spaced:
            return False
        inner, closing = self.peek(1).text, self.peek(2).kind
        is_single = closing == ")" and len(inner) == 1 and (inner.isalpha() or name.isupper())
        is_unknown = len(name) > 2 and name not in GREEK_NAMES and name.isalpha()  # a command
        is_of_function = inner in ("f", "g", "h") and closing == "("
        return name[0] in "fghpqFGHPQ" or is_single or is_unknown or is_of_function

    def _called(self, name: str) -> Value:
        if self.take("^"):
            self.at += 4
            name += "^-1"
        return values.free(f"{name}({', '.join(str(value.key) for value in self._arguments())})")

    def _arguments(self) -> list[Value]:
        self.expect("(", "{{")
        found = [self.sum()]
        while self.take(","):
            found.append(self.sum())
        self.expect(")", "}}")
        return found

    def _of_several(self, name: str) -> Value:
        return SEVERAL[name](self._arguments())

    def _applied(self, name: str) -> Value:
        base = exponent = None
        for _ in range(2):
            if self.take("SUB"):
                base = values.rational(whole(script(self.peek(-1).text)))
            elif self.take("_"):
                base = self.argument()
            elif self.take("SUPER"):
                exponent = values.rational(whole(script(self.peek(-1).text)))
            elif self.take("^"):
                exponent = self.exponent()
        if exponent is not None and exponent.constant == -1:
            name, exponent = f"arc{name}", None
        is_bracketed = self.peek().kind in BRACKETS
        argument = self.group(self.peek().kind) if is_bracketed else self._bare_argument()
        result = (
            functions.apply(name, argument) if base is None else functions.logarithm(argument, base)
        )
        return result if exponent is None else power(result, exponent)

    def _bare_argument(self) -> Value:
        """The argument of a function without brackets: factors up to an operator or function."""
        value = self.signed()
        while self.starts_factor() and self.peek().kind != "(":
            if spelled_name(self.peek()) in FUNCTIONS:
                break
            value *= self.power()
        return value

    def _bound(self, name: str) -> Value:
        lower = upper = None
        variable = side = ""
        for _ in range(2):
            if self.take("_"):
                side = self._side() if name == "lim" else ""
                variable, lower = self._lower_bound()
            elif self.take("^"):
                upper = self.argument()
        if name == "int":
            return self._integral(lower, upper)
        low, high = lower and lower.constant, upper and upper.constant
        is_expanded = name in ("sum", "prod") and bool(variable)
        if is_expanded and low is not None and high is not None and high - low <= MAX_SUMMANDS:
            return self._expanded(name, variable, int(low), int(high))
        outer = dict(self.known)
        name_inside = f"bound {len(outer)}"
        self.known[variable] = values.free(name_inside)
        body = self.product()
        self.known = outer
        return values.binder(name + side, name_inside, lower, upper, body)

    def _side(self) -> str:
        """Pass the side that a limit comes from: + of x → 0^+, else nothing."""
        for start in range(self.at, min(self.at + 8, len(self.tokens))):
            kinds = [token.kind for token in self.tokens[start : start + 5]]
            for size in (2, 4):
                signs = [kind for kind in kinds[:size] if kind not in ("{", "}")]
                if signs in (["^", "+"], ["^", "-"]) and kinds[size : size + 1] == ["}"]:
                    del self.tokens[start : start + size]
                    return signs[1]
        return ""

    def _lower_bound(self) -> tuple[str, Value]:
        braced, variable = self.take("{"), ""
        if self.peek().kind == "WORD" and self.peek(1).kind in ("=", "\\to"):
            variable = spelled_name(self.peek())
            self.at += 2
        value = self.sum() if braced else self.argument()
        if braced:
            self.expect("}")
        return variable, value

    def _integral(self, lower: Value | None, upper: Value | None) -> Value:
        end = self._differential()
        token, following = self.tokens[end], self.peek(end + 1 - self.at)
        name = spelled_name(token._replace(text=token.text[1:]) if token.text[1:] else following)
        is_numerator = (self.tokens[end - 1].kind, following.kind) == ("{", "}")  # \frac{dx}{x}
        body = type(self)(self.tokens[self.at : None if is_numerator else end], self.sign)
        variable = f"bound {len(self.known)}" if lower or upper else name
        body.known = {**self.known, name: values.free(variable)}
        if is_numerator:
            body.tokens[end - self.at] = Token("NUMBER", "1")
            value = body.product()
            self.at += body.at
        else:
            value = body.sum()
            self.at = end + (1 if token.text[1:] else 2)
        return values.binder("int", variable, lower, upper, value)

    def _differential(self) -> int:
        """Where the dx of the integral that starts here is, past those of integrals in it."""
        inner = 0
        for end in range(self.at, len(self.tokens)):
            kind, word = self.tokens[end].kind, self.tokens[end].text
            is_differential = kind == "WORD" and word[0] == "d" and len(word) <= 2
            if is_differential and not inner:
                return end
            inner += (kind == "\\int") - is_differential
        raise NotAFormula("an integral without a variable")

    def _expanded(self, name: str, variable: str, low: int, high: int) -> Value:
        start, total = self.at, values.rational(0 if name == "sum" else 1)
        for number in range(low, high + 1):
            self.at, self.known[variable] = start, values.rational(number)
            total = total + self.product() if name == "sum" else total * self.product()
        self.known.pop(variable, None)
        return total
