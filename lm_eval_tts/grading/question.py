"""What the question, or the form of the reference, asks of an answer beyond its value.

An answer that only repeats an expression of the question, or leaves unevaluated what was to be
evaluated, does not count; a form that was asked for does.
"""

from __future__ import annotations

import re
from itertools import pairwise

from lm_eval_tts.grading.equality import matches
from lm_eval_tts.grading.formulas import spelled_name
from lm_eval_tts.grading.functions import FUNCTIONS
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.numerals import fold, number_of
from lm_eval_tts.grading.tokens import NUMBERS, Token, tidy, tokens
from lm_eval_tts.grading.values import BINDERS

_FUNCTIONS = {*FUNCTIONS, *BINDERS, "gcd", "lcm", "max", "min"}
_ROOT = re.compile(r"(?:\\?sqrt|√)(?:\[(\d)\])?\s{0,2}[({]?\s?(\d{1,9})(?![\d.])\s?[)}]?")
_UNSEEN = str.maketrans("", "", " ${}\n")


def leaves_work(answer: str, reference: str, question: str = "") -> bool:
    """Say whether an answer of the right value leaves the work that was asked for undone."""
    side = answer.rpartition("=")[2]
    if not _repeats(reference, question) and any(_repeats(a, question) for a in (answer, side)):
        return True
    if _squeezed(side) == _squeezed(reference):
        return False
    given, wanted = tokens(tidy(side)), tokens(tidy(reference))
    is_unevaluated = _functions(given) and not _functions(wanted)
    is_arithmetic = _is_arithmetic(given) and sum(t.kind in NUMBERS for t in wanted) == 1
    return is_unevaluated or is_arithmetic or _is_reducible(side, reference)


def in_asked_form(answer: str, reference: str, question: str) -> bool:
    """Say whether the question makes an answer that of the reference: base b, or lhs = value."""
    wanted, words = parse(reference), fold(tokens(tidy(question.replace("-", " "))))
    if wanted.kind == "base":
        bases = [b for a, b in pairwise(words) if a.text.lower() == "base" and b.kind in NUMBERS]
        is_named = wanted.mark in {str(number_of(base)) for base in bases}
        return is_named and answer.strip(" $.").upper().lstrip("0") == wanted.parts[0].mark
    left, _, right = map(_squeezed, answer.rpartition("="))
    is_asked = bool(left) and left in _squeezed(question) and f"{left}=" not in _squeezed(question)
    return is_asked and matches(right, reference) is True


def _functions(found: list[Token]) -> set[str]:
    """The functions, sums, limits and integrals in an answer, as in sin 30° and log_2 8."""
    return {spelled_name(t) for t in found if t.mode != "text"} & _FUNCTIONS


def _is_reducible(text: str, reference: str) -> bool:
    """Whether a root is left that the reference has not, or is all there is, as in √242."""
    is_plain = "sqrt" not in reference and "√" not in reference
    for root in _ROOT.finditer(text):
        number, power = int(root[2]), int(root[1] or 2)
        is_alone = is_plain or root[0] == text.strip(" $.")
        if is_alone and any(number % factor**power == 0 for factor in range(2, 200)):
            return True
    return False


def _is_arithmetic(found: list[Token]) -> bool:
    """3 * 4 + 7: whole numbers and operators."""
    kinds = [t.kind for t in found]
    return bool({"+", "-", "*"} & set(kinds[1:])) and {*NUMBERS, *"+-*()"}.issuperset(kinds)


def _repeats(text: str, question: str) -> bool:
    plain = _squeezed(text).strip(".")
    return len(plain) > 2 and any(c in plain for c in "^/+*(\\!=-") and plain in _squeezed(question)


def _squeezed(text: str) -> str:
    return text.translate(_UNSEEN)
