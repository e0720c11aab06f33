"""Claims in words: a name in bold, who does something most, what a sentence says something is."""

from __future__ import annotations

import re

from lm_eval_tts.grading.expressions import Expression, runs
from lm_eval_tts.grading.lexicon import has, pattern, phrases, words_of
from lm_eval_tts.grading.tokens import currency

MAX_WORDS = 8  # of an answer in words
MAX_CLAUSE = 200  # characters before a claim that may take it back

_EMPHASIS = re.compile(r"\*\*([^*\n]{1,80})\*\*(?!\s*:)")
_AGENT = re.compile(
    r"([A-Z][a-z]+)\s+(?:from\s+[A-Z]\w+\s+)?(?:(?:would|will|can)\s+)?([a-z]+)\s+(?:the\s+)?"
    r"(?:most|least|\w+est)\b"
)
_PREDICATE = pattern(
    r"(?<!\w)(?:is|are|was|be|called|facing|(?:fall|fell|land)s? on|:)\s+(?:an?\s+|the\s+)?"
    r"(?=[^\W\d_])"
)
_SENTENCE = re.compile(r"[.!?;]\s|[。！？\n]|[,;]\s*but\b", re.I)
_DENIED = pattern(r"(?:<not>)[\s$*:]*$")
_UNIT_OUTSIDE = re.compile(r"\$\s*[A-Za-z]+(?:/[A-Za-z]+)?$")
_PRONOUNS = words_of("pronouns")
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
FILLER = pattern(r"(?:[\s:*\"$]|\\[(\[]|<filler>)*")


def plain(text: str) -> str:
    """Return a claim without the punctuation after it and the signs that only delimit formulas."""
    stripped = text.rstrip(".,;: ")
    return shown(stripped, 0, len(stripped))


def bold(marked: str) -> str | None:
    """Return the last words in bold that are a value, and no heading."""
    for text in reversed([text.strip() for text in _EMPHASIS.findall(marked)]):
        is_heading = text.endswith(":") or FILLER.fullmatch(text) or has("answer", text)
        is_heading = is_heading or has("heading", text)
        if is_heading or has("named", text.split()[0]) or has("not", text):
            continue
        if len(text.split()) <= 3 or any(run.has_number for run in runs(text)):
            return plain(text)
    return None


def shown(text: str, start: int, end: int) -> str:
    """Return a part of a text without the dollar signs that only delimit formulas."""
    part = text[start:end]
    if "$" not in part:
        return part.strip()
    money = currency(text)
    if _UNIT_OUTSIDE.search(part):  # of $2$ m, in which m is no letter of the formula
        return f"{'$' * (part.count('$') % 2)}{part}".strip()
    kept = (
        c for at, c in enumerate(part, start) if c != "$" or at in money or text[at - 1] == "\\"
    )
    return "".join(kept).strip()


def is_mentioned(text: str, at: int, *, denied: bool = False) -> bool:
    """Say whether a sentence makes the claim there somebody else's, an earlier or a denied one.

    denied: also where a negation is right before it.
    """
    clause = _SENTENCE.split(text[max(0, at - MAX_CLAUSE) : at])[-1]
    if found := list(phrases("mention").finditer(clause)):
        return not has("so", clause[found[-1].end() :])
    return denied and bool(_DENIED.search(clause))


def agent(text: str) -> str | None:
    """Return the name of the one who does something most, as in "Ada runs the fastest"."""
    match = _AGENT.match(text)
    if not match or match[1] in _PRONOUNS:
        return None
    is_free = any(phrases("free").fullmatch(word) for word in (match[1].lower(), match[2]))
    return None if is_free else match[1]


def is_numbered_name(before: str, run: Expression) -> bool:
    """Say whether it is Bar 1, Team 7: a number after a capital is a name."""
    words = before.split()
    if len(words) < 2 or run.tokens[0].kind != "NUMBER" or not before.endswith(" "):
        return False
    is_capital = words[-1][0].isupper() and words[-1].isalpha() and len(words[-1]) > 1
    return is_capital and not has("is", words[-1]) and not has("filler", words[-1])


def predicate(text: str) -> str | None:
    """Return the few words after the last verb: "the curve is an ellipse"."""
    found = list(_PREDICATE.finditer(text))
    words = text[found[-1].end() :].strip().rstrip(".!").split() if found else []
    if not 1 <= len(words) <= MAX_WORDS or has("not", " ".join(words[:2])):
        return None
    return " ".join(words)


def ends_with(group: str, before: str, words: int, unless: re.Pattern[str] | None = None) -> bool:
    """Say whether a text ends with a phrase, with at most this many words after it.

    unless: a phrase does not count where it is only a part of what this matches.
    """
    longer = [match.span() for match in unless.finditer(before)] if unless else []
    found = [
        match.end()
        for match in phrases(group).finditer(before)
        if not any(
            s <= match.start() and match.end() <= e and match[0] != before[s:e] for s, e in longer
        )
    ]
    after = before[found[-1] :] if found else ""
    rest = WORD.findall(after)
    is_spent = any(map(str.isdigit, after)) and has("is", after)  # "more than 2 apples is 5"
    return bool(found) and len(rest) <= words and "but" not in rest and not is_spent
