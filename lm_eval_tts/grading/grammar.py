r"""One grammar for answers, from tokens to a small tree of exact values.

answer := item (("," | ";" | "or" | "and" | "∪") item)*
item   := side (RELATION side)*
side   := notation | quantity | bracket answer bracket | words
"""

import html
from collections.abc import Sequence
from functools import lru_cache

from lm_eval_tts.grading import notation, values
from lm_eval_tts.grading.formulas import EITHER_SIGN, FormulaReader
from lm_eval_tts.grading.notation import NUMBERS, Token, fold, tidy, tokens, unit_of, words_of
from lm_eval_tts.grading.trees import ALL_REALS, EMPTY, Node, complement, node_of, relation, unnamed
from lm_eval_tts.grading.values import NotAFormula

ENDS = words_of("answer_ends")
RELATIONS = ("=", "<", ">", "<=", ">=", "!=", "~", "\\in")
LIST_BRACKETS = {"(": (")", "]"), "[": ("]", ")"), "{{": ("}}",), "{": ("}",)}
QUALIFIERS = words_of("qualifiers")
SPOKEN: dict[str, str] = notation.NOTATION["spoken_sets"]
_OF_NUMBERS = {"numbers", "number", "reals", "\\r", "\\reals", "\\mathbb{r}"}
EXCEPT = ("except", "but", "than", "to", "for", "\\setminus", "\\backslash", "∖")
_LIST_ENDS = ("END", ")", "]", "}", "}}")
_TURNED = {"<>": "()", "][": "()", "]]": "(]", "[[": "[)"}  # <1, 2>, and ]2, 7[ of ISO 80000-2
_UNIT_ENDS = QUALIFIERS | {"or", "and", "to", "x", "per"}  # of a unit
_OF_DATES = {"of", "the", ",", "st", "nd", "rd", "th"}
_SQUARES = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_MARKS_BEFORE = (*".,;:\"'?^=", "\\to")  # punctuation around an answer
_MARKS_AFTER = (*".,;:\"'?^<>", "\\to", "\\", "\\n")


@lru_cache(maxsize=20_000)
def parse(text: str, *, comma: bool = False) -> Node:
    """Return the tree of an answer. comma: read 1,5 as a decimal. Raises TooLarge."""
    text = text[: notation.MAX_LENGTH].partition("</")[0]  # the rest is a tag that was cut off
    plain = tidy(html.unescape(text) if "&" in text else text)
    found = _trimmed(fold(tokens(plain, comma=comma)))
    word = bare(found)
    if word.isalpha() and word.lower() in notation.SYNONYMS:  # DNE is no product of letters
        return Node("text", word.lower())
    if notation.is_substance(word):
        return Node("opaque", word)
    try:
        tree = AnswerReader(found).whole()
        if any(token.kind in EITHER_SIGN for token in found):
            other = AnswerReader(found, -1).whole()
            both = [part for t in (tree, other) for part in (t.parts if t.kind == "list" else (t,))]
            tree = tree if tree == other else Node("list", tree.mark, tuple(both))
        return tree
    except (NotAFormula, RecursionError, IndexError):
        return Node("opaque", word)


def bare(found: Sequence[Token]) -> str:
    """Return the text of tokens without scripts and their braces: H2SO4 of H_2SO_4."""
    return "".join(token.text for token in found if token.kind not in ("{", "}", "_", "MONEY"))


def _trimmed(found: list[Token]) -> list[Token]:
    """Without punctuation around, markdown and quotes."""
    kinds = [token.kind for token in found]
    if found and {",", ";"} & set(kinds) and (turned := _TURNED.get(kinds[0] + kinds[-1])):
        found = [Token(turned[0], turned[0]), *found[1:-1], Token(turned[1], turned[1])]
    is_closed = kinds.count("{") >= kinds.count("}")
    marks = _MARKS_AFTER if is_closed else (*_MARKS_AFTER, "}")
    while found and found[-1].kind in marks:
        found.pop()
    while found and found[0].kind in _MARKS_BEFORE:
        found.pop(0)
    lacking = sum((token.kind == "{") - (token.kind == "}") for token in found)
    return found + [Token("}", "}")] * (lacking if lacking <= 3 else 0)  # of an answer that was cut


class AnswerReader(FormulaReader):
    """The levels of an answer above its formulas."""

    def whole(self) -> Node:
        """Read an answer to its end."""
        kinds = [token.kind for token in self.tokens]
        label = kinds.index(":") if ":" in kinds[:-1] else 0
        if set(kinds[:label]) == {"WORD"} and len(self.peek().text) > 1:
            self.at = label + 1  # Total: 96
        while self.peek().text.lower() in words_of("leading") and self.peek(1).kind != "END":
            self.at += 1
        node = self._answer()
        rest = self.peek(1) if self.peek().kind == "," else self.peek()
        if rest.kind != "END" and rest.text.lower() not in QUALIFIERS:
            raise NotAFormula(rest.text)
        return node

    def _answer(self) -> Node:
        parts, joins = [self._item()], set()
        while join := self._join():
            joins.add(join)
            parts.append(self._item())
            if join == "(":
                self.take(")")
        members = [part for part in parts if part.mark != "∈ℤ"] or parts
        if len(members) == 1:
            return members[0]
        nested = [p.parts if p.kind == "list" and p.mark != "{}" else (p,) for p in members]
        return Node("list", "cup" if "\\cup" in joins else "", tuple(p for n in nested for p in n))

    def _join(self) -> str | None:
        if self.peek().kind == "," and self.peek(1).text.lower() in QUALIFIERS:
            return None
        if self.is_aside():
            self.at += 1 + (self.peek(1).text == "or")
            return "("
        join = self.take(",", ";", "or", "and", "&", "\\cup")
        while join and self.take(",", "and", "or", ";", "&"):
            pass
        return join if self.peek().kind not in _LIST_ENDS else None

    def _item(self) -> Node:
        self.take("~")
        sides, signs = [self._side()], []
        while sign := self.take(*RELATIONS):
            signs.append(sign)
            sides.append(self._side())
        is_congruence = {"≡", "\\equiv"} & {token.text for token in self.tokens}
        is_number = sides[0].value and not sides[0].value.variables
        is_last = not signs or (is_congruence and is_number)  # 7^10 ≡ 49 ≡ 9
        return sides[-1] if is_last else relation(sides, signs)

    def _side(self) -> Node:
        """Read what may stand between two relations: by the first reader that gets to its end."""
        start, saved = self.at, list(self.tokens)
        readers = (self._time, self._date, self._number_set, self._base, self._number_range)
        for read in (*readers, self._quantity, self._bracketed, self._words, self._unknown):
            self.at, self.tokens, self.depth = start, list(saved), 0
            try:
                node = read()
            except NotAFormula:
                continue
            if node and self.peek().kind in ("WORD", *ENDS):
                return node
        raise NotAFormula("nothing known")

    def _number_set(self) -> Node | None:
        """Read ∅, ℤ, ℝ, or all (positive, nonnegative ...) real numbers (and zero), except some."""
        if self.take("\\emptyset") or (self.take("{{") and self.take("}}")):
            return EMPTY
        if self.peek().kind.startswith("\\mathbb"):
            return Node("opaque", self.expect(self.peek().kind))
        words: list[str] = []
        while (word := self.peek().text.lower().replace("-", "")) in words_of("set_words"):
            words.append(word)
            self.at += 1
        if not _OF_NUMBERS & set(words) or self.peek().kind == "^":
            return None
        if words[-1] in EXCEPT or self.take("-"):
            points = unnamed(self._answer())
            return complement(points.parts if points.kind == "list" else [points])
        name = next((word for word in words if word in SPOKEN), "")
        self.take(",")
        name += " and 0" if self.take("0") else ""
        return parse(SPOKEN[name]) if name in SPOKEN else ALL_REALS

    def _bracketed(self) -> Node:
        opening = self.expect(*LIST_BRACKETS)
        is_set, inner = opening == "{{", self._answer()
        is_condition = is_set and self.take("|", ":")  # {x : x > 3} or {x ∈ ℝ | x > 3}
        inner = self._answer() if is_condition else inner
        mark = opening + self.expect(*LIST_BRACKETS[opening])
        if is_condition or (not is_set and (opening == "{" or inner.kind != "list")):
            return inner
        parts = inner.parts if inner.kind == "list" else (inner,)
        return Node("list", "{}", parts) if is_set else Node("tuple", mark, parts)

    def _words(self) -> Node:
        words: list[str] = []
        while self.peek().text not in ("or", "and") and self.take("WORD", "NUMBER"):
            words.append(self.peek(-1).text.lower())
        if not any(len(word) > 1 and word[0].isalpha() for word in words):
            raise NotAFormula("no words")
        return Node("text", " ".join(words))

    def _unknown(self) -> Node:
        """A side of an equation that is not a known formula: 1 + 2 + ... + 9 = 45."""
        start = self.at
        while self.peek().kind not in ("=", "END"):
            self.at += 1
        if self.peek().kind == "END" or self.at == start:
            raise NotAFormula("nothing known")
        return Node("opaque", "".join(token.text for token in self.tokens[start : self.at]))

    def _quantity(self) -> Node:
        """Read a number with its unit, percent sign or noun, a ratio, a matrix, or 1 h 45 min."""
        left = self._measured()
        start, _ = self.at, self.take("and", ",")
        if left.unit and self.peek().kind in NUMBERS:
            right = self._measured()
            (large, dimensions), (small, others) = map(notation.size, (left.unit, right.unit))
            if dimensions == others and large > small:  # but 5 minutes, 3 hours are two
                whole = left.exact * values.rational(large / small)
                return right._replace(value=whole + right.exact)
        self.at = start
        return left

    def _measured(self) -> Node:
        start = self.at
        if self.take("MATRIX"):  # in LaTeX; its cells are quantities
            table = notation.TABLE.match(self.peek(-1).text)
            assert table  # its token was found by this pattern
            cells = [map(parse, row.split("&")) for row in table[3].split("\\\\") if row.strip()]
            return Node("matrix", parts=tuple(Node("tuple", "[]", tuple(row)) for row in cells))
        is_negative = self.peek(1).kind == "MATRIX" and self.take("-")
        value = values.rational(-1) if is_negative else self._sum()
        if self.peek(1).kind == "MATRIX":
            self.take("*")
        if self.peek().kind == "MATRIX":
            rows = self._measured()
            return rows.mapped(lambda row: row.mapped(lambda cell: node_of(cell.exact * value)))
        ratio = [node_of(value)]
        while self.peek(-1).kind in NUMBERS and self.take(":"):
            ratio.append(node_of(self._sum()))
        if len(ratio) > 1:
            return Node("tuple", ":", tuple(ratio))
        if self.take("%", "percent"):
            return Node("value", "%", value=value / values.rational(100))
        if (angle := value.linear("°")) and angle[0].constant != 0 and angle[1].constant == 0:
            unit = {"C": "celsius", "F": "fahrenheit"}.get(self.take("C", "F") or "", "degree")
            return Node("value", value=angle[0], unit=((unit, 1),))
        signs = [t.text for t in self.tokens[start : self.at] if t.kind == "MONEY"]
        noun, mark = self._units([(unit_of(sign) or "dollar", 1) for sign in signs[:1]])
        return Node("value", noun, value=value, unit=mark)

    def _units(self, money: list[tuple[str, int]]) -> tuple[str, notation.Mark]:
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
            is_word = token.kind in ("WORD", "MONEY") and token.text.lower() not in _UNIT_ENDS
            if not (goes_on and is_word):
                return noun, notation.make_mark(powers or money)
            self.at += is_joint
            sign = -1 if is_over else sign
            square = _SQUARES.get(self.take(*_SQUARES) or "", 1)
            self.expect("WORD", "MONEY")
            unit, word = unit_of(self.peek(-1).text), self.peek(-1).text.lower()
            rate = self._exponent().constant
            if rate is None or rate.denominator > 1 or abs(rate) > 20:
                raise NotAFormula("power of a unit")
            powers += [(unit, sign * square * int(rate))] if unit else []
            noun = noun if unit else f"{noun} {word}".strip()

    def _time(self) -> Node:
        """A time of day, as hours, minutes and seconds of 24 hours."""
        self.expect("TIME")
        text = self.peek(-1).text.lower()
        hours, *rest = map(int, notation.PIECES.findall(text))
        return Node("tuple", "time", tuple(map(node_of, (hours % 12 + 12 * ("p" in text), *rest))))

    def _date(self) -> Node | None:
        """December 25, 25 December, the 25th of December, 2001"""
        every = [token.text.lower() for token in self.tokens[self.at : self.at + 8]]
        *numbers, month = sorted({"", *every} - _OF_DATES)
        if not "".join(numbers).isdigit() or not notation.phrases("months").fullmatch(month):
            return None
        self.at += len(every)
        return Node("text", " ".join([*numbers, month]))

    def _base(self) -> Node | None:
        """101_2, 1A_{16}"""
        digits = ""
        while not (digits and self.peek().spaced) and self.take("NUMBER", "WORD"):
            digits += self.peek(-1).text
        is_named = self.take("_", "base") or (self.take("in") and self.take("base"))
        base = self._subscript() if is_named else ""
        if not (base.isdigit() and digits[:1].isdigit() and digits.isalnum()):
            return None
        return Node("base", base, (Node("text", digits.upper().lstrip("0")),))

    def _number_range(self) -> Node:
        """110-130, 3 to 7: a range, not a difference."""
        if [token.kind in NUMBERS for token in self.tokens[self.at :]] != [True, False, True]:
            raise NotAFormula("no range")
        low, _, high = self._factor(), self.expect("-", "to"), self._factor()
        return Node("tuple", "to", (node_of(low), node_of(high)))
