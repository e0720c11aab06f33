r"""One grammar for answers, from tokens to a small tree of exact values.

    answer := item (("," | ";" | "or" | "and" | "∪") item)*
    item   := side (RELATION side)*
    side   := [MONEY] formula [unit] | bracket answer bracket | matrix | time | words

Formulas are for `formulas`, what a tree means and equals for `canonical`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import lru_cache

from lm_eval_tts.grading import notations, values
from lm_eval_tts.grading.functions import NotAFormula, binomial
from lm_eval_tts.grading.notations import QUALIFIERS, REALS, AnswerReader
from lm_eval_tts.grading.quantities import with_unit
from lm_eval_tts.grading.tokens import MAX_LENGTH, TABLE, Token, tidy, tokens, words_of
from lm_eval_tts.grading.trees import ALL_REALS, Node, complement, number, relation
from lm_eval_tts.grading.values import TooLarge, Value
from lm_eval_tts.grading.words import fold

MAX_PARTS = 100
ENDS = frozenset(words_of("END , ; ) ] } }} = < > <= >= != ~ ( \\cup . \\in :"))
RELATIONS = ("=", "<", ">", "<=", ">=", "!=", "~", "\\in", "\\equiv")
LIST_BRACKETS = {"(": (")", "]"), "[": ("]", ")"), "{{": ("}}",), "{": ("}",)}
LEADING = frozenset(
    words_of(
        "approximately about exactly roughly interval answer total only just the a an yes equals "
        "is simply set around nearly there are to be approx point vector pair ordered triple value"
    )
)


@lru_cache(maxsize=20_000)
def parse(text: str, *, comma: bool = False) -> Node:
    """Return the tree of an answer. comma: read 1,5 as a decimal. Raises TooLarge."""
    plain = tidy(html.unescape(text[:MAX_LENGTH]) if "&" in text else text[:MAX_LENGTH])
    return parse_tokens(fold(tokens(plain, comma=comma)))


def parse_tokens(found: Sequence[Token]) -> Node:
    """Return the tree of tokens. Raises TooLarge."""
    found = _trimmed(found)
    try:
        tree = AnswerParser(found).whole()
        if any(token.kind == "\\pm" for token in found):
            other = AnswerParser(found, -1).whole()
            tree = tree if tree == other else Node("list", parts=(tree, other))
        return tree
    except (NotAFormula, RecursionError, IndexError):
        return _fallback(found)


def _trimmed(found: Sequence[Token]) -> list[Token]:
    """Without punctuation around, markdown, quotes and the rest of a tag that was cut off."""
    found = list(found)
    if (
        len(found) > 3
        and found[0].kind == "<"
        and found[-1].kind == ">"
        and any(t.kind == "," for t in found)
    ):
        found[0], found[-1] = found[0]._replace(kind="("), found[-1]._replace(kind=")")
    if len(found) > 1 and found[-1].kind in ("<", ">"):
        found = found[:-1]
    last = [t.kind for t in found[-3:]]
    if last[-2:] == ["<", "/"] or last == ["<", "/", "WORD"]:
        found = found[: -len(last)] if last[0] == "<" else found[:-2]
    bold = [t for t in found if t.text == "**"]
    if bold and (len(bold) > 1 or found[0].text == "**" or found[-1].text == "**"):
        found = [t for t in found if t.text != "**"]
    found = list(found)
    while found and found[-1].kind in (".", ",", ";", ":", "?", '"', "'", "\\", "\\to", "\\n"):
        found.pop()
    while found and found[0].kind in (".", ",", ";", ":", '"', "'", "=", "\\to", "?"):
        found.pop(0)
    opened = sum((t.kind == "{") - (t.kind == "}") for t in found)
    while opened < 0 and found and found[-1].kind == "}":
        found.pop()
        opened += 1
    if opened > 0 and opened <= 3:
        found += [Token("}", "}", 0, 0, False, "")] * opened
    return found


def _fallback(found: Sequence[Token]) -> Node:
    """Words that are no formula, or a formula that is not known."""
    words = [t for t in found if t.kind == "WORD" and len(t.text) > 1]
    if words and not any(t.kind.startswith("\\") for t in found):
        return Node(
            "text",
            " ".join(
                t.text.lower()
                for t in found
                if t.text.isalnum() or ("-" in t.text and len(t.text) > 1)
            ),
        )
    return Node("opaque", "".join(t.text for t in found if t.kind not in ("{", "}", "_")))


class AnswerParser(AnswerReader):
    """The levels of an answer above its formulas."""

    def whole(self) -> Node:
        """Read an answer to its end."""
        arrows = [at for at, t in enumerate(self.tokens) if t.kind == "\\to"]
        if arrows and not any(t.kind == "\\lim" for t in self.tokens):
            self.at = arrows[-1] + 1
        notations.skip_label(self)
        while (
            self.peek().text.lower() in LEADING
            and self.peek(1).kind != "END"
            and not (len(self.peek().text) == 1 and self.peek(1).kind != "WORD")
        ):
            self.at += 1
        notations.bind_integers(self)
        node = self.answer()
        notations.skip_aside(self)
        rest = self.peek()
        is_qualified = rest.text.lower() in QUALIFIERS or (
            rest.kind == "," and self.peek(1).text.lower() in QUALIFIERS
        )
        if rest.kind != "END" and not is_qualified:
            raise NotAFormula(rest.text)
        return node

    def answer(self, closing: tuple[str, ...] = ()) -> Node:
        """Read a list of items."""
        parts, joins = [self.item()], set()
        while len(parts) <= MAX_PARTS:
            if self.peek().kind == "(" and self.peek(1).text == "or":  # 12 (or 13)
                self.at += 2
                parts.append(self.item())
                self.expect(")")
            elif (join := self._join(closing)) and self.peek().kind not in (*closing, "END"):
                joins.add(join)
                parts.append(self.item())
            else:
                break
        if len(parts) > MAX_PARTS:
            raise TooLarge("parts")
        members = [p for p in parts if not (p.kind == "named" and p.mark == "∈ℤ")]
        if len(parts) == 1 or len(members) == 1:
            return members[0] if members else parts[0]
        flat = [
            p
            for part in members
            for p in (part.parts if part.kind == "list" and part.mark != "{}" else (part,))
        ]
        return Node("list", "cup" if "\\cup" in joins else "", tuple(flat))

    def _join(self, closing: tuple[str, ...]) -> str | None:
        if self.peek().kind == "," and self.peek(1).text.lower() in QUALIFIERS:
            return None
        is_union = (
            self.peek().text == "U"
            and self.peek(-1).kind in (")", "]")
            and self.peek(1).kind in ("(", "[")
        )
        join = self.take(",", ";", "or", "and", "&", "\\cup", "\\text") or (
            "\\cup" if is_union and self.take("U") else None
        )
        while join and self.take(",", "and", "or", ";", "&"):
            pass
        return join

    def item(self) -> Node:
        """Read sides with relations between them."""
        self.take("~")
        sides, signs = [self.side()], []
        while sign := self.take(*RELATIONS):
            signs.append("=" if sign == "\\equiv" else sign)
            sides.append(self.side())
        if not signs:
            return sides[0]
        return relation(sides, signs)

    def side(self) -> Node:
        """Read what may stand between two relations."""
        start, saved = self.at, list(self.tokens)
        for read in (self._special, self._quantity, self._bracketed_list, self._words):
            self.at, self.tokens, self.depth = start, list(saved), 0
            try:
                node = read()
                must_end = read == self._words or (node is not None and node.kind == "base")
                must_end = must_end or self.peek().kind.startswith("\\")
                if node and (not must_end or self.peek().kind in ENDS):
                    return node
            except NotAFormula:
                continue
            except TooLarge:
                if "=" not in [t.kind for t in saved[start:]]:
                    raise
        self.at, self.tokens, self.depth = start, list(saved), 0
        return notations.unknown(self)

    def _special(self) -> Node | None:
        token = self.peek()
        if token.kind == "TIME":
            self.at += 1
            return _time(token.text)
        if notations.has_matrix(self) and not (
            token.kind in ("(", "[") and self.peek(1).kind == "MATRIX"
        ):
            return notations.matrices(self)
        if (
            token.kind in ("(", "[")
            and self.peek(1).kind == "MATRIX"
            and self.peek(2).kind in (")", "]")
        ):
            self.at += 1
            node = notations.matrices(self)
            self.at += 1
            return node
        if token.kind == "\\emptyset":
            self.at += 1
            return Node("text", "∅")
        if token.text == "\\mathbb" or token.kind in REALS:
            return notations.number_set(self)
        return notations.spoken_set(self) or notations.base(self) or notations.number_range(self)

    def _quantity(self) -> Node:
        minus = self.peek().kind == "-" and self.peek(1).kind == "MONEY"
        self.at += minus
        money = self.take("MONEY")
        value = self.sum()
        value = values.negate(value) if minus else value
        if self.take(":"):
            return Node(
                "tuple", ":", tuple(Node("value", value=v) for v in (value, *self._ratio()))
            )
        return with_unit(self, value, (("dollar", 1),) if money else ())

    def _ratio(self) -> list[Value]:
        parts = [self.sum()]
        while self.take(":"):
            parts.append(self.sum())
        return parts

    def _bracketed_list(self) -> Node | None:
        opening = self.peek().kind
        if opening not in LIST_BRACKETS:
            if self.peek().text == "C" and self.peek(1).kind == "(":
                self.at += 2
                top = self.sum()
                self.expect(",")
                bottom = self.sum()
                self.expect(")")
                return Node("value", value=binomial(top, bottom))
            return None
        self.at += 1
        closing = LIST_BRACKETS[opening]
        if opening == "{{" and (condition := notations.condition(self)):
            self.at = condition
            inner = self.answer(closing)
            self.expect(*closing)
            return inner
        if opening == "{{" and self.take("}}"):
            return Node("text", "∅")
        inner = self.answer(closing)
        mark = opening + self.expect(*closing)
        parts = inner.parts if inner.kind == "list" else (inner,)
        if opening == "{{":
            return Node("list", "{}", parts)
        if opening == "{" or inner.kind != "list":
            return inner
        node = Node("tuple", mark, parts)
        if self.take("\\setminus"):
            excluded = self.side()
            points = excluded.parts if excluded.kind == "list" else (excluded,)
            return complement(points) if node == ALL_REALS else Node("opaque", str(node))
        return node

    def matrix(self, text: str) -> Node:
        """Read a matrix from its text."""
        return matrix(text)

    def _words(self) -> Node:
        start = self.at
        while self.peek().kind in ("WORD", "NUMBER") and self.peek().text.lower() not in (
            "or",
            "and",
        ):
            self.at += 1
        words = [t.text.lower() for t in self.tokens[start : self.at]]
        if not any((len(w) > 1 and w.isalpha()) or "-" in w for w in words):
            raise NotAFormula("no words")
        return Node("text", " ".join(words))


def _time(text: str) -> Node:
    """A time of day, as hours, minutes and seconds of 24 hours."""
    hours, *rest = map(int, re.findall(r"\d+", text))
    half = re.findall("[ap](?=[.m])", text.lower())[-1]
    hours = hours % 12 + (12 if half == "p" else 0)
    return Node("tuple", "time", tuple(number(n) for n in (hours, *rest)))


def matrix(text: str) -> Node:
    """Return a matrix in LaTeX; its cells are formulas."""
    match = TABLE.match(text)
    if not match or match.lastgroup != "MATRIX":
        raise NotAFormula("no matrix")
    body = text[text.index("}") + 1 : text.rindex("\\end")]
    body = re.sub(r"^\{[lcr|]*\}", "", body)
    rows = [row.split("&") for row in re.split(r"\\\\(?:\[[^\]]*\])?", body) if row.strip()]
    if sum(map(len, rows)) > MAX_PARTS:
        raise TooLarge("cells")
    cells = [tuple(parse(cell) for cell in row) for row in rows]
    if not cells or len({len(row) for row in cells}) != 1:
        raise NotAFormula("rows of different lengths")
    return Node("matrix", parts=tuple(Node("tuple", "()", row) for row in cells))
