"""One sentence: its expressions, and which of them it says is the answer."""

from __future__ import annotations

import re
from typing import NamedTuple

from lm_eval_tts.grading.expressions import Expression, listed, runs
from lm_eval_tts.grading.lexicon import end_of, has, pattern, phrases
from lm_eval_tts.grading.wording import (
    FILLER,
    WORD,
    ends_with,
    is_mentioned,
    is_numbered_name,
    plain,
    predicate,
    shown,
)

POLAR = "yes or no"  # what is asked by "Is f continuous at 0?"
_VERB = pattern(
    r"<is|gives>|:(?!\d)|=|→|\b(?:i\.e|namely)\b|<changes> from\b[^.;]{1,40}?\bto\b"
    r"|\b(?:so|thus|hence|therefore)\b(?=\s+\S{0,3}\d)"
)
# What a value holds for, as in "is 5 when x = 2"; a conclusion after it is no part of it.
_CONDITION = pattern(r"<holds>\s(?!.*\b(?:so|thus)\b)")
_RELATIVE = pattern(r"[,(]\s*which\b")
_MODULO = pattern(r"\(?\\?p?mod\b[\s{]*\S{1,6}?[)}]*")
_IS_THE_ANSWER = pattern(
    r"\s*(?:is|are|was|must be)\s+(?:indeed\s+)?(?:the|our|my|a)\s+(?:\w+\s+){0,2}"
    r"(?:answer|solution|result)\b"
)
_IS_REACHED = pattern(
    r"\$?,\s*(?:is|are|occurs|was)\s+(?:attained|achieved|reached|obtained|when)\b"
)
_IS_A = pattern(
    r"\b(?:is|are|was)\s+an?\s+(?![^\s]*\d)(?:\w+\s+){0,2}?\w+\s+"
    r"(?:with|centered|whose|that|having|of|in)\b"
)
_YES_OR_NO = pattern(r"(?:yes|no)(?=[,.!]|$)")
_COPULA = pattern(r"\b(?:is|are|be)[\s$\\(\[]*$")
_NAME = re.compile(r"[A-Z][a-z]+ (?=\d)")
_RATIO = pattern(r"\s*(to|:|in|out of)\s*(\d+(?:\.\d+)?)\b")
_NO_BOUND = pattern(r"<gives>|\\[a-z]+")  # "up to" in "add up to", \times
_PART_OF = re.compile(r"[%t\d]\$?\)? of \S{0,2}\d")  # 20% of 80, 5 percent of 80, 3/4 of 12
_CALCULATION = re.compile(r"\d\s*(?:[-+*/×÷−]|\\(?:times|cdot|div))\s*\d")
_EQUALS = re.compile(r"=|≡|\\equiv")
_BY = pattern(r"\b(?:by|from|using|in|with)\s*$")
_KNOWN = pattern(r"\b(?:the|these|those|all|each|every)[\s$\\(]*$")
_ENDS = ".;!?。；,，"


class Claim(NamedTuple):
    """What a sentence says the answer is. weight: how surely; the surest of several counts."""

    answer: str
    weight: int


class Sentence:
    """A sentence with its expressions."""

    def __init__(self, text: str) -> None:
        self.text, self.runs = text, runs(text)
        # Of an equation that is talked about, both sides belong to the answer.
        self.is_about_equations = has("equations", text) and not has("measures", text)

    def claim(self, loosely: bool, asked: str) -> Claim | None:
        """Return what it says the answer is (see `claims.committed`)."""
        text = self.text
        is_hedged = has("hedge", text) and not _CONDITION.search(text, len(text) // 3)
        if is_hedged:
            return None
        if asked == POLAR and (yes := _YES_OR_NO.match(text)):
            return Claim(yes[0], 3)
        for run in self.runs:
            if _IS_THE_ANSWER.match(text, run.end) and self.is_free(run):
                return Claim(self.text_of(run), 3)
            if text[: run.start].rstrip("$ ").endswith(",") and _IS_REACHED.match(text, run.end):
                return Claim(self.text_of(run), 2)  # the largest area, 49, is attained at
        counts = [run for run in self.runs if asked and self.counts(run, asked)]
        if len(counts) == 1:  # 4 dimes and 7 nickels
            return Claim(self.text_of(counts[0]), 2)
        if found := self.final_equation() or self.object():
            return Claim(found, 1)
        if worked := self.worked_out():
            return Claim(worked, 1)
        noun = predicate(text) if _IS_A.search(text) else None
        if not noun and loosely and not has("not", text):
            noun = self.loose()
        if found := noun or predicate(text):
            return Claim(found, 0)
        yes = _YES_OR_NO.match(text)
        return Claim(yes[0], 0) if yes else None

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
        is_heading = after.startswith(":") and not after[1:2].isdigit() and after[1:2] not in "()"
        return not (
            ends_with("bound", before, 1, unless=_NO_BOUND)
            or ends_with("not", before, 3)
            or (_is_number(run) and ends_with("named", before.rstrip(" ("), 0))
            or _PART_OF.match(self.text, run.end - 1)
            or is_numbered_name(before, run)
            or is_heading
            or phrases("compare").match(after)
            or phrases("bound").match(after)
            or any(token.kind == "!=" for token in run.tokens)
            or is_mentioned(self.text, run.start)
            or (run.tokens[0].kind == "(" and _is_number(run) and _BY.search(before))
        )

    def final_equation(self) -> str | None:
        """An equation at the end of a sentence, unless it only says where something holds."""
        if not self.runs or not _is_equation(self.runs[-1]):
            return None
        run = self.runs[-1]
        before = self.text[: run.start].rstrip("$\\([ \n\t")
        words = WORD.findall(before) if before[-1:].isalpha() else []
        holds = words and phrases("condition").fullmatch(words[-1])
        rest = _MODULO.sub("", self.text[run.end :])
        if holds or any(map(str.isalnum, rest)) or not self.is_free(run):
            return None
        first = len(self.runs) - 1
        while first and _is_equation(self.runs[first - 1]) and self.is_list(first - 1):
            first -= 1
        if first < len(self.runs) - 1:  # x = 2 or x = 3
            return plain(shown(self.text, self.runs[first].start, run.end))
        is_object = _COPULA.search(self.text[: run.start])
        return self.shortened(run, self.text_of(run), bool(is_object))

    def worked_out(self) -> str | None:
        """The result of a calculation that the sentence goes on to name: 24 - 17 = 7 more laps."""
        run = self.runs[-1] if self.runs else None
        if not run or not _is_equation(run) or not self.is_free(run):
            return None
        left, _, right = self.text_of(run).rpartition("=")
        is_number = right.strip().replace(".", "").replace(",", "").isdigit()
        return right.strip() if is_number and _CALCULATION.search(left) else None

    def is_list(self, number: int) -> bool:
        """Say whether others follow an expression in a list."""
        return listed(self.text, self.runs, number) > self.runs[number].end

    def shortened(self, run: Expression, answer: str, is_object: bool = True) -> str:
        """The right side of an equation that is a value: "the larger number is x + 2 = 18"."""
        if is_object and _is_equation(run) and not self.is_about_equations:
            return _EQUALS.split(answer)[-1].strip()
        return answer

    def object(self) -> str | None:
        """The expression after the last verb (or equals sign) that one follows."""
        found, end = None, 0
        for match in _VERB.finditer(self.text):
            if match.start() < end:
                continue
            between = self.text[end : match.start() + 1]
            is_aside = found != "one" and _RELATIVE.search(between)
            if found and (is_aside or _CONDITION.search(between)):
                break
            start = end_of(FILLER, self.text, match.end())
            if (answer := self.object_at(start)) is not None:
                found, end = answer
        return found

    def object_at(self, start: int) -> tuple[str, int] | None:
        """The expression that starts here, or a name with a number, and where it ends."""
        number, name = self.number_at(start), None
        if number is None and (name := _NAME.match(self.text, start)):
            number = self.number_at(name.end())
        if number is None:
            return None
        run = self.runs[number]
        if name and _is_number(run):
            return self.text[start : run.end], run.end
        if not self.is_free(run):
            return None
        answer = self.answer(number)
        if not (_is_equation(run) and self.is_list(number)):
            answer = self.shortened(run, answer)
        ratio = _RATIO.match(self.text, run.end)
        if ratio:  # 3 to 4 is a ratio, 3 in 4 a chance
            group, sign = ("ratio", " : ") if ratio[1] in ("to", ":") else ("chance", "/")
            is_last = ratio[1] == "to" and not any(map(str.isalnum, self.text[ratio.end() :]))
            joint = sign if has(group, self.text) else " to " if is_last else ""
            answer = f"{answer}{joint}{ratio[2]}" if joint else answer
        return answer, run.end

    def number_at(self, place: int) -> int | None:
        """Return the number of the expression that starts at a place, if one does."""
        for number, run in enumerate(self.runs):
            if run.start <= place < run.end and not self.text[run.start : place].strip("$\\([ "):
                return number
        return None

    def answer(self, number: int) -> str:
        """Return an expression with the rest of its list."""
        return shown(self.text, self.runs[number].start, listed(self.text, self.runs, number))

    def loose(self) -> str | None:
        """A number that is not bound by a preposition, else the first one."""
        numbers = [n for n, run in enumerate(self.runs) if run.has_number and self.is_free(run)]
        for number in numbers:
            start = self.runs[number].start
            words = WORD.findall(self.text[max(0, start - 30) : start])
            if not words or not phrases("free").fullmatch(words[-1]):
                return self.answer(number)
        known = (n for n in numbers if not _KNOWN.search(self.text, 0, self.runs[n].start))
        return next(map(self.answer, known), None)


def _is_number(run: Expression) -> bool:
    """Whether it is one number, maybe in brackets, as that of equation (2)."""
    return sum(token.kind not in ("(", ")") for token in run.tokens) < 3


def _is_equation(run: Expression) -> bool:
    return any(token.kind in ("=", "\\equiv") for token in run.tokens)
