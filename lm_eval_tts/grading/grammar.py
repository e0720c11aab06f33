r"""One grammar for answers, from tokens to a small tree of exact values.

answer := item (("," | ";" | "or" | "and" | "∪") item)*
item   := side (RELATION side)*
side   := notation | quantity | bracket answer bracket | words
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import lru_cache

from lm_eval_tts.grading.formulas import EITHER_SIGN
from lm_eval_tts.grading.lexicon import NOTATION, SYNONYMS, words_of
from lm_eval_tts.grading.notations import QUALIFIERS, NotationReader
from lm_eval_tts.grading.numerals import fold
from lm_eval_tts.grading.tokens import MAX_LENGTH, Token, tidy, tokens
from lm_eval_tts.grading.trees import ALL_REALS, EMPTY, Node, complement, relation
from lm_eval_tts.grading.values import NotAFormula, TooLarge

MAX_PARTS = 100
ENDS = words_of("answer_ends")
RELATIONS = ("=", "<", ">", "<=", ">=", "!=", "~", "\\in")
BRACKETS = {"(": (")", "]"), "[": ("]", ")"), "{{": ("}}",), "{": ("}",)}
LEADING = words_of("leading")
SET_WORDS = words_of("set_words")
SPOKEN: dict[str, str] = NOTATION["spoken_sets"]
_OF_NUMBERS = {"numbers", "number", "reals", "\\r", "\\reals", "\\mathbb{r}"}
EXCEPT = ("except", "but", "than", "to", "for", "\\setminus", "\\backslash", "∖")
_CLOSING = ("END", ")", "]", "}", "}}")
_TURNED = {"<>": "()", "][": "()", "]]": "(]", "[[": "[)"}  # <1, 2>, and ]2, 7[ of ISO 80000-2
_ATOMS = rf"(?:{'|'.join(sorted(words_of('elements')))})(?:[2-9]|[1-9]\d)?"
_SUBSTANCE = re.compile(rf"(?=.*\d)(?:{_ATOMS}|\((?:{_ATOMS})+\)\d?){{2,}}")  # H2O, but not O2
_MARKS_BEFORE = (*".,;:\"'?^=", "\\to")  # punctuation around an answer
_MARKS_AFTER = (*".,;:\"'?^<>", "\\to", "\\", "\\n")


@lru_cache(maxsize=20_000)
def parse(text: str, *, comma: bool = False) -> Node:
    """Return the tree of an answer. comma: read 1,5 as a decimal. Raises TooLarge."""
    text = text[:MAX_LENGTH].partition("</")[0]  # the rest is a tag that was cut off
    plain = tidy(html.unescape(text) if "&" in text else text)
    found = _trimmed(fold(tokens(plain, comma=comma)))
    word = bare(found)
    if word.isalpha() and word.lower() in SYNONYMS:  # DNE is no product of letters
        return Node("text", word.lower())
    if is_substance(word):
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


def is_substance(word: str) -> bool:
    """Say whether a word is the formula of a substance, as H2SO4, and no product of letters."""
    return bool(_SUBSTANCE.fullmatch(word))


def _trimmed(found: list[Token]) -> list[Token]:
    """Without punctuation around, markdown and quotes."""
    kinds = [token.kind for token in found]
    if found and {",", ";"} & set(kinds) and (turned := _TURNED.get(kinds[0] + kinds[-1])):
        found = [Token(turned[0], turned[0]), *found[1:-1], Token(turned[1], turned[1])]
    if sum(token.text == "**" for token in found) > 1:
        found = [token for token in found if token.text != "**"]
    lacking = kinds.count("{") - kinds.count("}")
    marks = (*_MARKS_AFTER, "}") if lacking < 0 else _MARKS_AFTER
    while found and found[-1].kind in marks:
        found.pop()
    while found and found[0].kind in _MARKS_BEFORE:
        found.pop(0)
    return found + [Token("}", "}")] * (lacking if lacking <= 3 else 0)  # of an answer that was cut


class AnswerReader(NotationReader):
    """The levels of an answer above its formulas."""

    def whole(self) -> Node:
        """Read an answer to its end."""
        words = 0
        while self.peek(words).kind == "WORD" and len(self.peek(words).text) > 1:
            words += 1
        if words and self.peek(words).kind == ":" and self.peek(words + 1).kind != "END":
            self.at = words + 1  # Total: 96
        while self.peek().text.lower() in LEADING and self.peek(1).kind != "END":
            self.at += 1
        node = self.answer()
        rest = self.peek(1) if self.peek().kind == "," else self.peek()
        if rest.kind != "END" and rest.text.lower() not in QUALIFIERS:
            raise NotAFormula(rest.text)
        return node

    def answer(self) -> Node:
        """Read a list of items."""
        parts, joins = [self.item()], set()
        while join := self._join():
            joins.add(join)
            parts.append(self.item())
            if join == "(":
                self.expect(")")
            if len(parts) > MAX_PARTS:
                raise TooLarge("parts")
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
        return join if self.peek().kind not in _CLOSING else None

    def item(self) -> Node:
        """Read sides with relations between them."""
        self.take("~")
        sides, signs = [self.side()], []
        while sign := self.take(*RELATIONS):
            signs.append(sign)
            sides.append(self.side())
        return relation(sides, signs) if signs else sides[0]

    def side(self) -> Node:
        """Read what may stand between two relations: by the first reader that gets to its end."""
        start, saved = self.at, list(self.tokens)
        readers = (self.time, self.date, self.number_set, self.base, self.number_range)
        for read in (*readers, self.quantity, self._bracketed, self._words, self._unknown):
            self.at, self.tokens, self.depth = start, list(saved), 0
            try:
                node = read()
            except NotAFormula:
                continue
            if node and self.peek().kind in ("WORD", *ENDS):
                return node
        raise NotAFormula("nothing known")

    def number_set(self) -> Node | None:
        """Read ∅, ℤ, ℝ, or all (positive, nonnegative ...) real numbers (and zero), except some."""
        if self.take("\\emptyset") or (self.take("{{") and self.take("}}")):
            return EMPTY
        if self.peek().kind.startswith("\\mathbb"):
            return Node("opaque", self.expect(self.peek().kind))
        words: list[str] = []
        while (word := self.peek().text.lower().replace("-", "")) in SET_WORDS:
            words.append(word)
            self.at += 1
        if not _OF_NUMBERS & set(words) or self.peek().kind == "^":
            return None
        if words[-1] in EXCEPT or self.take("-"):
            points = self.answer()
            return complement(points.parts if points.kind == "list" else [points])
        name = next((word for word in words if word in SPOKEN), "")
        self.take(",")
        name += " and 0" if self.take("0") else ""
        return AnswerReader(tokens(SPOKEN[name])).answer() if name in SPOKEN else ALL_REALS

    def _bracketed(self) -> Node | None:
        opening = self.take(*BRACKETS)
        if not opening:
            return None
        is_set, inner = opening == "{{", self.answer()
        is_condition = is_set and self.take("|", ":")  # {x : x > 3} or {x ∈ ℝ | x > 3}
        inner = self.answer() if is_condition else inner
        mark = opening + self.expect(*BRACKETS[opening])
        if is_condition or (not is_set and (opening == "{" or inner.kind != "list")):
            return inner
        parts = inner.parts if inner.kind == "list" else (inner,)
        return Node("list", "{}", parts) if is_set else Node("tuple", mark, parts)

    def _words(self) -> Node:
        words: list[str] = []
        while self.peek().kind in ("WORD", "NUMBER") and self.peek().text not in ("or", "and"):
            words.append(self.peek().text.lower())
            self.at += 1
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
