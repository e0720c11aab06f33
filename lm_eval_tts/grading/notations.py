"""Special ways to write an answer: quantities, dates, other bases, ranges, matrices.

Between `formulas` and `grammar`, whose reader builds on this one.
"""

from __future__ import annotations

import re

from lm_eval_tts.grading import values
from lm_eval_tts.grading.cursor import number_of, script, spelled_name
from lm_eval_tts.grading.lexicon import phrases, words_of
from lm_eval_tts.grading.sets import SetReader
from lm_eval_tts.grading.tokens import NUMBERS, TABLE, fold, tidy, tokens
from lm_eval_tts.grading.trees import (
    Node,
    added,
    multiplied,
    node_of,
    scaled,
)
from lm_eval_tts.grading.units import Mark, are_of_one_dimension, make_mark, size, unit_of
from lm_eval_tts.grading.values import NotAFormula, TooLarge, Value

MAX_PARTS = 100
QUALIFIERS = words_of("qualifiers")
JOINTS = frozenset(["or", "and", "to", "x"])
_SIDE_ENDS = words_of("side_ends")
_OF_DATES = ("of", "the", ",", "st", "nd", "rd", "th")
_SQUARES = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_ROW_END = re.compile(r"\\\\(?:\[[^\]]*\])?")
_SCRIPTS = {"²": 2, "³": 3, "⁻¹": -1, "⁻²": -2}


class NotationReader(SetReader):
    """Reads what is more than a formula; None where it is not there."""

    def quantity(self) -> Node:
        """Read a number with its unit, percent sign or noun, ratio, or 1 hour 45 minutes."""
        node = self._quantity()
        while (
            node.value and node.unit and (more := self._product(node) or self._sum_of_parts(node))
        ):
            node = more
        return node

    def _product(self, left: Node) -> Node | None:
        """240 km / 3 hours, 8 cm × 5 cm"""
        if self.peek(1).kind not in NUMBERS or not (sign := self.take("*", "/")):
            return None
        right, rate = self._quantity(), 1 if sign == "*" else -1
        powers = [*left.unit, *((name, rate * power) for name, power in right.unit)]
        value = left.exact * right.exact if sign == "*" else left.exact / right.exact
        return Node("value", value=value, unit=make_mark(powers))

    def _sum_of_parts(self, left: Node) -> Node | None:
        """1 hour (and) 45 minutes, in the smaller unit; 5 minutes, 3 hours are two."""
        start, _ = self.at, self.take("and", ",")
        name = unit_of(self.peek(1).text)
        if self.peek().kind in NUMBERS and name and not left.mark and len(left.unit) == 1:
            scale = size(left.unit)[0] / size(((name, 1),))[0]
            if scale > 1 and are_of_one_dimension(name, left.unit[0][0]):
                right = self._quantity()
                whole = left.exact * values.rational(scale)
                return right._replace(value=whole + right.exact)
        self.at = start
        return None

    def _quantity(self) -> Node:
        minus = self.peek(1).kind == "MONEY" and bool(self.take("-"))
        money = self._currency() if self.take("MONEY") else ()
        ratio = [self.sum()]
        ratio[0] = -ratio[0] if minus else ratio[0]
        while self.take(":"):
            ratio.append(self.sum())
        if len(ratio) > 1:
            return Node("tuple", ":", tuple(map(node_of, ratio)))
        value = ratio[0]
        if self.take("%", "percent"):
            self.take("points")
            return Node("value", "%", value=value / values.rational(100))
        if (angle := value.linear("°")) and angle[0].constant != 0 and angle[1].constant == 0:
            scale = {"C": "celsius", "F": "fahrenheit"}.get(self.peek().text, "degree")
            self.at += scale != "degree"
            return Node("value", value=angle[0], unit=((scale, 1),))
        noun, mark = self._units(money)
        return Node("value", noun, value=value, unit=mark or money)

    def _units(self, money: Mark) -> tuple[str, Mark]:
        """The noun and the units, with their powers and quotients, that follow a number."""
        powers: list[tuple[str, int]] = []
        noun, sign, pending = "", 1, 1
        while self.peek().kind in ("WORD", "/", "*", "MONEY", "-", "%"):
            token, word = self.peek(), self.peek().text.lower()
            is_named = len(word) > 1 or token.mode == "text" or not word.isascii()
            is_sign = token.kind in ("/", "*", "-") or word == "per"
            is_over = token.kind == "/" or word == "per"
            has_left = powers or (is_over and (money or noun))
            if word in JOINTS or word in QUALIFIERS:
                break
            if is_sign and not (has_left and self.peek(1).kind == "WORD"):
                break
            if not (is_sign or is_named or powers or token.kind == "MONEY"):
                break
            self.at += 1
            if is_sign:
                sign = -1 if is_over else sign
            elif token.kind == "MONEY":
                powers += self._currency()
            elif word in _SQUARES:
                pending = _SQUARES[word]
            elif unit := unit_of(token.text):
                powers.append((unit, sign * self._unit_power() * pending))
                pending = 1
            elif is_named:
                noun = f"{noun} {word}".strip()
                if self.peek().kind in ("^", "SUPER"):
                    self._unit_power()
            else:
                self.at -= 1
                break
        return noun, make_mark(powers)

    def _currency(self) -> Mark:
        return ((unit_of(self.peek(-1).text) or "dollar", 1),)

    def _unit_power(self) -> int:
        if self.take("SUPER"):
            return _SCRIPTS.get(self.peek(-1).text, 1)
        if self.take("^"):
            constant = self.exponent().constant
            if constant is None or constant.denominator != 1 or abs(constant) > 20:
                raise NotAFormula("power of a unit")
            return int(constant)
        if self.peek().text in ("2", "3") and not self.peek().spaced:  # cm2
            self.at += 1
            return int(self.peek(-1).text)
        return 1

    def time(self) -> Node | None:
        """A time of day, as hours, minutes and seconds of 24 hours."""
        if not self.take("TIME"):
            return None
        text = self.peek(-1).text.lower()
        hours, *rest = map(int, re.findall(r"\d+", text))
        parts = (hours % 12 + 12 * ("p" in text), *rest)
        return Node("tuple", "time", tuple(map(node_of, parts)))

    def date(self) -> Node | None:
        """December 25, 25 December, the 25th of December, 2001"""
        every = [token.text.lower() for token in self.tokens[self.at : self.at + 8]]
        words = [word for word in every if word not in _OF_DATES]
        names = [word for word in words if phrases("months").fullmatch(word)]
        numbers = sorted((word for word in words if word.isdigit()), key=len)
        is_date = len(names) == 1 <= len(numbers) <= 2 and len(numbers) + 1 == len(words)
        if not is_date or len(every) == 8:
            return None
        self.at += len(every)
        return Node("text", " ".join([*names, *numbers]))

    def base(self) -> Node | None:
        """101_2, 1A_{16}, 101 in base 2"""
        start, digits = self.at, ""
        while self.peek().kind in ("NUMBER", "WORD") and not (digits and self.peek().spaced):
            if self.peek().text in ("base", "in"):
                break
            digits, self.at = digits + self.peek().text, self.at + 1
        base = ""
        if self.take("SUB"):
            base = script(self.peek(-1).text)
        elif self.take("_") or self.take_all("in", "base") or self.take("base"):
            braced = self.take("{")
            base, self.at = self.peek().text, self.at + 1 + bool(braced)
        if base.isdigit() and digits[:1].isdigit() and digits.isalnum():
            return Node("base", base, (Node("text", digits.upper().lstrip("0")),))
        self.at = start
        return None

    def number_range(self) -> Node | None:
        """110-130, 3 to 7: a range, not a difference."""
        low, sign, high = (self.peek(k) for k in range(3))
        are_numbers = low.kind in NUMBERS and high.kind in NUMBERS
        if not are_numbers or len(self.tokens) != self.at + 3:
            return None
        ends = number_of(low), number_of(high)
        if sign.text != "to" and (sign.kind != "-" or self.at or ends[0] >= ends[1]):
            return None
        self.at += 3
        return Node("tuple", "to", tuple(node_of(values.rational(end)) for end in ends))

    def matrices(self) -> Node | None:
        """Read a sum of products of matrices, each with a factor before it."""
        kinds = [token.kind for token in self.tokens[self.at :]]
        if next((k for k in kinds if k == "MATRIX" or k in _SIDE_ENDS), "") != "MATRIX":
            return None
        if kinds[0] in ("(", "[") and kinds[1:3] in (["MATRIX", ")"], ["MATRIX", "]"]):
            self.at += 3
            return matrix(self.peek(-2).text)
        total = None
        while self.peek().kind not in ("END", ")", "]", *_SIDE_ENDS):
            minus = self.take("-", "+") == "-"
            factor = values.rational(-1 if minus else 1)
            if self.peek().kind != "MATRIX":
                factor *= self._factors()
            self.take("*")
            self.expect("MATRIX")
            term = scaled(matrix(self.peek(-1).text), factor)
            while self.take("*") or self.peek().kind == "MATRIX":
                self.expect("MATRIX")
                term = multiplied(term, matrix(self.peek(-1).text))
            total = term if total is None else added(total, term)
        return total

    def _factors(self) -> Value:
        """What stands before a matrix."""
        value = self.power()
        while "MATRIX" not in (
            self.peek().kind,
            self.peek(1).kind if self.peek().kind == "*" else "",
        ):
            if self.take("/"):
                value /= self.power()
            else:
                self.take("*")
                value *= self.power()
        return value

    def bind_integers(self) -> None:
        """In "kπ, k ∈ ℤ" and "for any integer k" the name of k says nothing."""
        for at, token in enumerate(self.tokens):
            is_set = token.kind == "\\mathbb" or token.text in ("Z", "ℤ", "\\Z", "N")
            if is_set and at > 1 and self.tokens[at - 1].kind == "\\in":
                self._bind(at - 2)
            elif token.text in ("integer", "integers") and at < len(self.tokens) - 2:
                self._bind(*(k for k in range(max(at - 3, 0), at) if at > 1))

    def _bind(self, *places: int) -> None:
        names = [spelled_name(t) for t in map(self.tokens.__getitem__, places) if t.kind == "WORD"]
        names = [name for name in names if name != "a" and (len(name) == 1 or len(places) == 1)]
        if names:
            self.known[names[-1]] = values.free("any integer")


def matrix(text: str) -> Node:
    """Return a matrix in LaTeX; its cells are formulas. Raises NotAFormula and TooLarge."""
    table = TABLE.match(text)
    assert table  # its token was found by this pattern
    rows = [row.split("&") for row in _ROW_END.split(table[3]) if row.strip()]
    if sum(map(len, rows)) > MAX_PARTS:
        raise TooLarge("cells")
    if not rows or len({len(row) for row in rows}) != 1:
        raise NotAFormula("rows of different lengths")
    cells = [tuple(map(_cell, row)) for row in rows]
    return Node("matrix", parts=tuple(Node("tuple", "()", row) for row in cells))


def _cell(text: str) -> Node:
    reader = NotationReader(fold(tokens(tidy(text))))
    node = reader.quantity()
    if reader.peek().kind != "END":
        raise NotAFormula(reader.peek().text)
    return node
