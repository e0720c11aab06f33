"""Sums, products, limits and integrals: worked out if short, else a factor with their parts."""

from __future__ import annotations

from lm_eval_tts.grading import values
from lm_eval_tts.grading.cursor import MAX_SUMMANDS, Cursor, spelled_name
from lm_eval_tts.grading.functions import NotAFormula
from lm_eval_tts.grading.values import Value


def bound(reader: Cursor, name: str) -> Value:
    """Return a sum, product, limit or integral: worked out if short, else as an atom."""
    lower = upper = None
    variable = ""
    for _ in range(2):
        if reader.take("_"):
            variable, lower = _lower_bound(reader)
        elif reader.take("^"):
            upper = reader.argument()
    if name == "int":
        variable, body = _integrand(reader)
    start = reader.at
    low, high = lower.constant if lower else None, upper.constant if upper else None
    if (
        name in ("sum", "prod")
        and low is not None
        and high is not None
        and high - low <= MAX_SUMMANDS
        and variable
    ):
        return _expanded(reader, name, variable, int(low), int(high))
    reader.at = start
    reader.known[variable] = values.free("bound")
    value = body.sum() if name == "int" else reader.product()
    del reader.known[variable]
    label = f"{name}({lower and lower.key},{upper and upper.key},{value.key})"
    return values.opaque(label, values.pseudo_number(label), "binder")


def _lower_bound(reader: Cursor) -> tuple[str, Value]:
    braced = reader.take("{")
    variable = ""
    if reader.peek().kind == "WORD" and reader.peek(1).kind in ("=", "\\to"):
        variable = spelled_name(reader.peek())
        reader.at += 2
    value = reader.sum() if braced else reader.argument()
    if braced:
        reader.expect("}")
    return variable, value


def _integrand(reader: Cursor) -> tuple[str, Cursor]:
    for end in range(reader.at, len(reader.tokens)):
        text, following = reader.tokens[end].text, reader.tokens[end + 1 : end + 2]
        if reader.tokens[end].kind != "WORD" or text[0] != "d" or len(text) > 2:
            continue
        variable = text[1:] or (spelled_name(following[0]) if following else "")
        body = type(reader)(reader.tokens[reader.at : end], reader.sign)
        body.known = {**reader.known, variable: values.free("bound")}
        reader.at = end + (1 if text[1:] else 2)
        return variable, body
    raise NotAFormula("an integral without a variable")


def _expanded(reader: Cursor, name: str, variable: str, low: int, high: int) -> Value:
    start = reader.at
    total = values.rational(0 if name == "sum" else 1)
    join = values.add if name == "sum" else values.multiply
    for number in range(low, high + 1):
        reader.at, reader.known[variable] = start, values.rational(number)
        total = join(total, reader.product())
    reader.known.pop(variable, None)
    return total
