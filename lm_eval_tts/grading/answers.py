"""The form of an answer: a value, a list, an interval, a matrix, an equation, a base, a name.

Reads cleaned text into a small tree. Knows nothing of how two answers compare.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from lm_eval_tts.grading import expressions, values
from lm_eval_tts.grading.inequalities import read_interval
from lm_eval_tts.grading.matrices import evaluate, read_layout
from lm_eval_tts.grading.normalize import clean
from lm_eval_tts.grading.values import TooLarge, Value

Form = Literal["value", "list", "bracketed", "matrix", "base", "words", "formula", "huge"]
MAX_PARTS = 100

_BASE = re.compile(r"^([0-9A-Za-z]+)\s*_\s*\{?\s*(\d{1,2})\s*\}?$")
_BASE_WORDS = re.compile(r"^([0-9A-Za-z]+) (?:in )?base (\d{1,2})$")
_MEMBER = re.compile(r"^[A-Za-z](?:\s*,\s*[A-Za-z])*\s*\\in(?![A-Za-z])\s*")
_APPROXIMATE = re.compile(r"\\(?:approx|simeq|sim|doteq)(?![A-Za-z])|~=")
_ASIDE = re.compile(r"\s\(([^()]*)\)$")
_BREAK = re.compile(r"\\(?:Rightarrow|implies|Longrightarrow|to|iff)(?![A-Za-z])|=>")
_JOINT = re.compile(r"\s(?:and|or)\s|(?<=[\d)\]}])(?:and|or)(?=[\d(\[{\\-]|[A-Za-z]\s*[=(])")
_RANGE = re.compile(r"^(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)$")
_NAME = re.compile(
    r"^(?:[A-Za-z]{1,3}'*|\\[A-Za-z]+)(?:_(?:\{[^{}]*\}|\w))?(?:\^\{-1\})?\s*(?:\([^()]*\))?$"
)
_RATIO = re.compile(r"(?:\\frac\{?)?[A-Z]{2,3}\}?[{:/][A-Z]{2,3}\}?")  # of two segments
_OPENING, _CLOSING = "([{", ")]}"


class Answer(NamedTuple):
    """A node. text: as cleaned. mark: its brackets ("" for a bare list), base or unit. left: the
    left side, of an equation whose right side this is."""

    form: Form
    text: str
    mark: str = ""
    parts: tuple[Answer, ...] = ()
    value: Value | None = None
    left: str = ""


@lru_cache(maxsize=20_000)
def read(text: str) -> Answer:
    """Return the form of a raw answer."""
    cleaned = clean(text)
    return _read(cleaned.text, cleaned.unit)


def _read(text: str, unit: str = "", depth: int = 0) -> Answer:
    if depth > 4:
        return Answer("huge", text)
    text = _without_aside(text.strip())
    text = _MEMBER.sub("", _exact(text))
    text = _BREAK.split(text)[-1].strip() or text
    sides = split_top(text, "=")
    is_single = len(split_top(text, ",", ";")) == 1 and not _JOINT.search(text)
    if len(sides) > 1 and is_single and all(s.strip() for s in sides):
        return _read_equation(sides, unit, depth)
    return (
        _read_matrix(text, depth)
        or _read_inequality(text, depth)
        or _read_list(text, unit, depth)
        or _read_base(text)
        or _read_value(text, unit)
    )


def _without_aside(text: str) -> str:
    """12 (twelve) is 12, and 0.5 (or 1/2) is 0.5 or 1/2."""
    match = _ASIDE.search(text)
    if not match or not match.start():
        return text
    other = match.group(1).removeprefix("or ")
    if other != match.group(1):
        return f"{text[: match.start()]} or {other}"
    return text[: match.start()] if _is_prose(other) else text


def _exact(text: str) -> str:
    """What an approximation is one of; of a name only the approximation says anything."""
    sides = [side.strip() for side in _APPROXIMATE.split(text) if side.strip()]
    if len(sides) > 1 and _NAME.match(sides[0]):
        sides.pop(0)
    return sides[0] if sides else text


def _read_equation(sides: list[str], unit: str, depth: int) -> Answer:
    """What an equation says: its last side. An equation between two formulas stays one."""
    left, right = sides[-2].strip(), sides[-1].strip()
    if _is_number(left) and not _is_number(right):
        left, right = right, left  # 17 = x, 116 = m + n
    answer = _read(right, unit, depth + 1)
    if len(sides) > 2:
        return answer
    return answer._replace(left=left)


def _is_number(text: str) -> bool:
    try:
        value = _value(text)
    except TooLarge:
        return False
    return value is not None and not value.variables


def is_name(text: str) -> bool:
    """Say whether the left side of an equation only names what the right side is."""
    return (
        bool(_NAME.match(text) or _RATIO.fullmatch(text))
        or len(re.findall(r"[A-Za-z]{3,}", text)) > 2
    )


def _read_matrix(text: str, depth: int) -> Answer | None:
    if "\\begin" not in text:
        return None
    if matrix := evaluate(text):
        return _table(text, [[Answer("value", "", value=cell) for cell in row] for row in matrix])
    if not (layout := read_layout(text)):
        return None
    read_cells = [[_read(cell, "", depth + 1) for cell in row] for row in layout.cells]
    return _table(text, [[_scale(cell, layout.factor) for cell in row] for row in read_cells])


def _table(text: str, cells: list[list[Answer]]) -> Answer:
    """A matrix; a vector, standing or lying, is one list in brackets."""
    if len(cells) != 1 and all(len(row) == 1 for row in cells):
        return Answer("bracketed", text, "()", tuple(row[0] for row in cells))
    rows = tuple(Answer("bracketed", "", "()", tuple(row)) for row in cells)
    return Answer("matrix", text, parts=rows) if len(rows) > 1 else rows[0]._replace(text=text)


def _scale(answer: Answer, factor: Value | None) -> Answer:
    if factor is None or answer.value is None:
        return answer if factor is None else Answer("formula", answer.text)
    return answer._replace(value=values.multiply(answer.value, factor), text="")


def _read_inequality(text: str, depth: int) -> Answer | None:
    if not (interval := read_interval(text)):
        return None
    ends = (
        _read(end, "", depth + 1) if isinstance(end, str) else Answer("value", "", value=end)
        for end in (interval.lower, interval.upper)
    )
    return Answer("bracketed", text, interval.mark, tuple(ends))


def _read_list(text: str, unit: str, depth: int) -> Answer | None:
    for opening, closing, mark in (
        ("\\{", "\\}", "{}"), ("\\lbrace", "\\rbrace", "{}"), ("{", "}", ""),
        ("\\langle", "\\rangle", "()"), ("(", ")", "()"), ("[", "]", "[]"), ("(", "]", "(]"),
        ("[", ")", "[)"),
    ):  # fmt: skip
        if not (text.startswith(opening) and text.endswith(closing)):
            continue
        inner = text[len(opening) : len(text) - len(closing)]
        if not _balanced(inner):
            continue
        pieces = split_top(inner, ";")
        pieces = pieces if len(pieces) > 1 else split_top(inner, ",")
        if mark == "{}" or (mark == "" and len(pieces) > 1):
            return _parts("list", text, pieces, depth, mark)
        if len(pieces) > 1:
            return _rows(_parts("bracketed", text, pieces, depth, mark))
    pieces = [p for comma in split_top(text, ",", ";") for p in _JOINT.split(comma)]
    pieces = [re.sub(r"^\s*(?:and|or)\s", "", piece) for piece in pieces]
    if len(pieces) > 1 and not _is_prose(text):
        return _parts("list", text, pieces, depth)
    if len(pieces := split_top(text, "\\cup")) > 1:
        return _parts("list", text, pieces, depth, "{}")
    if "\\pm" in text or "\\mp" in text:
        upper, lower = text.replace("\\mp", "\\pm"), text.replace("\\mp", "\\pm")
        return _parts("list", text, [upper.replace("\\pm", "+"), lower.replace("\\pm", "-")], depth)
    return None


def _rows(answer: Answer) -> Answer:
    """The matrix that [[1, 2], [3, 4]] is in programs; anything else as it was."""
    if answer.mark != "[]" or any(part.mark != "[]" for part in answer.parts):
        return answer
    if len({len(part.parts) for part in answer.parts}) != 1:
        return answer
    rows = tuple(part._replace(mark="()") for part in answer.parts)
    return Answer("matrix", answer.text, parts=rows)


def _parts(form: Form, text: str, pieces: list[str], depth: int, mark: str = "") -> Answer:
    if len(pieces) > MAX_PARTS:
        return Answer("huge", text)
    read_parts: list[Answer] = []
    for piece in pieces:
        part = clean(piece)
        answer = _read(part.text, part.unit, depth + 1)
        read_parts += answer.parts if form == answer.form == "list" else (answer,)
    if form == "list" and len(read_parts) == 1:
        return read_parts[0]
    return Answer(form, text, mark, tuple(read_parts))


def _read_base(text: str) -> Answer | None:
    match = _BASE.match(text) or _BASE_WORDS.match(text)
    if not match or not match.group(1)[0].isalnum() or not any(map(str.isdigit, match.group(1))):
        return None
    return Answer("base", match.group(1).upper(), match.group(2))


def _read_value(text: str, unit: str) -> Answer:
    if (match := _RANGE.match(text)) and float(match.group(1)) < float(match.group(2)):
        return Answer("words", text)  # 3-7 is a range, not a difference
    try:
        value = _value(text)
    except TooLarge:
        return Answer("huge", text)
    if re.fullmatch(r"[A-Za-z]{2,}", text):
        return Answer("words", text, value=value)  # a word, or a product of variables
    if value is not None:
        return Answer("value", text, unit, value=value)
    return Answer("words" if _is_prose(text) else "formula", text, unit)


def _value(text: str) -> Value | None:
    return expressions.read_value(text)


def _is_prose(text: str) -> bool:
    """Whether there are words in it that are no names of functions."""
    bare = re.sub(r"\\[A-Za-z]+", " ", text)
    words = re.findall(r"[A-Za-z]{2,}", bare)
    known = {*expressions.WORDS, "mod", "gcd", "lcm", "max", "min", "and", "or"}
    return any(w.lower() not in known and len(w) > 3 for w in words) or (
        bool(words) and not re.search(r"\d|\\|[-+*/^=]", text)
    )


def _balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth < 0:
            return False
    return depth == 0


def split_top(text: str, *separators: str) -> list[str]:
    """Split at separators outside of brackets."""
    if not any(separator in text for separator in separators):
        return [text]
    pieces, depth, start, at = [], 0, 0, 0
    while at < len(text):
        character = text[at]
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth = max(0, depth - 1)
        elif depth == 0 and (token := _separator(text, at, separators)):
            pieces.append(text[start:at])
            at += len(token)
            start = at
            continue
        at += 1
    return [*pieces, text[start:]]


def _separator(text: str, at: int, separators: tuple[str, ...]) -> str | None:
    for token in separators:
        if not text.startswith(token, at):
            continue
        if token == "=" and (
            text[at - 1 : at] in ("<", ">", "!", "~") or text[at + 1 : at + 2] == ">"
        ):
            continue
        if token[-1].isalpha() and text[at + len(token) : at + len(token) + 1].isalpha():
            continue
        return token
    return None
