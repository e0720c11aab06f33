"""The reader of claims: what a sentence says the answer is, in any of the languages of `phrases`.

A sentence is read once: into expressions (`expressions`) and the words around them. A claim is what
is said of what is asked; bounds, negations, comparisons, refusals, hedges, names with numbers and
announcements of further work claim nothing.
"""

from __future__ import annotations

import re

from lm_eval_tts.grading.expressions import BINARY, listed, runs
from lm_eval_tts.grading.lexicon import end_of, has, pattern, phrases
from lm_eval_tts.grading.segments import unmarked
from lm_eval_tts.grading.sentence import Claim, Sentence
from lm_eval_tts.grading.wording import (
    FILLER,
    MAX_WORDS,
    agent,
    bold,
    plain,
)

MAX_SENTENCE = 1_500

_LEAD = pattern(
    r"(?:[\s,.:;*#>]|\d+\.\s+(?=[A-Z])|\\to|<so>[\s,:]|step\s\d+\b[,:]?"
    r"|(?:the\s+)?(?:final\s+)?answer\s+is\b"
    r"|[a-z]+ing\b[^,.]{0,60},\s+(?=(?:we|I)\s+<gives>))*"  # solving this, we get
)
_OPENING = pattern(r"<opening>[^,]{5,200},\s+")
_LABELLED = re.compile(r"\s*(?:\([A-J]\)|[A-J][).:])\s+(?=\S)")
_BECAUSE = pattern(r"\d.*\b(?:because|since|as)\b")
_SO_MANY = pattern(r",\s*<so>\s+(?=the\s+(?:number|total|sum|answer|value)\b.*\bis\W+\d)")
_FUNCTION_OF_IT = pattern(
    r"(?!.*\bso\b)(?:twice|half|double|triple|(?:two|three|four|\d+) times"
    r"|its (?:square|cube|half|double))\b"
)
_PROBABILITY = re.compile(r"\bPr?\([a-z][^()\d]{2,60}\)")  # P(at least one head) is no bound
_CONTRAST = pattern(
    r"(?:,\s*(?:and\s+|but\s+)?not|\s(?:instead of|rather than))\s[^.;,]*(?=[.!]?$)"
)
_WOULD_IF = pattern(
    r"\bwould\b.*\bif\b|\bif\b.*\b(?:were|had)\b.*\bwould\b|\b(?:without|otherwise)\b.*\bwould\b"
)
_BEFORE_BUT = pattern(r".*,\s*(?:but|however)\b|.*")
_DEFINES = pattern(r"(?:let|define|denote)\s")
_DATE = pattern(
    r"(?:<months>)\s+\d{1,2}(?:st|nd|rd|th)?\b(?:,\s*\d{4}\b)?"
    r"|\b\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:<months>)(?:,?\s+\d{4}\b)?"
)


def is_formula(text: str) -> bool:
    """Say whether a text is one expression, or a list of some, and nothing else."""
    plain = text.strip().strip("*_`").strip().rstrip(".,;:").strip()
    if not (found := runs(plain)):
        return False
    around = plain[: found[0].start] + plain[listed(plain, found, 0) :].replace("\\text", "")
    return not any(c.isalnum() for c in around)


def is_value(text: str) -> bool:
    """Say whether a text is one number, maybe with its unit, and nothing else."""
    found = runs(text)
    return (
        is_formula(text)
        and found[0].has_number
        and len(found[0].tokens) <= 3
        and not any(token.kind in BINARY for token in found[0].tokens)
    )


def committed(sentence: str, loosely: bool = True, asked: str = "") -> Claim | None:
    """Return what a sentence says the answer is; None if it says none.

    loosely: also take a number that no verb connects to what is asked.
    asked: the noun whose number is the answer, where there are several; or POLAR.
    """
    marked = _PROBABILITY.sub("probability", sentence.strip()[-MAX_SENTENCE:])
    text = unmarked(marked)
    body = _body(text)
    if not body or has("refusal", text) or _FUNCTION_OF_IT.match(body) or _DEFINES.match(body):
        return None
    if _WOULD_IF.search(body):
        body = body[end_of(_BEFORE_BUT, body) :]
        if not body or _WOULD_IF.search(body):
            return None
    if taken := list(phrases("retract").finditer(body)):
        body = body[taken[-1].end() :]
    if (nothing := phrases("nothing").search(body)) and not _BECAUSE.search(
        body[: nothing.start()]
    ):
        if not (so := _SO_MANY.search(body, nothing.end())):
            return None if has("hedge", text) else Claim(body[nothing.start() :], 2)
        body = body[so.end() :]
    if has("working", body):
        return None
    body = _CONTRAST.sub("", body)
    if is_formula(body):
        return Claim(plain(body), 1)
    if (date := _DATE.search(body)) and not any(c.isdigit() for c in _DATE.sub("", body)):
        return Claim(date[0], 1)
    if name := bold(marked) or agent(body):
        return Claim(name, 3)
    if clause := _OPENING.match(body):
        rest = body[clause.end() :]
        body = rest if any(run.has_number for run in runs(rest)) else body
    return Sentence(body).claim(loosely, asked)


def _body(text: str) -> str:
    """A sentence without what leads to its claim: "so", "step 3:", "solving this, "."""
    return text[end_of(_LEAD, text) :].strip()


def is_working(sentence: str) -> bool:
    """Say whether a sentence only continues the working."""
    return has("working", _body(unmarked(sentence)))


def leading(text: str) -> str | None:
    """Return what an announced text starts with: an expression, or a label with what follows."""
    sentence = Sentence(unmarked(text.strip()[:MAX_SENTENCE]))
    if label := _LABELLED.match(sentence.text):
        rest = sentence.text[label.end() :].split("\n")[0].rstrip(". ")
        if len(rest.split()) <= MAX_WORDS:
            return f"{label[0].strip()} {plain(rest)}"
    found = sentence.object_at(end_of(FILLER, sentence.text))
    return found[0] if found else None
