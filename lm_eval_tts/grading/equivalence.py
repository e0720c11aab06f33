"""Whether two answers are equal, by exact rules; None where only computer algebra can tell.

`settle` decides most pairs without computer algebra and without any tolerance. It is symmetric;
`settle_answer` also takes the right side of an equation that a response ends with. Knows no
processes and no libraries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from lm_eval_tts.grading import values
from lm_eval_tts.grading.answers import Answer, is_name, read
from lm_eval_tts.grading.matrices import components
from lm_eval_tts.grading.normalize import MAX_LENGTH, clean, plain
from lm_eval_tts.grading.values import TooLarge, Value, same_value

_NUMBER = re.compile(r"[\s$]{0,4}(-?\d{1,30}(?:\.\d{1,30})?)[\s$.]{0,4}")
_COMMA = re.compile(r"(?!-?[1-9]\d{0,2},\d{3}$)(-?\d{1,30}),(\d{1,30})")
_BINDER = re.compile(r"\\(?:sum|prod|int|lim)(?![A-Za-z])")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_LETTERS = re.compile(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])")
_LETTER = re.compile(r"^\(?([A-J])\)?$")
_LETTER_LEAD = re.compile(
    r"^(?:(?:option|choice|answer|equation)\s+)?(?:\(([A-J])\)|([A-J])[).:])(?:\s|$)", re.I
)
_LETTER_WORD = re.compile(
    r"^(?:option|choice|answer|equation|graph|statement)\s+\(?([A-J])\)?$", re.I
)
_TIME = re.compile(r"^(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([ap]\.?m)?\.?$", re.I)
_EMPTY_WORDS = {"the", "a", "an", "function", "direction", "due", "facing"}
_FUNCTION = re.compile(r"^(?:y|[a-zA-Z]\([a-z]\))$")


@lru_cache(maxsize=100_000)
def settle(a: str, b: str) -> bool | None:
    """Say whether two answers are equal; None if that takes computer algebra."""
    if a == b:
        return True
    plain_numbers = _NUMBER.fullmatch(a), _NUMBER.fullmatch(b)
    if plain_numbers[0] and plain_numbers[1]:
        return Fraction(plain_numbers[0].group(1)) == Fraction(plain_numbers[1].group(1))
    if max(len(a), len(b)) > MAX_LENGTH:
        return a.strip() == b.strip()
    decided = _same_letter(a, b)
    if decided is None:
        decided = _same_time(plain(a), plain(b))
    if decided is not None:
        return decided
    if _decimal_comma(a, b) or _decimal_comma(b, a):
        return True
    left, right = clean(a), clean(b)
    if _squeeze(left.text) == _squeeze(right.text) and _squeeze(left.text):
        return not _units_clash(left.unit, right.unit)
    if not left.text or not right.text:
        return False
    try:
        return same(read(a), read(b))
    except (TooLarge, RecursionError):
        return False


def settle_answer(answer: str, reference: str) -> bool | None:
    """Say whether an answer is that of the reference; None if that takes computer algebra.

    "m + n = 12" answers 12, since the response says what was asked for on its left. Where the
    reference is the equation, 12 does not answer it.
    """
    decided = settle(answer, reference)
    if decided is not False or "=" not in answer or "=" in reference:
        return decided
    try:
        left, right = read(answer), read(reference)
        if not left.left or left.value is None or left.value.constant == 0:
            return False
        return _same_form(left, right)
    except (TooLarge, RecursionError):
        return False


def same(a: Answer, b: Answer) -> bool | None:
    """Say whether two answers that were read are equal; None if that cannot be told here."""
    if a.left and b.left:
        return _same_equation(a, b)
    if a.left or b.left:
        equation = a if a.left else b
        if not _defines(equation):
            return False
    return _same_form(a, b)


def _same_form(a: Answer, b: Answer) -> bool | None:
    if "huge" in (a.form, b.form):
        return _squeeze(a.text) == _squeeze(b.text)
    if "words" in (a.form, b.form):
        return _same_words(a.text, b.text) or _same_letters(a, b)
    if a.form == b.form == "value":
        return _same_quantity(a, b)
    if {a.form, b.form} == {"value", "bracketed"}:
        return _same_vector(a, b) if a.value else _same_vector(b, a)
    if "base" in (a.form, b.form):
        return _same_base(a, b)
    if "formula" in (a.form, b.form):
        comparable = {a.form, b.form} <= {"formula", "value"} and _same_variables(a.text, b.text)
        return None if comparable else False
    if {a.form, b.form} == {"list", "bracketed"}:
        return _same_tuple(a, b)
    if a.form == "list" or b.form == "list":
        return _same_lists(_distinct(a), _distinct(b))
    if a.form != b.form or not _same_brackets(a, b) or len(a.parts) != len(b.parts):
        return False
    return _same_parts(a.parts, b.parts)


def _same_brackets(a: Answer, b: Answer) -> bool:
    """A vector may stand in any brackets, other than an interval or a pair."""
    is_vector = "\\begin" in a.text + b.text
    return a.mark == b.mark or (is_vector and {a.mark, b.mark} == {"()", "[]"})


def _same_variables(a: str, b: str) -> bool:
    """Whether two formulas could be equal: the same letters occur, but for bound ones."""
    if _BINDER.search(a + b):
        return "\\infty" not in a + b  # no series or improper integral is an answer
    left, right = (set(_LETTERS.findall(_COMMAND.sub(" ", text))) - set("eidCP") for text in (a, b))
    return left == right


def _same_quantity(a: Answer, b: Answer) -> bool | None:
    assert a.value is not None
    assert b.value is not None
    if _units_clash(a.mark, b.mark):
        return False
    result = same_value(a.value, b.value)
    if result is not True and (a.mark == "%") != (b.mark == "%"):
        percent, other = (a.value, b.value) if a.mark == "%" else (b.value, a.value)
        return same_value(values.divide(percent, values.rational(100)), other)
    return result


def _same_vector(a: Answer, b: Answer) -> bool | None:
    """A sum of unit vectors and a list in brackets; without k it may have two parts."""
    found = components(a.value) if a.value else None
    if not found or b.mark not in ("()", "[]"):
        return False
    found = found if found[2].top or len(b.parts) != 2 else found[:2]
    parts = [Answer("value", "", value=part) for part in found]
    return len(parts) == len(b.parts) and _same_parts(parts, b.parts)


def _units_clash(a: str, b: str) -> bool:
    return bool(a and b and a != b)


def _same_parts(a: Sequence[Answer], b: Sequence[Answer]) -> bool | None:
    results = [same(x, y) for x, y in zip(a, b, strict=True)]
    return False if False in results else None if None in results else True


def _same_tuple(a: Answer, b: Answer) -> bool | None:
    """A pair without its brackets, as in 2, 4 for (2, 4); in this order."""
    bare, pair = (a, b) if a.form == "list" else (b, a)
    if bare.mark or pair.mark != "()" or len(bare.parts) != len(pair.parts):
        return False
    return _same_parts(bare.parts, pair.parts)


def _distinct(answer: Answer) -> list[Answer]:
    """The parts of a list without repeats; any other answer is a list of one."""
    parts: list[Answer] = []
    for part in answer.parts if answer.form == "list" else (answer,):
        if not any(same(part, other) for other in parts):
            parts.append(part)
    return parts


def _same_letters(a: Answer, b: Answer) -> bool:
    return bool(a.value and b.value and same_value(a.value, b.value))


def _same_lists(a: Sequence[Answer], b: Sequence[Answer]) -> bool | None:
    """In any order."""
    if len(a) != len(b):
        return False
    rest, unsure = list(b), False
    for part in a:
        results = [same(part, other) for other in rest]
        if True in results:
            rest.pop(results.index(True))
        elif None in results:
            unsure = True
        else:
            return False
    return None if unsure else True


def _same_base(a: Answer, b: Answer) -> bool:
    if a.form == b.form:
        return a.mark == b.mark and a.text.lstrip("0") == b.text.lstrip("0")
    return _squeeze(a.text).upper() == _squeeze(b.text).upper()


def _same_words(a: str, b: str) -> bool:
    left, right = _words(a), _words(b)
    return bool(left) and left == right


def _words(text: str) -> list[str]:
    text = re.sub(r"\\(?:[ ,;:!]|quad)", " ", text)
    return [w for w in re.findall(r"[^\W_]+", text.lower()) if w not in _EMPTY_WORDS]


def _defines(equation: Answer) -> bool:
    """Whether an equation gives a value (x = 5, 2 + 3 = 5), rather than relating variables."""
    if is_name(equation.left) or equation.form == "words":
        return True
    left = read(equation.left).value
    return left is None or not left.variables


def _same_equation(a: Answer, b: Answer) -> bool | None:
    if _squeeze(a.left) == _squeeze(b.left):
        return _same_form(a, b)
    if all(_FUNCTION.match(_squeeze(answer.left)) for answer in (a, b)) and "y" in (a.left, b.left):
        return _same_form(a, b)
    first, second = _difference(a), _difference(b)
    if first is None or second is None:
        return _same_form(a, b) if is_name(a.left) and is_name(b.left) else None
    if not first.top or not second.top:
        return _same_form(a, b)  # true of itself, such as 2 + 3 = 5
    if first.constant is not None or second.constant is not None:
        return _same_form(a, b)
    return _proportional(first, second)


def _difference(equation: Answer) -> Value | None:
    left = read(equation.left).value
    if left is None or equation.value is None:
        return None
    return values.add(left, values.negate(equation.value))


def _proportional(a: Value, b: Value) -> bool | None:
    ratio = values.divide(a, b)
    if ratio.constant is not None:
        return True
    # The ratio of the first terms in a fixed order is the only factor that can make them equal.
    key = min(a.top, key=str)
    if set(a.top) != set(b.top) or a.bottom != b.bottom:
        return False if a.is_exact and b.is_exact else None
    factor = values.rational(a.top[key] / b.top[key])
    return same_value(a, values.multiply(b, factor))


def _same_letter(a: str, b: str) -> bool | None:
    """A choice such as (C), if one side is nothing but that."""
    left, right = plain(a), plain(b)
    for letter, other in ((left, right), (right, left)):
        if not (match := _LETTER.match(letter)):
            continue
        for pattern in (_LETTER, _LETTER_WORD, _LETTER_LEAD):
            if found := pattern.match(other):
                return next(g for g in found.groups() if g).upper() == match.group(1)
    return None


def _decimal_comma(a: str, b: str) -> bool:
    """Whether a is b with a decimal comma, as in 1,25 for 1.25.

    On its own 1,25 could also be two numbers, and 1,250 is a thousand, so only the very digits of
    a decimal fraction decide.
    """
    if not (match := _COMMA.fullmatch(a.strip(" $"))):
        return False
    return b.strip(" $") == f"{match.group(1)}.{match.group(2)}"


def _same_time(a: str, b: str) -> bool | None:
    left, right = _TIME.match(a), _TIME.match(b)
    if not left or not right:
        return None
    halves = {m.group(4).lower().replace(".", "") for m in (left, right) if m.group(4)}
    return [int(x or 0) for x in left.groups()[:3]] == [
        int(x or 0) for x in right.groups()[:3]
    ] and (len(halves) < 2)


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", "", text)
