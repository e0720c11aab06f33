"""What the question, or the form of the reference, asks of an answer beyond its value.

An answer that only repeats an expression of the question, or leaves unevaluated what was to be
evaluated, is none; a form that was asked for counts.
"""

from __future__ import annotations

import re

from lm_eval_tts.grading.cursor import NUMBERS, spelled_name
from lm_eval_tts.grading.equality import matches
from lm_eval_tts.grading.functions import FUNCTIONS
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.tokens import Token, tidy, tokens

_ROOT = re.compile(
    r"(?:\\?sqrt|√)(?:\[(\d)\])?\s{0,2}(?:[({]\s?(\d{1,9})\s?[)}]|(\d{1,9})(?![\d.]))"
)
_PLAIN = re.compile(
    r"[-+$\s]*(?:\d[\d,]*(?:\.\d+)?|\\[dt]?frac\s*\{?-?\d+\}?\s*\{?\d+\}?|\d+/\d+)[$\s.%]*"
)
_BASE = re.compile(
    r"\bbase[-\s]*(?:\$?(\d+)|(two|three|four|five|six|seven|eight|nine|sixteen))", re.I
)
_FORMS = frozenset(["\\sum", "\\prod", "\\int", "\\lim"])


def leaves_work(answer: str, reference: str, question: str = "") -> bool:
    """Say whether an answer of the right value leaves to be done what was asked for."""
    answer = answer.rsplit("=", 1)[-1]
    if _PLAIN.fullmatch(answer):
        return False
    given, wanted = tokens(tidy(answer)), tokens(tidy(reference))
    if _spelling(given) == _spelling(wanted):
        return False
    if _functions(given) - _functions(wanted) or _is_reducible(answer, reference):
        return True
    if _is_arithmetic(given) and sum(t.kind in NUMBERS for t in wanted) == 1:
        return True
    return bool(question) and _repeats(answer, question) and not _repeats(reference, question)


def _spelling(found: list[Token]) -> str:
    return "".join(
        t.kind if t.kind.startswith("\\") else t.text
        for t in found
        if t.kind not in ("{", "}", "*", ".")
    )


def _functions(found: list[Token]) -> set[str]:
    """The functions of numbers that are left to be evaluated, as in sin 30° and log_2 8."""
    if any(t.kind == "WORD" and len(t.text) == 1 and t.text not in "eiπ" for t in found):
        return set()
    if any(t.text in ("θ",) or t.kind in ("\\theta", "\\alpha", "\\beta") for t in found):
        return set()
    return {spelled_name(t) for t in found if spelled_name(t) in FUNCTIONS and t.mode != "text"} | {
        t.kind for t in found if t.kind in _FORMS
    }


def _is_reducible(text: str, reference: str) -> bool:
    """Whether a root is left that is whole, or the answer is a root with a whole part, as √242."""
    for root in _ROOT.finditer(text):
        number, power = int(root.group(2) or root.group(3)), int(root.group(1) or 2)
        factors = [f for f in range(2, 200) if f**power <= number and number % f**power == 0]
        is_whole = any(f**power == number for f in factors)
        is_alone = root.group() == text.strip(" $.()[]")
        if factors and (is_alone or (is_whole and _PLAIN.fullmatch(reference))):
            return True
    return False


def _is_arithmetic(found: list[Token]) -> bool:
    """3 * 4 + 7: whole numbers and operators."""
    kinds = [t.kind for t in found]
    operators = [k for k in kinds[1:] if k in ("+", "-", "*")]
    return bool(operators) and all(k in (*NUMBERS, "+", "-", "*", "(", ")") for k in kinds)


def _repeats(text: str, question: str) -> bool:
    squeezed = _squeezed(text)
    return (
        len(squeezed) > 2
        and any(c in squeezed for c in "^/+*(\\!=-")
        and squeezed in _squeezed(question)
    )


def _squeezed(text: str) -> str:
    return re.sub(
        r"\\(?:left|right|displaystyle|,|;|!)|[\s${}]|\\[dt](?=frac)",
        "",
        text.replace("\\dfrac", "\\frac"),
    )


def in_asked_form(answer: str, reference: str, question: str) -> bool:
    """Say whether the question makes an answer that of the reference: base b, or lhs = value."""
    wanted = parse(reference)
    if wanted.kind == "base" and (asked := _BASE.search(question)):
        return (
            answer.strip(" $.").upper().lstrip("0") == wanted.parts[0].mark
            and (asked.group(1) or wanted.mark) == wanted.mark
        )
    if answer.count("=") != 1 or _squeezed(answer).strip(".") in _squeezed(question):
        return False
    left, right = answer.split("=")
    asked_for = _squeezed(left)
    places = (
        [m.end() for m in re.finditer(re.escape(asked_for), _squeezed(question))]
        if asked_for
        else []
    )
    is_asked = any(_squeezed(question)[end : end + 1] != "=" for end in places)
    return is_asked and matches(right, reference) is True


def restates_given(answer: str, question: str) -> bool:
    """Say whether an equation is one that the question gives."""
    return (
        "=" in answer
        and len(_squeezed(answer)) > 4
        and _squeezed(answer).strip(".") in _squeezed(question)
    )
