"""What the question, or the form of the reference, asks of an answer beyond its value.

An answer that only repeats an expression of the question, or leaves unevaluated what was to be
evaluated, does not count; a form that was asked for does.
"""

from __future__ import annotations

import re

from lm_eval_tts.grading.claims import POLAR
from lm_eval_tts.grading.cursor import spelled_name
from lm_eval_tts.grading.equality import matches
from lm_eval_tts.grading.functions import FUNCTIONS
from lm_eval_tts.grading.grammar import parse
from lm_eval_tts.grading.numerals import NUMBER_WORDS, spelled
from lm_eval_tts.grading.tokens import NUMBERS, Token, tidy, tokens
from lm_eval_tts.grading.values import BINDERS, Unreadable

_ROOT = re.compile(
    r"(?:\\?sqrt|√)(?:\[(\d)\])?\s{0,2}(?:[({]\s?(\d{1,9})\s?[)}]|(\d{1,9})(?![\d.]))"
)
_PLAIN = re.compile(
    r"[-+$\s]*(?:\d[\d,]*(?:\.\d+)?|\\[dt]?frac\s*\{?-?\d+\}?\s*\{?\d+\}?|\d+/\d+)[$\s.%]*"
)
_BASE = re.compile(rf"\bbase[-\s]*\$?(\d+|{'|'.join(sorted(NUMBER_WORDS))})", re.I)
_HOW_MANY = re.compile(
    r"[Hh]ow many (?:\w+ ){0,2}?([a-z]{3,}?)(?:ies|e?s|en)? "
    r"(?:do|does|did|are|is|were|was|can|could|will|would|must|has|have|had|should|in|on)\b"
)
_SIDES = re.compile(r"=(?![^{}]*\})")  # but not \sum_{k=1}
_IS_IT = re.compile(
    r"(?:^|[.?!]\s+)(?:Is|Are|Was|Were|Do|Does|Did|Can|Could|Will|Would|Has|Have|Must)\b"
    r"(?!.*\b(?:or|how|what|which)\b)[^.?]*\?\s*$"
)
_UNSEEN = re.compile(r"\\(?:left|right|displaystyle|[,;!])|[\s${}]|(?<=\\)[dt](?=frac)")


def counted(question: str) -> str:
    """Return the noun, without its ending, whose number is asked for; POLAR, or ""."""
    if _IS_IT.search(question):
        return POLAR
    found = _HOW_MANY.findall(question)
    return found[-1].lower() if found else ""


def leaves_work(answer: str, reference: str, question: str = "") -> bool:
    """Say whether an answer of the right value leaves the work that was asked for undone."""
    answer = _SIDES.split(answer)[-1]
    if question and _repeats(answer, question) and not _repeats(reference, question):
        return True
    if _PLAIN.fullmatch(answer):
        return False
    given, wanted = tokens(tidy(answer)), tokens(tidy(reference))
    if _spelling(given) == _spelling(wanted):
        return False
    is_unevaluated = _functions(given) and not _functions(wanted) and not _has_variables(answer)
    if is_unevaluated or _is_reducible(answer, reference):
        return True
    return _is_arithmetic(given) and sum(t.kind in NUMBERS for t in wanted) == 1


def _spelling(found: list[Token]) -> str:
    texts = (t.kind if t.kind.startswith("\\") else t.text for t in found)
    return "".join(text for text in texts if text not in ("{", "}", "*", "."))


def _functions(found: list[Token]) -> set[str]:
    """The functions, sums, limits and integrals in an answer, as in sin 30° and log_2 8."""
    known = {*FUNCTIONS, *BINDERS}
    return {spelled_name(t) for t in found if t.mode != "text"} & known


def _has_variables(text: str) -> bool:
    """Whether a value depends on a variable, other than those bound by a sum or an integral."""
    try:
        value = parse(text).value
    except Unreadable:
        return True
    return value is None or bool(value.variables)


def _is_reducible(text: str, reference: str) -> bool:
    """Whether a root is left that is whole, or the answer is a root with a whole part, as √242."""
    for root in _ROOT.finditer(text):
        number, power = int(root[2] or root[3]), int(root[1] or 2)
        factors = [f for f in range(2, 200) if f**power <= number and number % f**power == 0]
        is_alone = root[0] == text.strip(" $.()[]")
        is_whole = any(f**power == number for f in factors) and _PLAIN.fullmatch(reference)
        if factors and (is_alone or is_whole):
            return True
    return False


def _is_arithmetic(found: list[Token]) -> bool:
    """3 * 4 + 7: whole numbers and operators."""
    kinds = [t.kind for t in found]
    return bool({"+", "-", "*"} & set(kinds[1:])) and {*NUMBERS, *"+-*()"}.issuperset(kinds)


def _repeats(text: str, question: str) -> bool:
    plain = _squeezed(text)
    has_sign = any(c in plain for c in "^/+*(\\!=-")
    return len(plain) > 2 and has_sign and plain in _squeezed(question)


def _squeezed(text: str) -> str:
    return _UNSEEN.sub("", text)


def in_asked_form(answer: str, reference: str, question: str) -> bool:
    """Say whether the question makes an answer that of the reference: base b, or lhs = value."""
    wanted = parse(reference)
    if wanted.kind == "base" and (named := _BASE.search(question)):
        base = named[1] if named[1].isdigit() else str(spelled([named[1]]))
        digits = answer.strip(" $.").upper().lstrip("0")
        return digits == wanted.parts[0].mark and base == wanted.mark
    if answer.count("=") != 1 or restates_given(answer, question, least=0):
        return False
    left, right = answer.split("=")
    plain, asked = _squeezed(question), _squeezed(left)
    after = plain.split(asked)[1:] if asked else []
    is_asked = any(not rest.startswith("=") for rest in after)
    return is_asked and matches(right, reference) is True


def restates_given(answer: str, question: str, least: int = 5) -> bool:
    """Say whether an equation of at least this many characters is one that the question gives."""
    plain = _squeezed(answer)
    return "=" in answer and len(plain) >= least and plain.strip(".") in _squeezed(question)
