"""The tree of an answer, and what needs no text: relations, intervals, sets and matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from lm_eval_tts.grading import values
from lm_eval_tts.grading.lexicon import Mark
from lm_eval_tts.grading.values import CTX, NotAFormula, Value

ORDER = {"<", "<=", ">", ">="}


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

    @property
    def has_variables(self) -> bool:
        """Whether this is anything but a value without variables."""
        return self.value is None or bool(self.value.variables)

    def mapped(self, change: Callable[[Node], Node]) -> Node:
        """Return this with each of its parts changed."""
        return self._replace(parts=tuple(map(change, self.parts))) if self.parts else self


def node_of(value: Value | int) -> Node:
    """Return a value as a tree."""
    return Node("value", value=values.rational(value) if isinstance(value, int) else value)


INFINITE = node_of(values.INFINITY)
MINUS_INFINITE = node_of(-values.INFINITY)
ALL_REALS = Node("tuple", "()", (MINUS_INFINITE, INFINITE))
EMPTY = Node("text", "∅")


def is_name(node: Node) -> bool:
    """Say whether a tree is a product of variables and nothing else: x, f(x), PQ/RS."""
    if not node.value or node.unit:
        return False
    found = node.value.factors()
    return all(abs(rate) == 1 and (f.op == "i" or f.variables == {f.op}) for f, rate in found)


def relation(sides: Sequence[Node], signs: Sequence[str]) -> Node:
    """Return an equation, an interval or a set."""
    left, right = sides[-2:]
    if signs[-1] == "~":
        return Node("relation", "=", (left, right)) if is_name(left) else left
    if signs[-1] == "\\in":  # x ∈ S says S, other than k ∈ ℤ, which says what k may be
        return Node("relation", "∈ℤ", tuple(sides)) if right.kind == "opaque" else right
    if set(signs) == {"="}:
        is_said = is_name(sides[0]) or sides[0].kind == "opaque"  # y = 2 + 3 = 5
        return Node("relation", "=", (sides[0] if is_said else left, right))
    are_values = all(side.kind == "value" for side in sides)
    if set(signs) <= ORDER and are_values and (found := _interval(sides, signs)):
        return found
    return Node("relation", " ".join(signs), tuple(sides))


def _interval(sides: Sequence[Node], signs: Sequence[str]) -> Node | None:
    """What an inequality says of its only variable, if it is linear in it."""
    if signs[0][0] == ">":
        sides, signs = sides[::-1], [s.replace(">", "<") for s in signs[::-1]]
    first, last = sides[0].exact, sides[-1].exact
    if first.op == "abs" and len(sides) == 2:  # |x - 2| < 3 is -3 < x - 2 < 3
        sides, signs = [node_of(v) for v in (-last, first.parts[0], last)], [signs[0]] * 2
    names = {name for side in sides for name in side.exact.variables}
    if any(s[0] != "<" for s in signs) or len(sides) > 3 or len(names) != 1:
        return None
    ends = {False: (MINUS_INFINITE, "<"), True: (INFINITE, "<")}
    for (left, right), sign in zip(pairwise(sides), signs, strict=True):
        slope, rest = (left.exact - right.exact).linear(*names) or (left.exact, left.exact)
        if not slope.constant:
            return None
        ends[slope.constant > 0] = (node_of(-rest / slope), sign)
    mark = ("[" if ends[False][1] == "<=" else "(") + ("]" if ends[True][1] == "<=" else ")")
    return Node("tuple", mark, (ends[False][0], ends[True][0]))


def complement(points: Sequence[Node]) -> Node:
    """Return all real numbers except some. Raises NotAFormula if they are not values."""
    ordered = sorted(points, key=lambda p: float(CTX.re(p.exact.number[0])))
    pairs = pairwise([MINUS_INFINITE, *ordered, INFINITE])
    return Node("list", "cup", tuple(Node("tuple", "()", pair) for pair in pairs))


def scaled(matrix: Node, factor: Value) -> Node:
    """Return a matrix times a number."""
    return matrix.mapped(lambda row: row.mapped(lambda cell: node_of(cell.exact * factor)))


def components(value: Value) -> tuple[Node, ...] | None:
    """Return x, y, z of x i + y j + z k; None if a value is not such a sum (3 + 4i is not)."""
    found: list[Node] = []
    axes = "ijk" if "k" in value.names else "ij"
    for axis in axes if value.variables & {"j", "k"} else "":
        if not (split := value.linear(axis)) or split[0].names & set(axes):
            return None
        found.append(node_of(split[0]))
        value = split[1]
    return tuple(found) if found and value.constant == 0 else None
