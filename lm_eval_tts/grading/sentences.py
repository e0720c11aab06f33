r"""What one sentence says the answer is: "so there are 12 ways" says 12.

Knows English only as tables of words, and formulas only by their marks ($, \(, \[, digits).
"""

from __future__ import annotations

import re

from lm_eval_tts.grading.expressions import GREEK, WORDS
from lm_eval_tts.grading.words import NUMBER_WORDS

MAX_SENTENCE = 1_500

_MATH = re.compile(
    r"\$\$([^$]+)\$\$|(?<!\\)\$((?:[^$\\]|\\.)+)\$|\\\(((?:[^\\]|\\[^()])*)\\\)"
    r"|\\\[((?:[^\\]|\\[^\[\]])*)\\ ?\]",
    re.S,
)
_NUMBER = (
    r"(?:\\?\$\s?|[€£])?[-+−]?\s?(?:\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d*\.?\d+)"
    r"(?:\s?/\s?\d+(?:\.\d+)?|:\d+|\s(?:and\s)?\d+/\d+)?(?:_\{?\d+\}?)?(?:[kcm]?[mg][²³]?(?!\w)|\s?\\?%|st\b|nd\b|rd\b|th\b|\^?\\?°)?"
)
_WHERE = (
    "when if where for at with since because as that satisfying satisfies equation to of by in "
    "from "
    "using or both system line function"
)
_CURRENCY = re.compile(
    r"(?<![\\$\w])\$(?=\d[\d,]*(?:\.\d+)?(?:[.,;:)]?(?:\s|\Z)|\*\*)(?!\s*(?:[$\\+\-=*/^]|-?\d)))"
)
_WORDS = "|".join(sorted((w for w in NUMBER_WORDS if w != "one"), key=len, reverse=True))
_ATOM = re.compile(
    r"(?P<math>\x00\d+\x00)|(?P<number>(?<![\w.])" + _NUMBER + r"(?![\dA-Za-z_(]|\.\d))"
    r"|(?P<word>\b(?:" + _WORDS + r"|(?<=exactly )one|(?<=only )one)"
    r"(?:-(?:one|two|three|four|five|six|seven|eight|nine))?\b(?!-[a-z]))",
    re.I,
)
_COPULA = re.compile(
    r"\b(?:is|are|was|were|be|equal to the [\w ]{1,20} (?:number|fraction)|equals?|becomes?|"
    r"remains?(?: as)?|simplif(?:ies|y|ied) to|reduced? to|reduces to|"
    r"(?:multiply|takes?|maps?) \S{1,20} (?:by|to)|"
    r"comes? (?:out )?to|evaluates? to|converts? to|"
    r"corresponds? to|amounts? to|rounds? to|"
    r"(?:expressed|written|converted) (?:as|to|into)|results? in|"
    r"gives?(?: us)?|yields?|turns out to be|"
    r"total of|leaves|conclude that|has|have|contains?|costs?|takes?|"
    r"needs?|makes?|order|left with|get|obtain|find|"
    r"(?:answer|solution|value|result)\s*:)(?=[\s:*\x00])|=|:(?!\d)",
    re.I,
)
_FILLER = re.compile(
    r"(?:[\s:*]|\b(?:just|exactly|approximately|about|around|simply|only|therefore|thus|also|the|"
    r"indeed|equal to|given by|as|a total of|in total|now|then|either|an?|number|value|numbers|"
    r"fraction|expression|interval|matrix|vector|point|angle|still|clearly|roughly|answer|"
    r"equivalent to|terminating|repeating|decimal|mixed|simplified|form|"
    r"precisely|to be|found to be|either|ordered (?:pair|triple))\b)*",
    re.I,
)
# A number behind one of these says something about another number.
_UNFREE = (
    "of by in to from than with between and the all when mod modulo base at for on over into "
    "per these those first last step case equation option or if every each"
)
_PREPOSITIONS = set(_UNFREE.split())
_JOINED = re.compile(r"\s*(?:,\s*(?:and|or)?|;|\band\b|\bor\b)\s*(?=\x00\d|-?\d)", re.I)
_NEGATIVE = re.compile(
    r"\b(?:there (?:is|are|exists?) no|infinitely many|"
    r"no (?:such|real|valid|exact|solutions?|integers?|values?|"
    r"nonzero|positive|possible)|does(?: not|n't) exist|do(?: not|n't) exist|cannot be determined|"
    r"none of|impossible|is undefined)\b",
    re.I,
)
_SUBJECT = re.compile(
    r"(?P<answer>\x00\d+\x00|(?<![\w.])"
    + _NUMBER
    + r"|\b(?!This|That|It|These|Which|So)[A-Z][a-z]+)"
    r"\s+(?:is|are|was|must be)\s+"
    r"(?:indeed\s+)?(?:the|our|my|a)\s+(?:\w+\s+){0,2}(?:answer|solution|result)\b"
)
_NAMED = re.compile(
    r"^\**([A-Z][a-z]+)\**\s+(?:from\s+[A-Z]\w+\s+)?(?:would\s+|will\s+|can\s+)?"
    r"([a-z]+)\s+(?:the\s+)?(?:most|least|\w+est)\b"
)
_PRONOUNS = {
    "The",
    "It",
    "This",
    "That",
    "There",
    "He",
    "She",
    "We",
    "They",
    "These",
    "Which",
    "All",
    "Each",
}
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*(?!\s*:)")
_BARE = re.compile(r"[-√(\[\\|]\S[^.;]*|[a-z](?=\.?$)")
_FINAL = re.compile(r"(\w*)[\s,:]*\x00(\d+)\x00[\s.)*]*$")
_CONDITIONS = set(_WHERE.split())
_CONDITION = re.compile(r"\b(?:when|where|if|since|because|given)\s(?!.*\b(?:so|thus)\b)")
_OPENING_CLAUSE = re.compile(r"^(?:if|when|since|because|given|after)\b[^,]{5,200},\s+", re.I)
_CLAUSE = re.compile(r"[^.;,!?]*")
_UNIT = re.compile(r"\s*(?:\^?\\circ|°|%|(?:degrees?|cents?|dollars?|percent)\b)")
_LEAD = re.compile(
    r"^(?:[\s*#>]|(?:therefore|so|thus|hence|finally|then|and|also|now|answer|yes|indeed|"
    r"in conclusion|"
    r"the answer is|final answer|step \d+)\b[,:]?|\d+\.\s)*",
    re.I,
)


def is_formula(text: str) -> bool:
    """Say whether a text is a formula with at most a unit: no sentence."""
    bare = re.sub(r"\\(?:text|mbox|mathrm|textbf|operatorname)\s*\{[^{}]*\}", " ", text)
    bare = re.sub(r"\\[A-Za-z]+|\x00\d+\x00", " ", bare)
    known = {*WORDS, *GREEK, "mod", "and", "or", "cm", "mm", "km", "kg"}
    bare = re.sub(r"(?:pmatrix|bmatrix|vmatrix|matrix|array|cases|align|aligned)\b", " ", bare)
    words = [w for w in re.findall(r"[A-Za-z]{2,}", bare) if w.lower() not in known]
    return not any(len(w) > 3 or (w.islower() and w in _STOP) for w in words)


_STOP = {
    "is",
    "are",
    "the",
    "of",
    "so",
    "to",
    "we",
    "be",
    "for",
    "it",
    "an",
    "as",
    "let",
    "has",
    "if",
}


def committed(sentence: str, loosely: bool = True) -> str | None:
    """Return the answer that a sentence states, as written; None if it states none.

    loosely: also take a number that no verb connects to the subject.
    """
    sentence = sentence.strip()[-MAX_SENTENCE:]
    if not sentence:
        return None
    text, formulas = _hide_formulas(sentence)
    body = _LEAD.sub("", text).strip().rstrip(".").strip()
    if body and is_formula(body) and re.search(r"[\d\x00\\]|^\S$", body):
        return _show(body, formulas)
    if _NEGATIVE.search(text):
        return _show(body, formulas)
    if (bold := _BOLD.findall(text)) and (answer := _bold(bold[-1])):
        return _show(answer, formulas)
    if match := list(_SUBJECT.finditer(text)):
        return _show(match[-1].group("answer"), formulas)
    if name := named(body):
        return name
    clause = _OPENING_CLAUSE.sub("", body)
    clause = clause if re.search(r"[\d\x00]", clause) else text
    found = _final_equation(text, formulas) or _after_copula(clause, formulas)
    if found:
        return _show(found, formulas)
    if loosely and (found := _loose(clause, formulas)):
        return _show(found, formulas)
    return _show(found, formulas) if (found := _predicate(body)) else None


def leading(text: str) -> str | None:
    """Return the formula or number that a text starts with, such as "12" of "12 apples"."""
    hidden, formulas = _hide_formulas(text.strip()[:MAX_SENTENCE])
    found = _expression_at(hidden, _end(_FILLER, hidden), formulas)
    return _show(found, formulas) if found else None


def _hide_formulas(text: str) -> tuple[str, list[str]]:
    formulas: list[str] = []

    def hide(match: re.Match[str]) -> str:
        formulas.append(next(g for g in match.groups() if g is not None))
        return f"\x00{len(formulas) - 1}\x00"

    return _MATH.sub(hide, mark_currency(text.replace("\x00", ""))), formulas


def mark_currency(text: str) -> str:
    r"""Write the dollar sign of an amount as \$, so that it does not open a formula."""
    return _CURRENCY.sub(r"\\$", text)


def _show(text: str, formulas: list[str]) -> str:
    return re.sub(r"\x00(\d+)\x00", lambda m: f"${formulas[int(m.group(1))]}$", text).strip()


def named(text: str) -> str | None:
    """Return the name of the one who does something most, as in "Ada runs the fastest"."""
    match = _NAMED.match(_LEAD.sub("", text))
    if not match or match.group(1) in _PRONOUNS:
        return None
    if {match.group(1).lower(), match.group(2)} & _PREPOSITIONS:
        return None  # "To find the least", "Rounded to the nearest"
    return match.group(1)


def _bold(text: str) -> str | None:
    text = text.strip()
    if (
        text.endswith(":")
        or _FILLER.fullmatch(text)
        or re.match(r"(?:step|final answer|answer|conclusion)\b", text, re.I)
    ):
        return None
    match = _ATOM.search(text)
    return text if match or len(text.split()) <= 3 else None


def _after_copula(text: str, formulas: list[str]) -> str | None:
    """The expression behind the last verb (or equals sign) that one follows."""
    found, end = None, 0
    for match in _COPULA.finditer(text):
        if found and _CONDITION.search(text, end, match.start()):
            break  # "is 5 when x = 2"
        start = _end(_FILLER, text, match.end())
        if expression := _expression_at(text, start, formulas):
            found, end = expression, start + len(expression)
    return found


def _final_equation(text: str, formulas: list[str]) -> str | None:
    """An equation at the end of a sentence, unless it only says where something holds."""
    match = _FINAL.search(text)
    if not match or "=" not in formulas[int(match.group(2))]:
        return None
    if match.group(1).lower() in _CONDITIONS or "and" in match.group(1):
        return None
    return f"\x00{match.group(2)}\x00"


def _expression_at(text: str, start: int, formulas: list[str]) -> str | None:
    match = _ATOM.match(text, start)
    if not match:
        bare = _BARE.match(text, start)
        return bare.group() if bare and is_formula(bare.group()) else None
    end = match.end()
    rest = text[end : _end(_CLAUSE, text, end)]
    if rest.strip() and re.match(r"\s*[-+*/^=×√_(\\]", rest) and is_formula(rest):
        return match.group() + rest
    while joined := _JOINED.match(text, end):
        following = _ATOM.match(text, joined.end())
        if not following:
            break
        end = following.end()
    return text[start : _end(_UNIT, text, end)]


def _end(pattern: re.Pattern[str], text: str, at: int = 0) -> int:
    """Where a match at this place ends; the place itself if there is none."""
    match = pattern.match(text, at)
    return match.end() if match else at


def _loose(text: str, formulas: list[str]) -> str | None:
    """A number that is not bound by a preposition, else the first one."""
    atoms = [m for m in _ATOM.finditer(text) if _has_digit(m, formulas)]
    for match in atoms:
        words = re.findall(r"[A-Za-z]+", text[max(0, match.start() - 30) : match.start()])
        if not words or words[-1].lower() not in _PREPOSITIONS:
            return _expression_at(text, match.start(), formulas)
    return atoms[0].group() if atoms else None


def _has_digit(match: re.Match[str], formulas: list[str]) -> bool:
    if not match.group("math"):
        return True
    return bool(re.search(r"\d|\\pi", formulas[int(match.group().strip("\x00"))]))


def _predicate(text: str) -> str | None:
    """The few words behind the last verb: "the curve is an ellipse"."""
    match = re.search(
        r"\b(?:is|are|was|be|called|facing)\s+(?:an?\s+|the\s+)?([\w'\- ]{1,40})$", text
    )
    return match.group(1) if match and len(match.group(1).split()) <= 3 else None
