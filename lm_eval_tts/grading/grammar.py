r"""One grammar for answers, from tokens to a small tree of exact values.

    answer := item (("," | ";" | "or" | "and" | "∪") item)*
    item   := side (RELATION side)*
    side   := notation | quantity | bracket answer bracket | words

Formulas are for `formulas`, notations for `notations`, what a tree equals for `canonical`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import lru_cache

from lm_eval_tts.grading.formulas import EITHER_SIGN
from lm_eval_tts.grading.functions import binomial
from lm_eval_tts.grading.lexicon import SYNONYMS, words_of
from lm_eval_tts.grading.notations import MAX_PARTS, QUALIFIERS, NotationReader
from lm_eval_tts.grading.numerals import fold
from lm_eval_tts.grading.tokens import MAX_LENGTH, Token, tidy, tokens
from lm_eval_tts.grading.trees import ALL_REALS, EMPTY, Node, complement, node_of, relation
from lm_eval_tts.grading.values import NotAFormula, TooLarge

ENDS = words_of("answer_ends")
RELATIONS = ("=", "<", ">", "<=", ">=", "!=", "~", "\\in", "\\equiv")
LIST_BRACKETS = {"(": (")", "]"), "[": ("]", ")"), "{{": ("}}",), "{": ("}",)}
LEADING = words_of("leading")
ELEMENTS = words_of("elements")
_FONT_NAMES = re.compile(r"\\(?:text|math(?:rm|bf|sf)|ce|rm|bf)\b|\\[()]")
NO_SCRIPTS = {ord(sign): None for sign in "_{}$ "} | {ord("₀") + d: str(d) for d in range(10)}
_BRACED_SIGN = re.compile(r"\{\s*([-+=])\s*\}")  # {-}1, without the space of a binary sign
_ELEMENT = re.compile(r"[A-Z][a-z]?")
_ATOMS = rf"{_ELEMENT.pattern}(?:[2-9]|[1-9]\d)?"
_SUBSTANCE = re.compile(rf"(?=.*\d)(?:{_ATOMS}|\((?:{_ATOMS})+\)\d?){{2,}}")  # H2O, but not O2
_MARKS_BEFORE = (".", ",", ";", ":", '"', "'", "?", "\\to", "=")  # punctuation around an answer
_MARKS_AFTER = (*_MARKS_BEFORE[:-1], "\\", "\\n")


@lru_cache(maxsize=20_000)
def parse(text: str, *, comma: bool = False) -> Node:
    """Return the tree of an answer. comma: read 1,5 as a decimal. Raises TooLarge."""
    plain = tidy(html.unescape(text[:MAX_LENGTH]) if "&" in text else text[:MAX_LENGTH])
    plain = _BRACED_SIGN.sub(r"\1", plain)
    if known := _known(plain):
        return known
    found = _trimmed(fold(tokens(plain, comma=comma)))
    try:
        tree = AnswerReader(found).whole()
        if any(token.kind in EITHER_SIGN for token in found):
            other = AnswerReader(found, -1).whole()
            both = [part for t in (tree, other) for part in (t.parts if t.kind == "list" else (t,))]
            tree = tree if tree == other else Node("list", tree.mark, tuple(both))
        return tree
    except (NotAFormula, RecursionError, IndexError):
        return _fallback(found)


def _known(plain: str) -> Node | None:
    """An abbreviation, as DNE, or a substance: no product of letters."""
    word = _FONT_NAMES.sub("", plain).translate(NO_SCRIPTS)
    if word.lower() in SYNONYMS and word.isalpha():
        return Node("text", word.lower())
    return Node("opaque", word) if is_substance(word) else None


def is_substance(word: str) -> bool:
    """Say whether a word is the formula of a substance, as H2SO4, and no product of letters."""
    return bool(_SUBSTANCE.fullmatch(word)) and ELEMENTS.issuperset(_ELEMENT.findall(word))


def _trimmed(found: list[Token]) -> list[Token]:
    """Without punctuation around, markdown, quotes and the rest of a tag that was cut off."""
    kinds = [token.kind for token in found]
    if len(found) > 3 and (kinds[0], kinds[-1]) == ("<", ">") and "," in kinds:
        found[0], found[-1] = found[0]._replace(kind="("), found[-1]._replace(kind=")")
    elif len(found) > 1 and kinds[-1] in ("<", ">"):
        found.pop()
    elif len(found) > 3 and (kinds[0] == "]" or kinds[-1] == "["):  # ]2, 7[ of ISO 80000-2
        found[0] = found[0]._replace(kind=kinds[0].replace("]", "("))
        found[-1] = found[-1]._replace(kind=kinds[-1].replace("[", ")"))
    for rest in (["<", "/"], ["<", "/", "WORD"]):
        if [token.kind for token in found[-len(rest) :]] == rest:
            del found[-len(rest) :]
    bold = [at for at, token in enumerate(found) if token.text == "**"]
    if len(bold) > 1 or {0, len(found) - 1} & set(bold):  # 2**3 is a power
        found = [token for token in found if token.text != "**"]
    while found and found[-1].kind in _MARKS_AFTER:
        found.pop()
    while found and found[0].kind in _MARKS_BEFORE:
        found.pop(0)
    opened = sum((t.kind == "{") - (t.kind == "}") for t in found)
    while opened < 0 and found and found[-1].kind == "}":
        found.pop()
        opened += 1
    return found + [Token("}", "}")] * (opened if opened <= 3 else 0)


def _fallback(found: Sequence[Token]) -> Node:
    """Words that are not a formula, or a formula that is not known."""
    words = [token.text.lower() for token in found if token.text.replace("-", "").isalnum()]
    has_words = any(token.kind == "WORD" and len(token.text) > 1 for token in found)
    if has_words and not any(token.kind.startswith("\\") for token in found):
        return Node("text", " ".join(words))
    return Node("opaque", "".join(t.text for t in found if t.kind not in ("{", "}", "_")))


class AnswerReader(NotationReader):
    """The levels of an answer above its formulas."""

    def whole(self) -> Node:
        """Read an answer to its end."""
        arrows = [at for at, token in enumerate(self.tokens) if token.kind == "\\to"]
        if arrows and not any(token.kind == "\\lim" for token in self.tokens):
            self.at = arrows[-1] + 1
        self._skip_label()
        while self.peek().text.lower() in LEADING and self.peek(1).kind != "END":
            if len(self.peek().text) == 1 and self.peek(1).kind != "WORD":
                break
            self.at += 1
        self.bind_integers()
        node = self.answer()
        self._skip_aside()
        rest = self.peek(1) if self.peek().kind == "," else self.peek()
        if rest.kind != "END" and rest.text.lower() not in QUALIFIERS:
            raise NotAFormula(rest.text)
        return node

    def _skip_label(self) -> None:
        """Answer: 5"""
        words = 0
        while self.peek(words).kind == "WORD" and words < 4:
            words += 1
        is_label = words and self.peek(words).kind == ":" and self.peek(words + 1).kind != "END"
        if is_label and len(self.peek().text) > 2:
            self.at += words + 1

    def _skip_aside(self) -> None:
        """12 (twelve), 0.5 (or 1/2) and the like: words in parentheses."""
        inner, at = self.peek(1), self.at
        is_aside = inner.kind == "NUMBER" or (inner.kind == "WORD" and len(inner.text) > 1)
        if self.peek().kind == "(" and self.peek().spaced and is_aside:
            ends = (k for k in range(at, len(self.tokens)) if self.tokens[k].kind == ")")
            self.at = next(ends, at - 1) + 1

    def answer(self, closing: tuple[str, ...] = ()) -> Node:
        """Read a list of items."""
        parts, joins = [self.item()], set()
        while len(parts) <= MAX_PARTS:
            if self.take_all("(", "or"):  # 12 (or 13)
                parts.append(self.item())
                self.expect(")")
            elif (join := self._join()) and self.peek().kind not in (*closing, "END"):
                joins.add(join)
                parts.append(self.item())
            else:
                break
        if len(parts) > MAX_PARTS:
            raise TooLarge("parts")
        members = [part for part in parts if part.mark != "∈ℤ"] or parts
        if len(members) == 1:
            return members[0]
        are_lists = [part.kind == "list" and part.mark != "{}" for part in members]
        nested = [
            p.parts if is_list else (p,) for p, is_list in zip(members, are_lists, strict=True)
        ]
        return Node("list", "cup" if "\\cup" in joins else "", tuple(p for n in nested for p in n))

    def _join(self) -> str | None:
        if self.peek().kind == "," and self.peek(1).text.lower() in QUALIFIERS:
            return None
        around = self.peek(-1).kind in (")", "]") and self.peek(1).kind in ("(", "[")
        join = self.take(",", ";", "or", "and", "&", "\\cup")
        join = join or ("\\cup" if around and self.take("U") else None)
        while join and self.take(",", "and", "or", ";", "&"):
            pass
        return join

    def item(self) -> Node:
        """Read sides with relations between them."""
        self.take("~")
        sides, signs = [self.side()], []
        while sign := self.take(*RELATIONS):
            signs.append(sign)
            sides.append(self.side())
        if "\\equiv" in signs and not sides[0].has_variables:
            return sides[-1]  # 7^10 ≡ 9: what it leaves
        return relation(sides, [s.replace("\\equiv", "=") for s in signs]) if signs else sides[0]

    def side(self) -> Node:
        """Read what may stand between two relations."""
        start, saved = self.at, list(self.tokens)
        for read in (self._notation, self.quantity, self._bracketed_list, self._words):
            self.at, self.tokens, self.depth = start, list(saved), 0
            try:
                node = read()
                must_end = read == self._words or (node is not None and node.kind == "base")
                must_end = must_end or self.peek().kind[:1] in ("\\", "_")
                if node and (not must_end or self.peek().kind in ENDS):
                    return node
            except NotAFormula:
                continue
            except TooLarge:
                if "=" not in [token.kind for token in saved[start:]]:
                    raise
        self.at, self.tokens, self.depth = start, list(saved), 0
        return self._unknown()

    def _notation(self) -> Node | None:
        if self.take("\\emptyset") or self.take_all("{{", "}}"):
            return EMPTY
        readers = (self.time, self.date, self.matrices, self.number_set, self.spoken_set, self.base)
        return next((node for read in (*readers, self.number_range) if (node := read())), None)

    def _bracketed_list(self) -> Node | None:
        if self.take_all("C", "("):
            top = self.sum()
            self.expect(",")
            bottom = self.sum()
            self.expect(")")
            return node_of(binomial(top, bottom))
        opening = self.peek().kind
        if opening not in LIST_BRACKETS:
            return None
        self.at += 1
        is_set = opening == "{{"
        builder = is_set and self._skip_to_condition()
        inner = self.answer(LIST_BRACKETS[opening])
        mark = opening + self.expect(*LIST_BRACKETS[opening])
        parts = inner.parts if inner.kind == "list" else (inner,)
        if builder or (not is_set and (opening == "{" or inner.kind != "list")):
            return inner
        if is_set:
            return Node("list", "{}", parts)
        node = Node("tuple", mark, parts)
        if self.take("\\setminus"):
            points = self.points()
            return complement(points) if node == ALL_REALS else Node("opaque", str(node))
        return node

    def _skip_to_condition(self) -> bool:
        """To the condition of {x : x > 3} or {x ∈ ℝ | x > 3}."""
        ahead = [self.peek(k).kind for k in range(8)]
        mark = next((k for k, kind in enumerate(ahead) if kind in ("|", ":")), 0)
        is_name = self.peek().kind == "WORD" and len(self.peek().text) == 1
        if not mark or not is_name or {",", "}}"} & set(ahead[:mark]):
            return False
        self.at += mark + 1
        return True

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
        start, depth = self.at, 0
        while self.peek().kind != "END" and (depth > 0 or self.peek().kind != "="):
            kind = self.peek().kind
            depth += (kind in ("(", "[", "{", "{{")) - (kind in (")", "]", "}", "}}"))
            self.at += 1
        if self.peek().kind != "=" or self.at == start or depth:
            raise NotAFormula("nothing known")
        return Node("opaque", "".join(token.text for token in self.tokens[start : self.at]))
