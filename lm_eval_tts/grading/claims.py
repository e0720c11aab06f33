"""The reader of claims: what a sentence says the answer is, in any of the languages of `phrases`.

A sentence is read once: into expressions (`expressions`) and the words around them. A claim is what
is said of what is asked; bounds, negations, comparisons, refusals, hedges, names with numbers and
announcements of further work claim nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lm_eval_tts.grading.expressions import Expression, listed, runs, shown
from lm_eval_tts.grading.phrases import alternatives, has, phrases
from lm_eval_tts.grading.segments import unmarked
from lm_eval_tts.grading.tokens import words_of

MAX_SENTENCE = 1_500
MAX_WORDS = 8  # of an answer in words

_EMPHASIS = re.compile(r"\*\*([^*\n]{1,80})\*\*(?!\s*:)")
_LEAD = re.compile(
    rf"(?:[\s,.:;*#>]|\d+\.\s+(?=[A-Z])|\\to|(?:{alternatives('so')})[\s,:]|step\s\d+\b[,:]?|(?:the\s+)?(?:final\s+)?answer\s+is\b)*",
    re.I,
)
_VERB = re.compile(rf"(?:{alternatives('is', 'gives')})|:(?!\d)|=|→", re.I)
_FILLER = re.compile(rf"(?:[\s:*\"$]|\\[(\[]|(?:{alternatives('filler')}))*", re.I)
_OPENING = re.compile(r"(?:if|when|since|because|given|after|suppose)\b[^,]{5,200},\s+", re.I)
_CONDITION = re.compile(
    r"\b(?:when|where|if|since|because|given|with|for which|such that|"
    r"so that|until|before|after|while)\s(?!.*\b(?:so|thus)\b)",
    re.I,
)
_NAMED = re.compile(
    r"([A-Z][a-z]+)\s+(?:from\s+[A-Z]\w+\s+)?(?:would\s+|will\s+|can\s+)?([a-z]+)\s+(?:the\s+)?(?:most|least|\w+est)\b"
)
_IS_THE_ANSWER = re.compile(
    r"\s*(?:is|are|was|must be)\s+(?:indeed\s+)?(?:the|our|my|a)\s+(?:\w+\s+){0,2}"
    r"(?:answer|solution|result)\b"
)
_PREDICATE = re.compile(
    r"(?<!\w)(?:is|are|was|be|called|facing|:)\s+(?:an?\s+|the\s+)?(?=[^\W\d_])"
)
_IS_A = re.compile(
    r"\b(?:is|are|was)\s+an?\s+(?![^\s]*\d)(?:\w+\s+){0,2}?\w+\s+(?:with|centered|whose|that|having|of|in)\b"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_LABELLED = re.compile(r"\s*(?:\(([A-J])\)|([A-J])[).:])\s+(?=\S)")
_PRONOUNS = frozenset(
    words_of("The It This That There He She We They These Which All Each Both You So")
)
_COPULA = re.compile(r"\b(?:is|are|be)[\s$\\(\[]*$")
_EQUATION = re.compile(
    r"\b(?:equations?|lines?|functions?|formulas?|inequality|conditions?|system|circle|parabola|curve|graph|if|solutions?|roots?|values?)\b",
    re.I,
)
_ENDS = ".;!?。；"


class Claim(NamedTuple):
    """What a sentence says the answer is. weight: how surely; the surest of several counts."""

    answer: str
    weight: int


def is_formula(text: str) -> bool:
    """Say whether a text is one expression, or a list of some, and nothing else."""
    plain = text.strip().strip("*_`").strip().rstrip(".,;:").strip()
    found = runs(plain)
    if not found:
        return False
    first, end = found[0], listed(plain, found, 0)
    before, after = plain[: first.start], plain[end:]
    if not (end >= len(plain) or not any(c.isalnum() for c in after.replace("\\text", ""))):
        return False
    return not any(c.isalnum() for c in before)


def committed(sentence: str, loosely: bool = True) -> Claim | None:
    """Return what a sentence says the answer is; None if it says none.

    loosely: also take a number that no verb connects to what is asked.
    """
    marked = sentence.strip()[-MAX_SENTENCE:]
    text = unmarked(marked)
    body = text[_LEAD.match(text).end() :].strip()  # type: ignore[union-attr]
    if not body or has("refusal", text):
        return None
    if has("nothing", text):
        return None if has("hedge", text) else Claim(body, 2)
    if has("working", text):
        return None
    if is_formula(body):
        return Claim(_plain(body), 1)
    if (bold := _bold(marked)) is not None:
        return Claim(bold, 3)
    if name := agent(body):
        return Claim(name, 3)
    if clause := _OPENING.match(body):
        rest = body[clause.end() :]
        body = rest if any(run.has_number for run in runs(rest)) else body
    return _in_sentence(_Sentence(body), loosely)


def _plain(text: str) -> str:
    stripped = text.rstrip(".,;: ")
    return shown(stripped, 0, len(stripped))


def _bold(marked: str) -> str | None:
    found = [text.strip() for text in _EMPHASIS.findall(marked)]
    for text in reversed(found):
        is_heading = (
            text.endswith(":")
            or _FILLER.fullmatch(text)
            or has("named", text.split()[0])
            or has("answer", text)
        )
        if is_heading or has("not", text):
            continue
        if any(run.has_number for run in runs(text)) or len(text.split()) <= 3:
            return _plain(text)
    return None


def agent(text: str) -> str | None:
    """Return the name of the one who does something most, as in "Ada runs the fastest"."""
    match = _NAMED.match(text)
    if not match or match.group(1) in _PRONOUNS:
        return None
    words = {match.group(1).lower(), match.group(2)}
    return None if any(phrases("free").fullmatch(word) for word in words) else match.group(1)


class _Sentence:
    """A sentence with its expressions."""

    def __init__(self, text: str) -> None:
        self.text, self.runs = text, runs(text)

    def at(self, place: int) -> int | None:
        """The number of the expression that starts here."""
        for number, run in enumerate(self.runs):
            if run.start <= place < run.end and not self.text[run.start : place].strip("$\\([ "):
                return number
        return None

    def clause_before(self, run: Expression) -> str:
        start = max(self.text.rfind(mark, 0, run.start) for mark in (*_ENDS, ",", "，"))
        return self.text[start + 1 : run.start]

    def is_free(self, run: Expression) -> bool:
        """Whether nothing before or after an expression makes it a part of another statement."""
        before, after = self.clause_before(run), self.text[run.end : run.end + 40].lstrip(" *)$\\")
        return not (
            _ends_with("bound", before, 1)
            or _ends_with("not", before, 3)
            or _ends_with("named", before.rstrip(" ("), 0)
            or _is_numbered_name(before, run)
            or (after.startswith(":") and not after[1:2].isdigit())  # a heading
            or phrases("compare").match(after)
            or phrases("bound").match(after)
            or any(token.kind == "!=" for token in run.tokens)
        )

    def answer(self, number: int) -> str:
        return shown(self.text, self.runs[number].start, listed(self.text, self.runs, number))


def _ends_with(group: str, before: str, words: int) -> bool:
    """Whether a text ends with a phrase, with at most so many words after it."""
    found = list(phrases(group).finditer(before))
    if not found:
        return False
    rest = _WORD.findall(before[found[-1].end() :])
    return len(rest) <= words and "but" not in rest


def _is_numbered_name(before: str, run: Expression) -> bool:
    """Bar 1, Team 7: a number after a capital is a name."""
    words = before.split()
    if len(words) < 2 or run.tokens[0].kind != "NUMBER" or not before.endswith(" "):
        return False
    return (
        words[-1][0].isupper()
        and words[-1].isalpha()
        and len(words[-1]) > 1
        and not has("is", words[-1])
    )


def _in_sentence(sentence: _Sentence, loosely: bool) -> Claim | None:
    if re.search(r"\bwould\b.*\bif\b", sentence.text):
        return None
    if has("hedge", sentence.text) and not _CONDITION.search(
        sentence.text, len(sentence.text) // 3
    ):
        return None
    for run in sentence.runs:
        if _IS_THE_ANSWER.match(sentence.text, run.end) and sentence.is_free(run):
            return Claim(_plain(shown(sentence.text, run.start, run.end)), 3)
    if (found := _final_equation(sentence)) or (found := _object(sentence)):
        return Claim(found, 1)
    noun = predicate(sentence.text) if _IS_A.search(sentence.text) else None
    if not noun and loosely and not has("not", sentence.text) and (found := _loose(sentence)):
        return Claim(found, 0)
    if found := noun or predicate(sentence.text):
        return Claim(found, 0)
    yes = re.match(r"(?:yes|no)(?=[,.!]|$)", sentence.text, re.I)
    return Claim(yes.group(), 0) if yes else None


def _final_equation(sentence: _Sentence) -> str | None:
    """An equation at the end of a sentence, unless it only says where something holds."""
    if not sentence.runs:
        return None
    run = sentence.runs[-1]
    if not any(t.kind == "=" for t in run.tokens) or any(
        c.isalnum() for c in sentence.text[run.end :]
    ):
        return None
    before = re.search(r"([^\W\d_]+)[\s$\\(\[]*$", sentence.text[: run.start])
    if before and phrases("condition").fullmatch(before.group(1)):
        return None
    if not sentence.is_free(run):
        return None
    answer = _plain(shown(sentence.text, run.start, run.end))
    is_object = _COPULA.search(sentence.text[: run.start]) and not _EQUATION.search(sentence.text)
    return answer.rsplit("=", 1)[-1].strip() if is_object else answer


def _object(sentence: _Sentence) -> str | None:
    """The expression after the last verb (or equals sign) that one follows."""
    found, end = None, 0
    for match in _VERB.finditer(sentence.text):
        if match.start() < end:
            continue
        if found and _CONDITION.search(sentence.text, end, match.start() + 1):
            break  # "is 5 when x = 2"
        start = _FILLER.match(sentence.text, match.end()).end()  # type: ignore[union-attr]
        if (answer := _at(sentence, start)) is not None:
            found, end = answer
    return found


def _at(sentence: _Sentence, start: int) -> tuple[str, int] | None:
    """The expression that starts here, or a name with a number."""
    number = sentence.at(start)
    if number is None:
        match = re.compile(r"[A-Z][a-z]+ (?=\d)").match(sentence.text, start)
        number = sentence.at(match.end()) if match else None
        if match is None or number is None:
            return None
        end = sentence.runs[number].end
        return sentence.text[match.start() : end], end
    run = sentence.runs[number]
    if not sentence.is_free(run):
        return None
    answer = sentence.answer(number)
    if any(t.kind == "=" for t in run.tokens) and not _EQUATION.search(sentence.text):
        answer = answer.rsplit("=", 1)[-1].strip()  # "the larger number is x + 2 = 18"
    return _unspoken(sentence, run, answer), run.end


def _unspoken(sentence: _Sentence, run: Expression, answer: str) -> str:
    """3 to 4 is a ratio."""
    ratio = re.compile(r"\s*(?:to|:)\s*(\d+(?:\.\d+)?)\b").match(sentence.text, run.end)
    if ratio and has_ratio(sentence.text):
        return f"{answer} : {ratio.group(1)}"
    return answer


def has_ratio(text: str) -> bool:
    """Say whether a sentence is about a ratio or odds."""
    return bool(re.search(r"\b(?:ratio|odds|proportion)\b", text, re.I))


def _loose(sentence: _Sentence) -> str | None:
    """A number that is not bound by a preposition, else the first one."""
    numbers = [n for n, run in enumerate(sentence.runs) if run.has_number and sentence.is_free(run)]
    for number in numbers:
        words = _WORD.findall(
            sentence.text[max(0, sentence.runs[number].start - 30) : sentence.runs[number].start]
        )
        if not words or not phrases("free").fullmatch(words[-1]):
            return sentence.answer(number)
    return sentence.answer(numbers[0]) if numbers else None


def predicate(text: str) -> str | None:
    """Return the few words after the last verb: "the curve is an ellipse"."""
    found = list(_PREDICATE.finditer(text))
    if not found:
        return None
    words = text[found[-1].end() :].strip().rstrip(".!").split()
    if not 1 <= len(words) <= MAX_WORDS or has("not", " ".join(words[:2])):
        return None
    return " ".join(words)


def leading(text: str) -> str | None:
    """Return what an announced text starts with: an expression, or a label with what follows."""
    sentence = _Sentence(unmarked(text.strip()[:MAX_SENTENCE]))
    if label := _LABELLED.match(sentence.text):
        rest = sentence.text[label.end() :].split("\n")[0].rstrip(". ")
        if len(rest.split()) <= MAX_WORDS:
            return sentence.text[label.start() : label.end()].strip() + " " + _plain(rest)
    start = _FILLER.match(sentence.text)
    found = _at(sentence, start.end() if start else 0)
    return found[0] if found else None
