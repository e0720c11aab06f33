"""The tree of an answer, and its canonical form: one hashable key for all ways to write the same.

A key never depends on a reference and grants nothing; what grading allows on top is in `equality`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import NamedTuple

from lm_eval_tts.grading import values
from lm_eval_tts.grading.notation import SYNONYMS, Mark, words_of
from lm_eval_tts.grading.values import BINDERS, CTX, FUNCTIONS, NotAFormula, Value, significant

EMPTY_WORDS = words_of("empty_words")


class Node(NamedTuple):
    """kind: value, list, tuple, matrix (a row is a tuple), relation, text, base or opaque.

    mark: the brackets, signs of a relation, name, base, noun or words. unit: of a value.
    """

    kind: str
    mark: str = ""
    parts: tuple[Node, ...] = ()
    value: Value | None = None
    unit: Mark = ()

    @property
    def exact(self) -> Value:
        """The value. Raises NotAFormula if this is not one."""
        if self.value is None:
            raise NotAFormula(self.kind)
        return self.value

    def mapped(self, change: Callable[[Node], Node]) -> Node:
        """Return this with each of its parts changed."""
        return self._replace(parts=tuple(map(change, self.parts))) if self.parts else self


def node_of(value: Value | int) -> Node:
    """Return a value as a tree."""
    return Node("value", value=values.rational(value) if isinstance(value, int) else value)


INFINITE = node_of(values.free("∞"))
MINUS_INFINITE = node_of(-values.free("∞"))
ALL_REALS = Node("tuple", "()", (MINUS_INFINITE, INFINITE))
EMPTY = Node("text", "∅")


def is_name(node: Node) -> bool:
    """Say whether a tree is a product of variables and nothing else: x, f(x), PQ/RS."""
    if not node.value or node.unit:
        return False
    return all(abs(rate) == 1 and f.variables == {f.op} for f, rate in node.value.factors())


def relation(sides: Sequence[Node], signs: Sequence[str]) -> Node:
    """Return an equation, an interval or a set."""
    left, right = sides[-2:]
    if signs[-1] == "~":
        return Node("relation", "=", (left, right)) if is_name(left) else left
    if signs[-1] == "\\in":  # x ∈ S says S, other than k ∈ ℤ, which says what k may be
        return Node("relation", "∈ℤ", tuple(sides)) if right.kind == "opaque" else right
    if set(signs) == {"="}:
        is_said = is_name(sides[0]) or sides[0].kind == "opaque"  # y = 2 + 3 = 5
        if len(sides) > 2 and not is_said and right.value and not right.value.variables:
            return right  # 2 * 3 + 1 = 6 + 1 = 7
        return Node("relation", "=", (sides[0] if is_said else left, right))
    is_order = {sign[0] for sign in signs} in ({"<"}, {">"})
    exact = [side.value for side in sides if side.value]
    found = _interval(exact, signs) if is_order and len(exact) == len(sides) else None
    return found or Node("relation", " ".join(signs), tuple(sides))


def _interval(sides: Sequence[Value], signs: Sequence[str]) -> Node | None:
    """What an inequality says of its only variable, if it is linear in it."""
    if signs[0][0] == ">":
        return _interval(sides[::-1], [sign.replace(">", "<") for sign in signs[::-1]])
    if sides[0].op == "abs" and len(sides) == 2:  # |x - 2| < 3 is -3 < x - 2 < 3
        sides, signs = [-sides[1], sides[0].parts[0], sides[1]], [signs[0]] * 2
    names = {name for side in sides for name in side.variables}
    ends = [(MINUS_INFINITE, "("), (INFINITE, ")")]
    for (left, right), sign in zip(pairwise(sides), signs, strict=True):
        found = (left - right).linear(*names) if len(names) == 1 else None
        if not found or not found[0].constant:
            return None
        is_upper = found[0].constant > 0
        ends[is_upper] = node_of(-found[1] / found[0]), ("[]" if sign == "<=" else "()")[is_upper]
    (low, opening), (high, closing) = ends
    return Node("tuple", opening + closing, (low, high))


def complement(points: Sequence[Node]) -> Node:
    """Return all real numbers except some. Raises NotAFormula if they are not values."""
    ordered = sorted(points, key=lambda p: float(CTX.re(p.exact.number[0])))
    pairs = pairwise([MINUS_INFINITE, *ordered, INFINITE])
    return Node("list", "cup", tuple(Node("tuple", "()", pair) for pair in pairs))


def unnamed(node: Node) -> Node:
    """Return the side of an equation whose other side only names it: 3 of x = 3, 12 of m + n = 12.

    2x - 3y = 12 and x² + y² = 0 stay.
    """
    if node.kind in ("list", "tuple"):
        return node.mapped(unnamed)
    sides = (node.parts, node.parts[::-1]) if (node.kind, node.mark) == ("relation", "=") else ()
    return next((side for name, side in sides if _names_value(name, side)), node)


def _names_value(left: Node, right: Node) -> bool:
    """Whether a side of an equation is what somebody may ask the value of.

    Words, x, m + n, an integral and sin 30° are; 2x and x² + y² are not.
    """
    value = right.value
    is_number = value is not None and not value.variables and value.constant != 0
    if left.kind == "opaque":
        return is_number or not value
    if not left.value:
        return left.kind in ("text", "base", "tuple")
    if is_name(left):  # not S = D or MR = MC, which say that two things are the same
        return not is_name(right) or len(left.value.names) == 1 < len(right.exact.names)
    is_open = any(name.startswith(BINDERS) for name in left.value.names)
    is_asked = is_number and (left.value.is_plain or left.value.op in FUNCTIONS)
    return value is not None and (is_open or is_asked or left.value.key == value.key)


def form_of(node: Node) -> Hashable:
    """Return the canonical form of a tree. Raises TooLarge and NotAFormula."""
    if node.kind == "value":
        return (node.exact.key, node.unit)
    members = node.parts if node.kind == "list" else (node,)
    if members[0][:2] == ("relation", "!=") and is_name(members[0].parts[0]):  # x ≠ 1, 2
        return form_of(complement([p.parts[1] if p.kind == "relation" else p for p in members]))
    if node.kind == "relation":
        return _equation(node)
    if node.kind == "text":
        words = [word for word in node.mark.replace("-", " ").split() if word not in EMPTY_WORDS]
        if words[:1] == ["no"] and words[-1] in ("exist", "exists"):
            words.pop()
        plain = " ".join(words)
        return ("text", SYNONYMS.get(plain, plain).replace(" ", ""))
    forms = tuple(map(form_of, node.parts))
    if node.kind == "list":
        return forms[0] if len(set(forms)) == 1 else ("list", frozenset(forms))
    if node.kind == "matrix":  # a vector, standing or lying, or [[1, 2], [3, 4]]
        cells = tuple(cell for row in node.parts for cell in row.parts)
        is_vector = len(forms) in (1, len(cells))
        return form_of(Node("tuple", "vector", cells)) if is_vector else ("tuple", "[]", forms)
    return (node.kind, "".join(node.mark.split()), forms)


def _equation(node: Node) -> Hashable:
    """Equations are the same if their differences are, up to a factor."""
    left, right = node.parts[:2]
    if node.mark != "=" or any(side.kind != "value" or side.unit for side in node.parts):
        return ("relation", node.mark, tuple(map(form_of, node.parts)))
    first, second = (left.exact - right.exact).number
    if not first or not second:
        return ("identity", frozenset((left.exact.key, right.exact.key)))
    return ("equation", significant(first / second))
