"""What may follow a value: units with their powers and quotients, a percent sign, a noun.

Part of `grammar`, whose parser these functions are given.
"""

from __future__ import annotations

from lm_eval_tts.grading import values
from lm_eval_tts.grading.cursor import Cursor
from lm_eval_tts.grading.functions import NotAFormula
from lm_eval_tts.grading.notations import QUALIFIERS
from lm_eval_tts.grading.trees import Node
from lm_eval_tts.grading.units import Mark, make_mark, unit_of
from lm_eval_tts.grading.values import Value


def with_unit(parser: Cursor, value: Value, money: Mark) -> Node:
    """Read the unit of a value."""
    if parser.take("%", "percent"):
        parser.take("points")
        return Node("value", "%", value=values.divide(value, values.rational(100)))
    value, powers = _degrees(value)
    if powers and parser.peek().text in ("C", "F"):
        powers = [({"C": "celsius", "F": "fahrenheit"}[parser.peek().text], 1)]
        parser.at += 1
    noun, sign, pending = "", 1, 1
    is_angle = powers[:1] == [("degree", 1)]
    while parser.peek().kind in ("WORD", "/", "*", "MONEY", "-", "%") and not is_angle:
        token, word = parser.peek(), parser.peek().text.lower()
        if token.kind == "/" or word == "per":
            if not (parser.peek(1).kind == "WORD" and (powers or money or noun)):
                break
            sign = -1
        elif token.kind == "*" or token.kind == "-":
            if not powers or parser.peek(1).kind != "WORD":
                break
        elif token.kind == "MONEY":
            powers.append(("dollar", 1))
        elif word in ("square", "sq", "cubic", "cu"):
            pending = 2 if word.startswith("s") else 3
        elif word in ("or", "and", "to", "x") or word in QUALIFIERS:
            break
        elif (unit := unit_of(token.text)) and (len(word) > 1 or token.mode == "text" or powers):
            parser.at += 1
            powers.append((unit, sign * _unit_power(parser) * pending))
            pending = 1
            continue
        elif len(word) > 1 or token.mode == "text":
            noun = f"{noun} {word}".strip()
            parser.at += 1
            if parser.peek().kind == "^" or parser.peek().kind == "SUPER":
                _unit_power(parser)
            continue
        else:
            break
        parser.at += 1
    return Node("value", noun, value=value, unit=make_mark(powers) or money)


def _unit_power(parser: Cursor) -> int:
    if parser.peek().kind == "SUPER":
        parser.at += 1
        return {"²": 2, "³": 3, "⁻¹": -1, "⁻²": -2}.get(parser.peek(-1).text, 1)
    if not parser.take("^"):
        if parser.peek().text not in ("2", "3") or parser.peek().spaced:
            return 1
        parser.at += 1  # cm2
        return int(parser.peek(-1).text)
    constant = parser.exponent().constant
    if constant is None or constant.denominator != 1 or abs(constant) > 20:
        raise NotAFormula("power of a unit")
    return int(constant)


def _degrees(value: Value) -> tuple[Value, list[tuple[str, int]]]:
    """90° as 90 and its unit."""
    if not value.top or not all(any(a.name == "°" and r == 1 for a, r in p) for p in value.top):
        return value, []
    top = {tuple(x for x in p if x[0].name != "°"): f for p, f in value.top.items()}
    return Value(top, value.bottom), [("degree", 1)]
