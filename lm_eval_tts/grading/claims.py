"""The reader of claims: what a sentence says the answer is, in any of the languages of `phrases`.

A sentence is read once: into expressions and the words around them. A claim is what is said of what
is asked; bounds, negations, comparisons, refusals, hedges, names with numbers and announcements of
further work claim nothing. `choices` reads what is said of labels the same way.
"""

import re
from typing import NamedTuple

from lm_eval_tts.grading import parts
from lm_eval_tts.grading.notation import end_of, has, pattern, phrases
from lm_eval_tts.grading.parts import plain, says_something, unmarked

MAX_SENTENCE = 1_500
MAX_WORDS = 8  # of an answer in words
MAX_CLAUSE = 200  # characters before a claim that may take it back

# What may stand before a statement: "So, x = 2 and hence", "Using the formula,"
_START = pattern(
    r"(?:[\s,.:;*#>]|\\to|<so>[\s,:])*"
    r"(?:.*[,;—–]\s*(?:and\s+)?(?:so|thus|hence|therefore)\b[\s,]+)?"
    r"(?:<opening>[^,]{5,200},\s+)?"
)
_FILLER = pattern(r"(?:[\s:*\"$]|\\[(\[]|\(?(?-i:[A-J])[).:]\s|<filler>)*")
_DATE = pattern(
    r"(?:\b\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?)?(?:<months>)(?:\s+\d{1,2}(?:st|nd|rd|th)?\b)?"
    r"(?:,?\s+\d{4}\b)?"
)
_EMPHASIS = re.compile(r"\*\*([^*\n]{1,80})\*\*(?!\s*:)")
_AGENT = pattern(  # Ada runs the fastest
    r"(?!(?i:<free>|he|she|it|they|we|this|that|i|you|there|who|which|what)\b)([A-Z][a-z]+)\s"
    r"(?:from\s[A-Z]\w+\s)?(?:(?:would|will|can)\s)?(?!<free>)[a-z]+\s(?:the\s)?(?:most|least|\w+est)\b",
    0,
)
_PREDICATE = pattern(
    r"(?<!\w)(?:is|are|was|be|called|facing|(?:fall|fell|land)s? on|:)\s+(?:an?\s+|the\s+)?"
    r"(?=[^\W\d_])"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_VERB = pattern(
    r"<is|gives>|:(?!\d)|=|→|\b(?:i\.e|namely)\b"
    r"|\b(?:so|thus|hence|therefore)\b(?=\s+\S{0,3}\d)"
)
_RATIO = pattern(r"\s*(?:to|:|in|out of)\s*(\d+(?:\.\d+)?)\b")
_KNOWN = ("the", "these", "those", "all", "each", "every")  # before what was talked of
YES_NO = ("yes", "no")
_ENDS = ".;:!?。；：,，"


class Claim(NamedTuple):
    """What a sentence says the answer is: a value as written, or the letter of an option."""

    answer: str
    is_sure: bool = False  # also where it is not the last sentence


def committed(sentence: str, question: str = "") -> Claim | None:
    """Return what a sentence says the answer is; None if it says none.

    question: in small letters; tells which of several numbers is asked for.
    """
    marked = sentence.strip()[-MAX_SENTENCE:]
    text = unmarked(marked)
    body = text[end_of(_START, text) :].strip()
    if not body or body.endswith(":") or is_hypothetical(body) or is_hedged(body):
        return None
    if nothing := phrases("nothing").search(body):
        return Claim(body[nothing.start() :])
    if (date := _DATE.search(body)) and any(map(str.isdigit, date[0])):
        return Claim(date[0])
    if name := _bold(marked) or ((agent := _AGENT.match(body)) and agent[1]):
        return Claim(name, is_sure=True)
    found = Sentence(body).claim(question)
    return Claim(found) if found else None


def leading(text: str) -> str | None:
    """Return the expression that an announced text starts with."""
    sentence = Sentence(unmarked(text.strip()[:MAX_SENTENCE]))
    found = sentence.object_at(end_of(_FILLER, sentence.text))
    is_heading = found and sentence.text[found[1] :].lstrip(" *)$\\").startswith(":")
    return found[0] if found and not is_heading else None


def is_value(text: str) -> bool:
    """Say whether a text is one number, maybe with its unit, and nothing else."""
    found = parts.runs(text)
    if len(found) != 1 or any(token.kind in parts.BINARY for token in found[0].tokens):
        return False
    return found[0].has_number and not says_something(text[: found[0].start] + text[found[0].end :])


def is_denied(before: str) -> bool:
    """Say whether what stands before a claim denies it or makes it somebody else's or earlier."""
    mention = has("mention", before[-MAX_CLAUSE:].rpartition(", but ")[2])
    return mention or ends_with("not", _clause(before), 3)


def _clause(before: str) -> str:
    return before[max(before.rfind(mark) for mark in _ENDS) + 1 :]


def is_hedged(text: str) -> bool:
    """Say whether a text is not sure of what it says."""
    return has("hedge", phrases("idiom").sub("", text))


def is_hypothetical(text: str) -> bool:
    """Say whether a sentence tells what would be so if something else were."""
    words = set(_WORD.findall(phrases("idiom").sub("", text.lower())))
    return "would" in words and not words.isdisjoint(("if", "instead", "without", "otherwise"))


def is_named(before: str) -> bool:
    """Say whether a capital before a number or letter makes it a name: Team 7, Vitamin D."""
    words = before.split()[-2:]
    return len(words) > 1 and words[-1].istitle() and not ends_with("filler", before, 0)


def ends_with(group: str, before: str, words: int) -> bool:
    """Say whether a text ends with a phrase, with at most this many words after it."""
    found = list(phrases(group).finditer(before))
    rest = _WORD.findall(before, found[-1].end()) if found else []
    return bool(found) and len(rest) <= words and "but" not in rest


def _bold(marked: str) -> str | None:
    """The last words in bold that are a value, and no heading."""
    for text in map(str.strip, reversed(_EMPHASIS.findall(marked))):
        is_title = text.endswith(":") or has("heading", text)
        if len(text.split()) <= 3 and not is_title and not _FILLER.fullmatch(text):
            return plain(text)
    return None


def _predicate(text: str) -> str | None:
    """The few words after the last verb: "the curve is an ellipse"."""
    *verbs, said = _PREDICATE.split(text)
    words = said.strip().rstrip(".!").split()
    is_short = verbs and 1 <= len(words) <= MAX_WORDS and not has("not", " ".join(words[:2]))
    return " ".join(words) if is_short else None


class Sentence:
    """A sentence with its expressions."""

    def __init__(self, text: str) -> None:
        self.text, self.runs = text, parts.runs(text)

    def claim(self, question: str) -> str | None:
        """Return what it says the answer is (see `committed`)."""
        nouns = [_WORD.search(self.text, run.start) for run in self.runs]
        asked = [f"many {noun[0].lower()}" in question if noun else False for noun in nouns]
        if sum(asked) == 1:  # 4 dimes and 7 nickels
            return self.answer(asked.index(True))
        claimed = self.object() or self.loose()
        first = self.text.replace(".", ",").partition(",")[0]
        return claimed or _predicate(self.text) or (first if first.lower() in YES_NO else None)

    def is_free(self, run: parts.Expression) -> bool:
        """Whether nothing before or after an expression makes it a part of another statement."""
        before = self.text[: run.start]
        clause = _clause(before)
        after = self.text[run.end : run.end + 40].lstrip(" *)$\\")
        is_number = sum(token.kind not in ("(", ")") for token in run.tokens) < 3
        is_share = self.text[run.end - 1] in "%t0123456789"  # 20% of 80, 3/4 of 12
        is_part = is_share and after[:3] == "of " and any(map(str.isdigit, after[:5]))
        return not (
            is_denied(before)
            or ends_with("bound", clause, 1)
            or (is_number and ends_with("named", clause.rstrip(" ("), 0))
            or is_named(before)
            or is_part
            or phrases("compare").match(after)
        )

    def object(self) -> str | None:
        """The expression after the last verb (or equals sign) that one follows."""
        found, end = None, 0
        for match in _VERB.finditer(self.text):
            if found and phrases("holds").search(self.text, end, match.start() + 1):
                break
            start = end_of(_FILLER, self.text, match.end())
            if (answer := self.object_at(start)) is not None:
                found, end = answer
        return found

    def object_at(self, start: int) -> tuple[str, int] | None:
        """The expression that starts here, with the rest of its list, and where it ends."""
        here = next((n for n, run in enumerate(self.runs) if run.start <= start < run.end), None)
        if here is None or self.text[self.runs[here].start : start].strip("$\\([ "):
            return None
        run = self.runs[here]
        ratio = _RATIO.match(self.text, run.end)  # 3 to 4, 3 in 4
        answer = self.answer(here) + (f" : {ratio[1]}" if ratio else "")
        return (answer, run.end) if self.is_free(run) else None

    def answer(self, number: int) -> str:
        """Return an expression with the rest of its list."""
        return plain(self.text, self.runs[number].start, parts.listed(self.text, self.runs, number))

    def loose(self) -> str | None:
        """A number that is not bound by a preposition, else the first that was not talked of."""
        new = None
        for number, run in enumerate(self.runs):
            if not run.has_number or not self.is_free(run):
                continue
            word = "".join(_WORD.findall(self.text[max(0, run.start - 30) : run.start])[-1:])
            if not phrases("free").fullmatch(word):
                return self.answer(number)
            new = new or (self.answer(number) if word.lower() not in _KNOWN else None)
        return new
