"""Special ways to write an answer: quantities, sets, dates, other bases, ranges, matrices.

Between `formulas` and `grammar`, whose reader builds on this one.
"""

from __future__ import annotations

import re

from lm_eval_tts.grading import values
from lm_eval_tts.grading.cursor import script, spelled_name
from lm_eval_tts.grading.formulas import FormulaReader
from lm_eval_tts.grading.lexicon import phrases, words_of
from lm_eval_tts.grading.numerals import fold, number_of
from lm_eval_tts.grading.tokens import NUMBERS, TABLE, tidy, tokens
from lm_eval_tts.grading.trees import ALL_REALS, Node, complement, node_of, scaled
from lm_eval_tts.grading.units import Mark, are_of_one_dimension, make_mark, size, unit_of
from lm_eval_tts.grading.values import NotAFormula, TooLarge

MAX_PARTS = 100
REALS = ("\\R", "\\Reals", "\\reals")
SPOKEN = {"positive": (0, None, "()"), "negative": (None, 0, "()")}
SPOKEN |= {"nonnegative": (0, None, "[)"), "nonpositive": (None, 0, "(]")}
SET_WORDS = words_of("set_words")
EXCEPT = ("except", "but", "than", "to", "for")
QUALIFIERS = words_of("qualifiers")
JOINTS = frozenset(["or", "and", "to", "x"])
_SIDE_ENDS = words_of("side_ends")
_OF_DATES = ("of", "the", ",", "st", "nd", "rd", "th")
_SQUARES = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_ROW_END = re.compile(r"\\\\(?:\[[^\]]*\])?")


class NotationReader(FormulaReader):
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
        if self.peek().kind in ("SUPER", "^"):
            constant = self.exponent().constant
            if constant is None or constant.denominator != 1 or abs(constant) > 20:
                raise NotAFormula("power of a unit")
            return int(constant)
        if self.peek().text in ("2", "3") and not self.peek().spaced:  # cm2
            self.at += 1
            return int(self.peek(-1).text)
        return 1

    def number_set(self) -> Node | None:
        """Read ℝ or another set of numbers, with what is taken out of it."""
        if self.peek().kind not in (*REALS, "\\mathbb"):
            return None
        self.at += 1
        name = self.peek(-1).text[1:2]
        if self.peek(-1).kind not in REALS:
            braced = self.take("{")
            name, self.at = self.peek().text, self.at + 1
            if braced:
                self.expect("}")
        if name.upper() != "R" or self.peek().kind == "^":
            return Node("opaque", f"\\mathbb{name}")
        return complement(self.points()) if self.take("\\setminus", "-") else ALL_REALS

    def spoken_set(self) -> Node | None:
        """All (positive, nonnegative ...) real numbers (and zero), except some."""
        words: list[str] = []
        while self.peek(len(words)).kind == "WORD":
            word = self.peek(len(words)).text.lower().replace("-", "")
            if word not in SET_WORDS:
                break
            words.append(word)
        if not {"numbers", "number", "reals"} & set(words):
            return None
        self.at += len(words)
        with_zero = (words[-1] == "and" or bool(self.take(","))) and self.peek().text == "0"
        self.at += with_zero
        if words[-1] in EXCEPT and self.peek().kind != "END":
            return complement(self.points())
        low, high, mark = next((SPOKEN[w] for w in words if w in SPOKEN), (None, None, "()"))
        if with_zero:
            mark = mark.replace("(", "[") if low == 0 else mark.replace(")", "]")
        ends = [
            whole if end is None else node_of(end)
            for whole, end in zip(ALL_REALS.parts, (low, high), strict=True)
        ]
        return Node("tuple", mark, tuple(ends))

    def points(self) -> list[Node]:
        """Read the numbers that are taken out of a set."""
        braced = self.take("{{")
        points = [node_of(self.sum())]
        while self.take("and", "or", ","):
            points.append(node_of(self.sum()))
        if braced:
            self.expect("}}")
        return points

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
        """Read a matrix with a factor before it."""
        kinds = [token.kind for token in self.tokens[self.at :]]
        if next((k for k in kinds if k == "MATRIX" or k in _SIDE_ENDS), "") != "MATRIX":
            return None
        if kinds[0] in ("(", "[") and kinds[1:3] in (["MATRIX", ")"], ["MATRIX", "]"]):
            self.at += 3
            return matrix(self.peek(-2).text)
        factor = values.rational(-1 if self.take("-", "+") == "-" else 1)
        if self.peek().kind != "MATRIX":
            factor *= self.product()
        self.take("*")
        self.expect("MATRIX")
        return scaled(matrix(self.peek(-1).text), factor)

    def bind_integers(self) -> None:
        """In "kπ, k ∈ ℤ" and "for any integer k" the name of k says nothing."""
        for at, token in enumerate(self.tokens):
            is_set = token.kind == "\\mathbb" or token.text in ("Z", "ℤ", "\\Z", "N")
            if is_set and at > 1 and self.tokens[at - 1].kind == "\\in":
                self._bind(at - 2, any_length=True)
            elif token.text in ("integer", "integers") and 1 < at < len(self.tokens) - 2:
                for place in range(max(at - 3, 0), at):
                    self._bind(place)

    def _bind(self, place: int, any_length: bool = False) -> None:
        name = spelled_name(self.tokens[place])
        if self.tokens[place].kind == "WORD" and name != "a" and (any_length or len(name) == 1):
            self.known[name] = values.free("any integer")


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
