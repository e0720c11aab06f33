"""Special ways to write an answer: sets in words, other bases, ranges, matrices, asides.

The lower half of `grammar`, whose parser these functions are given.
"""

from __future__ import annotations

from abc import abstractmethod

from lm_eval_tts.grading import values
from lm_eval_tts.grading.cursor import NUMBERS, number_of, script, spelled_name
from lm_eval_tts.grading.formulas import FormulaReader
from lm_eval_tts.grading.functions import NotAFormula
from lm_eval_tts.grading.tokens import words_of
from lm_eval_tts.grading.trees import (
    ALL_REALS,
    Node,
    added,
    complement,
    multiplied,
    node_of,
    number,
    scaled,
)
from lm_eval_tts.grading.values import Value

REALS = ("\\R", "\\Reals", "\\reals")
QUALIFIERS = frozenset(
    words_of("at when whenever where for if with because since such assuming given")
)
SPOKEN = {  # whether 0 is the lower end, the upper one, and the brackets
    "": (False, False, "()"), "positive": (True, False, "()"), "negative": (False, True, "()"),
    "nonnegative": (True, False, "[)"), "nonpositive": (False, True, "(]"),
}  # fmt: skip
SET_WORDS = frozenset(
    words_of(
        "all any every real reals the set of and numbers number positive negative nonnegative "
        "non-negative nonpositive non-positive except but not equal to than other for"
    )
)


class AnswerReader(FormulaReader):
    """A reader of formulas with the levels above them, which `grammar` reads."""

    @abstractmethod
    def side(self) -> Node:
        """Read what may stand between two relations."""

    @abstractmethod
    def matrix(self, text: str) -> Node:
        """Read a matrix from its text."""


def skip_label(parser: AnswerReader) -> None:
    """Answer: 5"""
    at = 0
    while parser.peek(at).kind == "WORD" and at < 4:
        at += 1
    if (
        at
        and parser.peek(at).kind == ":"
        and len(parser.peek(0).text) > 2
        and parser.peek(at + 1).kind != "END"
    ):
        parser.at += at + 1


def skip_aside(parser: AnswerReader) -> None:
    """12 (twelve), 0.5 (or 1/2) and the like: words in parentheses."""
    if parser.peek().kind != "(" or not parser.peek().spaced:
        return
    end = next(
        (k for k in range(parser.at, len(parser.tokens)) if parser.tokens[k].kind == ")"), None
    )
    if end is not None and (
        (parser.peek(1).kind == "WORD" and len(parser.peek(1).text) > 1)
        or parser.peek(1).kind == "NUMBER"
    ):
        parser.at = end + 1


def bind_integers(parser: AnswerReader) -> None:
    """In "kπ, k ∈ ℤ" the name of k says nothing."""
    for at, token in enumerate(parser.tokens[2:], 2):
        is_integers = token.kind == "\\mathbb" or token.text in ("Z", "ℤ", "\\Z", "N")
        if (
            is_integers
            and parser.tokens[at - 1].kind == "\\in"
            and parser.tokens[at - 2].kind == "WORD"
        ):
            parser.known[spelled_name(parser.tokens[at - 2])] = values.free("any integer")
    for at, token in enumerate(parser.tokens[:-2]):
        if token.text in ("integer", "integers") and at > 1:
            names = [
                t
                for t in parser.tokens[at - 3 : at]
                if t.kind == "WORD" and len(t.text) == 1 and t.text != "a"
            ]
            if names:
                parser.known[names[-1].text] = values.free("any integer")


def unknown(parser: AnswerReader) -> Node:
    """A side of an equation that is no known formula: 1 + 2 + ... + 9 = 45."""
    start, depth = parser.at, 0
    while parser.peek().kind != "END" and (depth > 0 or parser.peek().kind != "="):
        depth += (parser.peek().kind in ("(", "[", "{", "{{")) - (
            parser.peek().kind in (")", "]", "}", "}}")
        )
        parser.at += 1
    if parser.peek().kind != "=" or parser.at == start or depth:
        raise NotAFormula("nothing known")
    return Node("opaque", "".join(t.text for t in parser.tokens[start : parser.at]))


def spoken_set(parser: AnswerReader) -> Node | None:
    """All (positive, nonnegative ...) real numbers (and zero), except some."""
    words: list[str] = []
    while (
        parser.peek(len(words)).kind == "WORD" and parser.peek(len(words)).text.lower() in SET_WORDS
    ):
        words.append(parser.peek(len(words)).text.lower().replace("-", ""))
    if not {"numbers", "number", "reals"} & set(words):
        return None
    parser.at += len(words)
    while words[-1] in ("and", "except", "but", "not", "equal", "to", "than", "other", "for"):
        words.pop()
        if not words:
            return None
    signed = next((w for w in words if w in SPOKEN), "")
    is_joined = parser.peek(-1).text == "and" or parser.take(",")
    with_zero = bool(is_joined) and parser.peek().text == "0"
    parser.at += with_zero
    if (
        parser.peek(-1).text.lower() in ("except", "than", "to", "for", "but")
        and parser.peek().kind != "END"
    ):
        excluded = [parser.side()]
        while parser.take("and", "or", ","):
            excluded.append(parser.side())
        return complement(excluded)
    low, high, mark = SPOKEN[signed]
    return Node(
        "tuple",
        mark.replace("(", "[")
        if with_zero and low
        else mark.replace(")", "]")
        if with_zero
        else mark,
        (number(0) if low else ALL_REALS.parts[0], number(0) if high else ALL_REALS.parts[1]),
    )


def has_matrix(parser: AnswerReader) -> bool:
    """Say whether a matrix stands in this side."""
    for token in parser.tokens[parser.at :]:
        if token.kind in ("MATRIX", ",", ";", "=", "<", ">", "<=", ">=", "!=", "~", "\\in"):
            return token.kind == "MATRIX"
    return False


def number_set(parser: AnswerReader) -> Node:
    """Read a set of numbers, with what is taken out of it."""
    parser.at += 1
    braced = parser.take("{")
    name = parser.peek(-1).text[1:2] if parser.peek(-1).kind in REALS else parser.peek().text
    if parser.peek(-1).kind not in REALS:
        parser.at += 1
    if braced:
        parser.expect("}")
    if name.upper() != "R" or parser.peek().kind == "^":
        return Node("opaque", f"\\mathbb{name}")
    if parser.take("\\setminus", "-"):
        excluded = parser.side()
        return complement(excluded.parts if excluded.kind == "list" else (excluded,))
    return ALL_REALS


def base(parser: AnswerReader) -> Node | None:
    """101_2, 1A_{16}, 101 in base 2"""
    digits = ""
    at = 0
    while (
        parser.peek(at).kind in ("NUMBER", "WORD")
        and (at == 0 or not parser.peek(at).spaced)
        and parser.peek(at).text not in ("base", "in")
    ):
        digits += parser.peek(at).text
        at += 1
    if not digits or not digits[0].isdigit() or not digits.isalnum():
        return None
    following = [parser.peek(at + k).text for k in range(4)]
    if parser.peek(at).kind == "SUB":
        base, length = script(following[0]), 1
    elif following[0] == "_":
        braced = following[1] == "{"
        base, length = following[1 + braced], 2 + 2 * braced
    elif ("base" in following[:2] and following[0] == "base") or following[:2] == ["in", "base"]:
        base, length = following[following.index("base") + 1], following.index("base") + 2
    else:
        return None
    if not base.isdigit():
        return None
    parser.at += at + length
    return Node("base", base, (Node("text", digits.upper().lstrip("0")),))


def number_range(parser: AnswerReader) -> Node | None:
    """110-130, 3 to 7: a range, no difference."""
    low, sign, high = (parser.peek(k) for k in range(3))
    if not (low.kind in NUMBERS and high.kind in NUMBERS and len(parser.tokens) == parser.at + 3):
        return None
    is_dash = sign.kind == "-" and parser.at == 0
    if sign.text == "to" or (is_dash and number_of(low) < number_of(high)):
        parser.at += 3
        ends = (node_of(values.rational(number_of(end))) for end in (low, high))
        return Node("tuple", "to", tuple(ends))
    return None


def condition(parser: AnswerReader) -> int | None:
    """Where the condition of {x : x > 3} or {x ∈ ℝ | x > 3} starts."""
    ahead = [parser.peek(k).kind for k in range(8)]
    mark = next((k for k, kind in enumerate(ahead) if kind in ("|", ":")), None)
    is_name = parser.peek().kind == "WORD" and len(parser.peek().text) == 1
    return (
        parser.at + mark + 1 if mark and is_name and not {",", "}}"} & set(ahead[:mark]) else None
    )


def matrices(parser: AnswerReader) -> Node:
    """A sum of products of matrices, each with a factor before it."""
    total = None
    while parser.peek().kind not in (
        "END",
        ",",
        ";",
        ")",
        "]",
        "=",
        "<",
        ">",
        "<=",
        ">=",
        "!=",
        "~",
        "\\in",
    ):
        minus = parser.take("-", "+") == "-"
        factor = values.rational(-1 if minus else 1)
        if parser.peek().kind != "MATRIX":
            factor = values.multiply(factor, product_before_matrix(parser))
        parser.take("*")
        term = scaled(parser.matrix(parser.peek().text), factor)
        parser.expect("MATRIX")
        while parser.take("*") or parser.peek().kind == "MATRIX":
            term = multiplied(term, parser.matrix(parser.peek().text))
            parser.expect("MATRIX")
        total = term if total is None else added(total, term)
    assert total
    return total


def product_before_matrix(parser: AnswerReader) -> Value:
    """Read the factors before a matrix."""
    value = parser.power()
    while parser.peek().kind != "MATRIX" and not (
        parser.peek().kind == "*" and parser.peek(1).kind == "MATRIX"
    ):
        if parser.take("/"):
            value = values.divide(value, parser.power())
        else:
            parser.take("*")
            value = values.multiply(value, parser.power())
    return value
