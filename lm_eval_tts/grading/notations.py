"""Special ways to write an answer: quantities, matrices, dates, times, other bases, ranges."""

from __future__ import annotations

from lm_eval_tts.grading import values
from lm_eval_tts.grading.formulas import FormulaReader
from lm_eval_tts.grading.lexicon import phrases, words_of
from lm_eval_tts.grading.numerals import PIECES, fold, number_of
from lm_eval_tts.grading.tokens import NUMBERS, TABLE, tidy, tokens
from lm_eval_tts.grading.trees import Node, node_of, scaled
from lm_eval_tts.grading.units import Mark, make_mark, size, unit_of
from lm_eval_tts.grading.values import NotAFormula

QUALIFIERS = words_of("qualifiers")
_ENDS = QUALIFIERS | {"or", "and", "to", "x", "per"}  # of a unit
_OF_DATES = ("of", "the", ",", "st", "nd", "rd", "th")
_SQUARES = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


class NotationReader(FormulaReader):
    """Reads what is more than a formula; None where it is not there."""

    def quantity(self) -> Node:
        """Read a number with its unit, percent sign or noun, a ratio, a matrix, or 1 h 45 min."""
        left = self._measured()
        start, _ = self.at, self.take("and", ",")
        if left.unit and self.peek().kind in NUMBERS:
            right = self._measured()
            (large, dimensions), (small, others) = size(left.unit), size(right.unit)
            if dimensions == others and large > small:  # but 5 minutes, 3 hours are two
                whole = left.exact * values.rational(large / small)
                return right._replace(value=whole + right.exact)
        self.at = start
        return left

    def _measured(self) -> Node:
        start = self.at
        is_negative = self.peek(1).kind == "MATRIX" and bool(self.take("-"))
        value = values.rational(1) if self.peek().kind == "MATRIX" else self.sum()
        value = -value if is_negative else value
        if self.peek(1).kind == "MATRIX":
            self.take("*")
        if self.take("MATRIX"):
            return scaled(_matrix(self.peek(-1).text), value)
        ratio = [node_of(value)]
        while self.peek(-1).kind in NUMBERS and self.take(":"):
            ratio.append(node_of(self.sum()))
        if len(ratio) > 1:
            return Node("tuple", ":", tuple(ratio))
        if self.take("%", "percent"):
            return Node("value", "%", value=value / values.rational(100))
        if (angle := value.linear("°")) and angle[0].constant != 0 and angle[1].constant == 0:
            scale = {"C": "celsius", "F": "fahrenheit"}.get(self.peek().text, "degree")
            self.at += scale != "degree"
            return Node("value", value=angle[0], unit=((scale, 1),))
        signs = [t.text for t in self.tokens[start : self.at] if t.kind == "MONEY"]
        noun, mark = self._units([(unit_of(sign) or "dollar", 1) for sign in signs[:1]])
        if noun and "a" in value.names:
            raise NotAFormula("an article")
        return Node("value", noun, value=value, unit=mark)

    def _units(self, money: list[tuple[str, int]]) -> tuple[str, Mark]:
        """The noun and the units, with their powers and quotients, that follow a number."""
        powers: list[tuple[str, int]] = []
        noun, sign = "", 1
        while True:
            is_over = self.peek().text.lower() in ("/", "per")
            is_joint = is_over or self.peek().kind in ("*", "-")
            token = self.peek(int(is_joint))
            is_named = len(token.text) > 1 or token.mode == "text" or not token.text.isascii()
            has_left = bool(powers) or (is_over and bool(money or noun))
            goes_on = has_left or (not is_joint and (is_named or token.kind == "MONEY"))
            is_word = token.kind in ("WORD", "MONEY") and token.text.lower() not in _ENDS
            if not (goes_on and is_word):
                return noun, make_mark(powers or money)
            self.at += is_joint
            sign = -1 if is_over else sign
            square = _SQUARES.get(self.take(*_SQUARES) or "", 1)
            self.expect("WORD", "MONEY")
            unit, word = unit_of(self.peek(-1).text), self.peek(-1).text.lower()
            rate = self.exponent().constant
            if rate is None or rate.denominator > 1 or abs(rate) > 20:
                raise NotAFormula("power of a unit")
            powers += [(unit, sign * square * int(rate))] if unit else []
            noun = noun if unit else f"{noun} {word}".strip()

    def time(self) -> Node:
        """A time of day, as hours, minutes and seconds of 24 hours."""
        self.expect("TIME")
        text = self.peek(-1).text.lower()
        hours, *rest = map(int, PIECES.findall(text))
        return Node("tuple", "time", tuple(map(node_of, (hours % 12 + 12 * ("p" in text), *rest))))

    def date(self) -> Node | None:
        """December 25, 25 December, the 25th of December, 2001"""
        every = [token.text.lower() for token in self.tokens[self.at : self.at + 8]]
        *numbers, month = sorted(word for word in every if word not in _OF_DATES) or [""]
        is_date = 0 < len(numbers) < 3 and all(map(str.isdigit, numbers))
        if not is_date or not phrases("months").fullmatch(month):
            return None
        self.at += len(every)
        return Node("text", " ".join([*numbers, month]))

    def base(self) -> Node | None:
        """101_2, 1A_{16}"""
        digits = ""
        while self.peek().kind in ("NUMBER", "WORD") and not (digits and self.peek().spaced):
            digits, self.at = digits + self.peek().text, self.at + 1
        if not (self.take("_", "base") or (self.take("in") and self.take("base"))):
            return None
        base = self._subscript()
        if not (base.isdigit() and digits[:1].isdigit() and digits.isalnum()):
            return None
        return Node("base", base, (Node("text", digits.upper().lstrip("0")),))

    def number_range(self) -> Node:
        """110-130, 3 to 7: a range, not a difference."""
        if [token.kind in NUMBERS for token in self.tokens[self.at :]] != [True, False, True]:
            raise NotAFormula("no range")
        low, _, high = self.factor(), self.expect("-", "to"), self.factor()
        return Node("tuple", "to", (node_of(low), node_of(high)))


def _matrix(text: str) -> Node:
    """A matrix in LaTeX; its cells are quantities."""
    table = TABLE.match(text)
    assert table  # its token was found by this pattern
    rows = [row.split("&") for row in table[3].split("\\\\") if row.strip()]
    return Node("matrix", parts=tuple(Node("tuple", "()", tuple(map(_cell, r))) for r in rows))


def _cell(text: str) -> Node:
    reader = NotationReader(fold(tokens(tidy(text))))
    node = reader.quantity()
    reader.expect("END")
    return node
