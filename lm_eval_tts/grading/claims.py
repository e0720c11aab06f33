"""The reader of claims: what a sentence says the answer is, in any of the languages of `phrases`.

A sentence is read once: into expressions (`expressions`) and the words around them. A claim is what
is said of what is asked; bounds, negations, comparisons, refusals, hedges, names with numbers and
announcements of further work claim nothing. `options` reads what is said of labels the same way.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lm_eval_tts.grading.expressions import BINARY, Expression, listed, runs
from lm_eval_tts.grading.lexicon import end_of, has, pattern, phrases
from lm_eval_tts.grading.segments import plain, shown, unmarked

POLAR = "yes or no"  # what is asked by "Is f continuous at 0?"
MAX_SENTENCE = 1_500
MAX_WORDS = 8  # of an answer in words
MAX_CLAUSE = 200  # characters before a claim that may take it back

_SENTENCE = re.compile(r"[.!?;]\s|[。！？\n]|[,;]\s*but\b", re.I)
_WOULD_IF = pattern(
    r"\bwould be\b.*\binstead\b"
    r"|\bwould\b.*\bif\b|\bif\b.*\b(?:were|had)\b.*\bwould\b|\b(?:without|otherwise)\b.*\bwould\b"
)
CONTRAST = pattern(
    r"(?:,\s*(?:and\s+|but\s+)?not|\s(?:and not|instead of|rather than|unlike))\s[^.;,]*"
    r"(?=,|[.!]?$)"
)
IS_RIGHT = pattern(
    r"[)\]\s,:がは项項]*(?:(?:<is>|seems|appears|looks|would|must|to be)[\s,]+)*"
    r"(?:(?:the|a|an|our|my|final|therefore|thus|hence|indeed|clearly)\s+)*"
    r"(?!only\s+part|remains\s+(?:an?\s+)?<hedge>)<right>"
)

_LEAD = pattern(r"(?:[\s,.:;*#>]|\\to|<so>[\s,:])*")
_CONCLUSION = pattern(r".*[,;—–]\s*(?:and\s+)?(?:so|thus|hence|therefore)\b[\s,]+(?=.*\d)")
_BEFORE_BUT = pattern(r".*,\s*(?:but|however)\b")
_OPENING = pattern(r"<opening>[^,]{5,200},\s+")
_FILLER = pattern(r"(?:[\s:*\"$]|\\[(\[]|<filler>)*")
_LABELLED = re.compile(r"\s*(?:\([A-J]\)|[A-J][).:])\s+(?=\S)")
_DATE = pattern(
    r"(?:<months>)\s+\d{1,2}(?:st|nd|rd|th)?\b(?:,\s*\d{4}\b)?"
    r"|\b\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:<months>)(?:,?\s+\d{4}\b)?"
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
    r"<is|gives>|:(?!\d)|=|→|\b(?:i\.e|namely)\b|<changes> from\b[^.;]{1,40}?\bto\b"
    r"|\b(?:so|thus|hence|therefore)\b(?=\s+\S{0,3}\d)"
)
# What a value holds for, as in "is 5 when x = 2", or an aside; a conclusion is no part of it.
_CONDITION = pattern(
    r"<holds>\s(?!.*\b(?:so|thus)\b)|[,(]\s*which\b(?!\s+(?:rounds|simplifies|reduces|equals))"
)
_HOLDS = pattern("<condition>|is|are|be")  # before an equation: it is not the claim
_IS_THE_ANSWER = pattern(
    r"\s*(?:is|are|was|must be)\s+(?:indeed\s+)?(?:the|our|my|a)\s+(?:\w+\s+){0,2}"
    r"(?:answer|solution|result)\b"
)
_YES_OR_NO = pattern(r"(?:yes|no)(?=[,.!]|$)")
_RATIO = pattern(r"\s*(to|:|in|out of)\s*(\d+(?:\.\d+)?)\b")
_NUMBERED = re.compile(r"\S [A-Z][a-z]+ $")  # Bar 1, Team 7
_PART_OF = re.compile(r"[%t\d]\$?\)? of \S{0,2}\d")  # 20% of 80, 5 percent of 80, 3/4 of 12
_EQUALS = re.compile(r"=|≡|≈|\\(?:equiv|approx)(?![a-z])")
_CALCULATION = re.compile(r"\d\s*(?:[-+*/×÷−]|\\(?:times|cdot|div))\s*\d")
_ADD_UP = pattern(r"\badd\w* up to\W*$")
_IS_HEADING = re.compile(r"[ *)$\\]*:(?:\s|$)")
_ASIDE = re.compile(r"[,;]\s*(?:i\.e|that is|namely|or)\b")
_KNOWN = pattern(r"\b(?:the|these|those|all|each|every)[\s$\\(]*$")
_ENDS = ".;:!?。；：,，"


class Claim(NamedTuple):
    """What a sentence says the answer is: a value as written, or the letter of an option.

    weight: how surely; the surest of several counts.
    """

    answer: str
    weight: int


def committed(sentence: str, loosely: bool = True, asked: str = "") -> Claim | None:
    """Return what a sentence says the answer is; None if it says none.

    loosely: also take a number that no verb connects to what is asked.
    asked: the noun whose number is the answer, where there are several; or POLAR.
    """
    marked = sentence.strip()[-MAX_SENTENCE:]
    text = unmarked(marked)
    body = text[end_of(_LEAD, text) :].strip()
    body = body[end_of(_CONCLUSION, body) :]
    if is_hypothetical(body):
        body = body[end_of(_BEFORE_BUT, body) :]
        if is_hypothetical(body):
            return None
    if not body or has("refusal", text):
        return None
    if nothing := phrases("nothing").search(body):
        return None if is_hedged(text) else Claim(_ASIDE.split(body[nothing.start() :])[0], 2)
    if has("working", body):
        return None
    body = CONTRAST.sub("", body)
    if is_formula(body):
        return Claim(Sentence(body).final_equation() or plain(body), 1)
    if (date := _DATE.search(body)) and not any(c.isdigit() for c in _DATE.sub("", body)):
        return Claim(date[0], 1)
    if name := _bold(marked) or ((agent := _AGENT.match(body)) and agent[1]):
        return Claim(name, 3)
    return Sentence(body[end_of(_OPENING, body) :]).claim(loosely, asked)


def leading(text: str) -> str | None:
    """Return what an announced text starts with: an expression, or a label with what follows."""
    sentence = Sentence(unmarked(text.strip()[:MAX_SENTENCE]))
    if label := _LABELLED.match(sentence.text):
        rest = sentence.text[label.end() :].split("\n")[0].rstrip(". ")
        if len(rest.split()) <= MAX_WORDS:
            return f"{label[0].strip()} {plain(rest)}"
    found = sentence.object_at(end_of(_FILLER, sentence.text))
    return found[0] if found and not _IS_HEADING.match(sentence.text, found[1]) else None


def is_formula(text: str) -> bool:
    """Say whether a text is one expression, or a list of some, and nothing else."""
    bare = text.strip().strip("*_`").strip().rstrip(".,;:").strip()
    if not (found := runs(bare)):
        return False
    around = bare[: found[0].start] + bare[listed(bare, found, 0) :].replace("\\text", "")
    return not any(c.isalnum() for c in around)


def is_value(text: str) -> bool:
    """Say whether a text is one number, maybe with its unit, and nothing else."""
    found = runs(text)[:1] if is_formula(text) else []
    return any(r.has_number and not any(t.kind in BINARY for t in r.tokens) for r in found)


def is_mentioned(text: str, at: int) -> bool:
    """Say whether a sentence makes the claim there somebody else's, an earlier or a denied one."""
    clause = _SENTENCE.split(text[max(0, at - MAX_CLAUSE) : at])[-1]
    found = list(phrases("mention").finditer(clause))
    return bool(found) and not has("so", clause[found[-1].end() :])


def is_hedged(text: str) -> bool:
    """Say whether a text is not sure of what it says."""
    return has("hedge", phrases("idiom").sub("", text))


def is_hypothetical(text: str) -> bool:
    """Say whether a sentence tells what would be so if something else were."""
    return bool(_WOULD_IF.search(phrases("idiom").sub("", text)))


def ends_with(group: str, before: str, words: int) -> bool:
    """Say whether a text ends with a phrase, with at most this many words after it."""
    found = list(phrases(group).finditer(before))
    rest = _WORD.findall(before, found[-1].end()) if found else []
    return bool(found) and len(rest) <= words and "but" not in rest


def _bold(marked: str) -> str | None:
    """The last words in bold that are a value, and no heading."""
    bold = [text.strip() for text in _EMPHASIS.findall(marked)]
    short = [t for t in bold if len(t.split()) <= 3 and t[-1:] != ":" and not _FILLER.fullmatch(t)]
    return next((plain(text) for text in reversed(short) if not has("heading", text)), None)


def _predicate(text: str) -> str | None:
    """The few words after the last verb: "the curve is an ellipse"."""
    found = list(_PREDICATE.finditer(text))
    words = text[found[-1].end() :].strip().rstrip(".!").split() if found else []
    if not 1 <= len(words) <= MAX_WORDS or has("not", " ".join(words[:2])):
        return None
    return " ".join(words)


class Sentence:
    """A sentence with its expressions."""

    def __init__(self, text: str) -> None:
        self.text, self.runs = text, runs(text)

    def claim(self, loosely: bool, asked: str) -> Claim | None:
        """Return what it says the answer is (see `committed`)."""
        text = self.text
        if is_hedged(text):
            return None
        yes = _YES_OR_NO.match(text)
        if yes and asked == POLAR:
            return Claim(yes[0], 3)
        for run in self.runs:
            if _IS_THE_ANSWER.match(text, run.end) and self.is_free(run):
                return Claim(self.text_of(run), 3)
        counts = [run for run in self.runs if asked and self.counts(run, asked)]
        if len(counts) == 1:  # 4 dimes and 7 nickels
            return Claim(self.text_of(counts[0]), 2)
        if found := self.final_equation() or self.object() or self.worked_out():
            return Claim(found, 1)
        number = loosely and not has("not", text) and self.loose()
        found = number or _predicate(text) or (yes and yes[0])
        return Claim(found, 0) if found else None

    def text_of(self, run: Expression) -> str:
        """Return an expression as written."""
        return plain(shown(self.text, run.start, run.end))

    def counts(self, run: Expression, noun: str) -> bool:
        """Say whether an expression is the number of what is asked for."""
        rest = self.text[run.end :].lstrip("$\\) ").lower()
        is_counted = rest.startswith(noun) or run.tokens[-1].text.lower().startswith(noun)
        return is_counted and self.is_free(run)

    def is_free(self, run: Expression) -> bool:
        """Whether nothing before or after an expression makes it a part of another statement."""
        start = max(self.text.rfind(mark, 0, run.start) for mark in _ENDS)
        before = self.text[start + 1 : run.start]
        after = self.text[run.end : run.end + 40].lstrip(" *)$\\")
        is_number = sum(token.kind not in ("(", ")") for token in run.tokens) < 3
        return not (
            (ends_with("bound", before, 1) and not _ADD_UP.search(before))
            or ends_with("not", before, 3)
            or (is_number and ends_with("named", before.rstrip(" ("), 0))
            or (_NUMBERED.search(before) and not ends_with("filler", before, 0))
            or _PART_OF.match(self.text, run.end - 1)
            or phrases("compare").match(after)
            or is_mentioned(self.text, run.start)
        )

    def final_equation(self) -> str | None:
        """An equation at the end of a sentence, unless it only says where something holds."""
        if not self.runs or not _is_equation(self.runs[-1]):
            return None
        run = self.runs[-1]
        before = self.text[: run.start].rstrip("$\\([ \n\t")
        holds = before and _HOLDS.fullmatch(before.split()[-1])
        if holds or any(map(str.isalnum, self.text[run.end :])) or not self.is_free(run):
            return None
        first = len(self.runs) - 1
        while first and _is_equation(self.runs[first - 1]) and self.is_list(first - 1):
            if self.runs[first - 1].tokens[1].kind != "=":
                break  # 2x = 16 and x = 8
            first -= 1  # x = 2 or x = 3
        return plain(shown(self.text, self.runs[first].start, run.end))

    def worked_out(self) -> str | None:
        """The result of a calculation that the sentence goes on to name: 24 - 17 = 7 more laps."""
        run = self.runs[-1] if self.runs else None
        if not run or not _is_equation(run) or not self.is_free(run):
            return None
        left, _, right = self.text_of(run).rpartition("=")
        return right.strip() if is_value(right) and _CALCULATION.search(left) else None

    def is_list(self, number: int) -> bool:
        """Say whether others follow an expression in a list."""
        return listed(self.text, self.runs, number) > self.runs[number].end

    def object(self) -> str | None:
        """The expression after the last verb (or equals sign) that one follows."""
        found, end = None, 0
        for match in _VERB.finditer(self.text):
            if found and match[0] == ":" and not self.text[end : match.start()].strip("$) "):
                break  # 36 minutes: 3 laps
            if found not in (None, "one") and _CONDITION.search(self.text, end, match.start() + 1):
                break
            start = end_of(_FILLER, self.text, match.end())
            if (answer := self.object_at(start)) is not None:
                found, end = answer
        return found

    def object_at(self, start: int) -> tuple[str, int] | None:
        """The expression that starts here, with the rest of its list, and where it ends."""
        here = [n for n, run in enumerate(self.runs) if run.start <= start < run.end]
        if not here or self.text[self.runs[here[0]].start : start].strip("$\\([ "):
            return None
        number, run = here[0], self.runs[here[0]]
        if not self.is_free(run):
            return None
        answer = self.answer(number)
        if _is_equation(run) and not (self.is_list(number) or has("equations", self.text)):
            answer = _EQUALS.split(answer)[-1].strip()  # the larger number is x + 2 = 18
        if ratio := _RATIO.match(self.text, run.end):  # 3 to 4 is a ratio, 3 in 4 a chance
            group, sign = ("ratio", " : ") if ratio[1] in ("to", ":") else ("chance", "/")
            is_joint = has(group, self.text) or ratio.end() == len(self.text.rstrip(".$* "))
            answer = f"{answer}{sign}{ratio[2]}" if is_joint else answer
        return answer, run.end

    def answer(self, number: int) -> str:
        """Return an expression with the rest of its list."""
        return shown(self.text, self.runs[number].start, listed(self.text, self.runs, number))

    def loose(self) -> str | None:
        """A number that is not bound by a preposition, else the first that was not talked of."""
        free = [n for n, run in enumerate(self.runs) if run.has_number and self.is_free(run)]
        numbers = [n for n in free if not _IS_HEADING.match(self.text, self.runs[n].end)]
        for number in numbers:
            start = self.runs[number].start
            words = _WORD.findall(self.text[max(0, start - 30) : start])
            if not words or not phrases("free").fullmatch(words[-1]):
                return self.answer(number)
        known = (n for n in numbers if not _KNOWN.search(self.text, 0, self.runs[n].start))
        return next(map(self.answer, known), None)


def _is_equation(run: Expression) -> bool:
    return any(token.kind in ("=", "\\equiv", "~") for token in run.tokens)
