"""The canonical form of an answer: one hashable key for every way to write the same thing.

Equality of answers is equality of keys, so it is reflexive, symmetric and transitive, and classes
of votes do not depend on any order. A key never depends on a reference and grants nothing; what
grading allows on top is in `readings`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.lexicon import SYNONYMS, words_of
from lm_eval_tts.grading.trees import Node, complement, components, is_name
from lm_eval_tts.grading.values import BINDERS, FUNCTIONS, UNREADABLE, significant

EMPTY_WORDS = words_of("empty_words")


@lru_cache(maxsize=50_000)
def key(text: str, for_vote: bool = False) -> Hashable:
    """Return the canonical form of an answer; of a vote without the name of the value."""
    try:
        node = parse(text)
        return form_of(unnamed(node) if for_vote else node)
    except UNREADABLE:
        return ("huge", "".join(text.split()))


def equal(a: str, b: str) -> bool:
    """Say whether two answers are the same, without any tolerance or leniency.

    Stricter than `grade`: "5 cm" and "5" differ, though the first answers the second.
    """
    return a == b or key(a) == key(b)


def answer_classes(answers: Sequence[str | None]) -> list[int | None]:
    """Return a number for each answer, the same for equal ones; None for a missing answer."""
    numbers: dict[Hashable, int] = {}
    return [
        None if answer is None else numbers.setdefault(key(answer, True), len(numbers))
        for answer in answers
    ]


def unnamed(node: Node) -> Node:
    """Return the side of an equation whose other side only names it: 3 of x = 3, 12 of m + n = 12.

    2x - 3y = 12 and x² + y² = 0 stay.
    """
    if node.kind in ("list", "tuple"):
        return node.mapped(unnamed)
    if (node.kind, node.mark) == ("relation", "="):
        for name, side in (node.parts, node.parts[::-1]):
            if _names_value(name, side):
                return side
    return node


def _names_value(left: Node, right: Node) -> bool:
    """Whether a side of an equation is what somebody may ask the value of.

    Words, x, m + n, an integral and sin 30° are; 2x and x² + y² are not.
    """
    is_number = not right.has_variables and right.exact.constant != 0
    if left.kind == "opaque":
        return is_number or not right.value
    if not left.value:
        return left.kind in ("text", "base", "tuple")
    if is_name(left):  # not S = D or MR = MC, which say that two things are the same
        letters = [len(side.value.names) if side.value else 0 for side in (left, right)]
        return not is_name(right) or (letters[0] == 1 < letters[1])
    if not right.value or left.value.key == right.value.key:
        return right.value is not None
    is_open = any(name.startswith(BINDERS) for name in left.value.names)
    if is_open or left.value.op in FUNCTIONS:
        return is_open or is_number
    factors = [item for term in left.value.terms for item in term.factors()]
    is_sum = all(f.constant == -1 or (f.variables == {f.op} and rate == 1) for f, rate in factors)
    return is_sum and is_number and bool(left.value.variables)


def form_of(node: Node) -> Hashable:
    """Return the canonical form of a tree. Raises TooLarge and NotAFormula."""
    if node.kind == "value":
        found = components(node.exact)
        return ("tuple", "vector", _forms(found)) if found else (node.exact.key, node.unit)
    if node.kind in _FORMS:
        return _FORMS[node.kind](node)
    return (node.kind, "".join(node.mark.split()), _forms(node.parts))


def _forms(nodes: Sequence[Node]) -> tuple[Hashable, ...]:
    return tuple(map(form_of, nodes))


def _list(node: Node) -> Hashable:
    if (node.parts[0].kind, node.parts[0].mark) == ("relation", "!="):  # x ≠ 1, 2
        return form_of(complement([p.parts[1] if p.parts else p for p in node.parts]))
    members = frozenset(_forms(node.parts))
    return next(iter(members)) if len(members) == 1 else ("list", members)


def _matrix(node: Node) -> Hashable:
    """A vector, standing or lying; a matrix is that of [[1, 2], [3, 4]]."""
    rows = [_forms(row.parts) for row in node.parts]
    if len(rows) == 1 or all(len(row) == 1 for row in rows):
        return ("tuple", "vector", tuple(cell for row in rows for cell in row))
    return ("tuple", "[]", tuple(("tuple", "[]", row) for row in rows))


def _relation(node: Node) -> Hashable:
    """Equations are the same if their differences are, up to a factor."""
    left, right = node.parts[:2]
    if node.mark == "!=" and is_name(left):
        return form_of(complement([right]))
    if node.mark != "=" or any(side.kind != "value" or side.unit for side in node.parts):
        return ("relation", node.mark, _forms(node.parts))
    first, second = (left.exact - right.exact).number
    if not first or not second:
        return ("identity", frozenset((left.exact.key, right.exact.key)))
    return ("equation", significant(first / second))


def _text(node: Node) -> Hashable:
    words = (word for word in node.mark.replace("-", " ").split() if word not in EMPTY_WORDS)
    plain = " ".join(words)
    if plain.startswith("no "):
        plain = plain.removesuffix(" exist").removesuffix(" exists")
    return ("text", SYNONYMS.get(plain, plain).replace(" ", ""))


_FORMS: dict[str, Callable[[Node], Hashable]] = {
    "list": _list,
    "matrix": _matrix,
    "relation": _relation,
    "text": _text,
}
