"""Reads what binds a variable: sums, products, limits and integrals."""

from __future__ import annotations

from lm_eval_tts.grading import values
from lm_eval_tts.grading.cursor import BINDERS, spelled_name
from lm_eval_tts.grading.formulas import FormulaReader
from lm_eval_tts.grading.tokens import Token
from lm_eval_tts.grading.values import NotAFormula, Value, rational

MAX_SUMMANDS = 200  # of a finite sum that is worked out


class BinderReader(FormulaReader):
    """Works out finite sums and products; others are values of their own kind, left open."""

    def name(self, token: Token) -> Value:
        """Read what a word or command stands for."""
        if token.kind not in BINDERS:
            return super().name(token)
        self.at += 1
        name, variable = BINDERS[token.kind], ""
        lower: Value | None = None
        upper: Value | None = None
        side, self.limit_side = self.limit_side, "" if name == "lim" else None
        for _ in range(2):
            if self.take("_"):
                variable, lower = self._lower_bound()
            elif self.take("^"):
                upper = self.argument()
        found, self.limit_side = self.limit_side or "", side
        if name == "int":
            return self._integral(lower, upper)
        low, high = (None if end is None else end.constant for end in (lower, upper))
        is_expanded = name in ("sum", "prod") and bool(variable)
        if is_expanded and low is not None and high is not None and high - low <= MAX_SUMMANDS:
            return self._expanded(name, variable, int(low), int(high))
        outer = dict(self.known)
        inner = f"bound {len(outer)}"
        self.known[variable] = values.free(inner)
        body = self.product()
        self.known = outer
        return values.binder(name + found, inner, lower, upper, body)

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
        token = self.tokens[end]
        glued = token.text[1:]  # dx as one word
        name = spelled_name(token._replace(text=glued) if glued else self.peek(end + 1 - self.at))
        body = type(self)(self.tokens[self.at : end], self.sign)
        variable = f"bound {len(self.known)}" if lower or upper else name
        body.known = {**self.known, name: values.free(variable)}
        self.at = end + (1 if glued else 2)
        return values.binder("int", variable, lower, upper, body.sum())

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
        start, total = self.at, rational(0 if name == "sum" else 1)
        for number in range(low, high + 1):
            self.at, self.known[variable] = start, rational(number)
            total = total + self.product() if name == "sum" else total * self.product()
        self.known.pop(variable, None)
        return total
