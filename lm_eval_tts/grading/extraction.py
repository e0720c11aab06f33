r"""Where the final answer of a response is, as an ordered list of sources.

    answer_tag   between answer tags (the last pair that holds something)
    boxed        \boxed{} or \fbox{}
    hash         #### as in GSM8K
    phrase       "the final answer is", "Answer:" and the like
    last_line    a last sentence or formula that states a value

    option_text  a choice by the text of an option (see `choices`)
    letter       a choice by a letter alone
    thinking     any of these inside of the thinking, if nothing else holds an answer

The last of boxed, hash and phrase in the text counts, since the last commitment does. What stands
behind an answer tag overrides it only by one of these three. Thinking
that was cut off holds no answer; thinking that ends in a full sentence "Therefore, the answer is
..." was not cut off, only not closed. Knows nothing of the reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from lm_eval_tts.grading.degeneration import has_loop
from lm_eval_tts.grading.parts import Parts
from lm_eval_tts.grading.sentences import committed, is_formula, leading, mark_currency, named
from lm_eval_tts.grading.splitting import sentences

MAX_ANSWER = 1_000
ENDING = 4_000  # characters of a text in which a last line is looked for


class Found(NamedTuple):
    """An answer as written, where it was found, and the index it starts at."""

    answer: str
    source: str
    at: int


_BOX = re.compile(r"\\f?box(?:ed)?\s*(?=[{\s\w])")
_LAYOUT = r"(?:[\s$]|\\[()\[\]]|\\q?quad(?![A-Za-z]))*"
_AND = r"(?:\\(?:text|mbox)\{\s*)?(?:and|or)\b(?:\s*\})?"
_JOINS = re.compile(rf"\}}{_LAYOUT}(?:[,;]{_LAYOUT}(?:{_AND})?|{_AND}){_LAYOUT}")
_HASH = re.compile(r"####[ \t]*([^\n#]+)")
_PHRASE = re.compile(
    r"(?:\b(?:final|correct|right|best|desired|required|actual)\s+(?:answer|result|solution|value)"
    r"|\b(?:the|our|my|an)\s+answer(?:\s+to\b\s*(?:[\"“][^\"”\n]{0,300}[\"”]|[^.\n:\"“]{0,150}?))?"
    r"|(?:^|\n)[ \t>#*]*(?:answer|result|solution))"
    r"[ \t*_]*(?:is|are|was|would be|should be|must be|remains(?: as)?|:|=|：)[ \t*_]*"
    r"(?:(?:is|are|that|thus|therefore|then|simply|just|indeed|as follows|equal to)\b[ \t]*)*:?",
    re.I,
)
_CHATTER = re.compile(
    r"\?\s*$|\b(?:please|let me know|feel free|hope (?:this|that)|if you (?:meant|have|need|would)|"
    r"thank you|good luck|you're welcome|i'm sorry)\b",
    re.I,
)
# A sentence about the sentence before, and one that announces more work.
_REMARK = re.compile(
    r"\((?:since|we|note|this)\b|\W*(?:this|these|that|it|note|alternatively|here|where|"
    r"in other words|i\.e|however|but|both|we (?:can )?(?:check|verify|know))\b",
    re.I,
)
_CONCLUDES = re.compile(r"\W*(?:therefore|thus|hence|so)\b", re.I)
_WORKING = re.compile(
    r"\b(?:let's|let us|let me|need to (?:check|verify|find|try|consider)|wait\b|try again|"
    r"not (?:true|valid|a valid|equal to|correct|a solution|generally)|contradict)",
    re.I,
)
_MIDDLE = re.compile(
    r"(?:[=+\-*/,(\[{\\<>&^_:]|\\(?:times|cdot|frac|sqrt|approx|quad|mod|pmod))\s*$"
)


def find_answer(parts: Parts, is_cut: bool) -> Found | None:
    """Return the final answer of a response. is_cut: it ends in a loop or inside of thinking."""
    outside = parts.after if any(a.strip() for a in parts.answers) else parts.before
    tagged = _in_answer_tags(parts.answers)
    if tagged and (later := explicit(outside)):
        return later
    return tagged or find_in_text(outside, is_cut) or _in_thinking(parts)


def find_in_text(text: str, is_cut: bool = False) -> Found | None:
    """Return the answer that a text without tags commits to."""
    found = explicit(text)
    return found or (None if is_cut else _last_line(text))


def explicit(text: str) -> Found | None:
    """Return the last answer that is marked as one: boxed, behind ####, or in a phrase."""
    candidates = [found for _, find in EXPLICIT if (found := find(text))]
    return max(candidates, key=lambda found: found.at, default=None)


def _in_answer_tags(answers: tuple[str, ...]) -> Found | None:
    for content in reversed(answers):
        content = content.strip()
        if not content:
            continue
        if answer := _within_tag(content):
            return Found(answer[:MAX_ANSWER], "answer_tag", 0)
    return None


def _within_tag(content: str) -> str | None:
    """Between tags a short text is the answer itself; a long one is read like any text."""
    if len(content) <= 2 * MAX_ANSWER and "\n\n" not in content and is_formula(content):
        return content
    if marked := explicit(content):
        return marked.answer
    if len(content) <= 80 and "\n" not in content and not _is_sentence(content):
        return content
    found = None if has_loop(content) else _last_line(content)
    if found:
        return found.answer
    return content if len(content) <= 200 else None


def _is_sentence(text: str) -> bool:
    return bool(re.search(r"\b(?:is|are|was|were|has|have|equals|which|need|can|be)\b", text))


def _in_thinking(parts: Parts) -> Found | None:
    if parts.open_thinking:
        found = concluded(parts.open_thinking)
    else:
        found = find_in_text(parts.thinking, has_loop(parts.thinking))
    return found._replace(source="thinking") if found else None


_CONCLUSION = re.compile(
    r"(?:^|[.!?\n]\s*)((?:therefore|thus|hence|so)?,?\s*(?:the\s+)(?P<kind>final|correct)?\s*answer\s+"
    r"is:?\s[^\n]{1,200}\.)\s*$",
    re.I,
)


def concluded(text: str) -> Found | None:
    """Return the answer of a thinking that was not cut off, only not closed.

    Its last sentence has to be a full one that says nothing but what the (final) answer is.
    """
    match = _CONCLUSION.search(text[-400:].rstrip())
    if not match or not (
        match.group("kind") or re.match(r"(?:therefore|thus|hence|so)\b", match.group(1), re.I)
    ):
        return None
    return explicit(match.group(1))


def _boxed(text: str) -> Found | None:
    """The last box that closes, or that the end of the text cuts off behind a whole number.

    Boxes with nothing but "and" or a comma between them are one answer of several parts.
    """
    parts: list[Found] = []
    for match in reversed(list(_BOX.finditer(text))):
        content = _box_content(text, match.end()) or ""
        if parts and not _JOINS.fullmatch(text, match.end() + len(content) + 1, parts[0].at):
            break
        if content.strip():
            parts.insert(0, Found(content.strip()[:MAX_ANSWER], "boxed", match.start()))
    return parts[-1]._replace(answer=", ".join(p.answer for p in parts)) if parts else None


def _box_content(text: str, start: int) -> str | None:
    if text[start : start + 1] != "{":
        match = re.compile(r"[A-Za-z0-9.]+").match(text, start)
        return match.group() if match else None
    depth = 0
    for at in range(start, min(len(text), start + 2 * MAX_ANSWER)):
        depth += (text[at] == "{" and text[at - 1] != "\\") - (
            text[at] == "}" and text[at - 1] != "\\"
        )
        if depth == 0:
            return text[start + 1 : at]
    cut = re.match(r"[^\n$]{1,100}", text[start + 1 : start + 100])
    return cut.group() if cut and len(text) - start < 100 else None


def _hashed(text: str) -> Found | None:
    matches = [m for m in _HASH.finditer(text) if any(c.isdigit() for c in m.group(1))]
    if not matches:
        return None
    content = matches[-1].group(1).strip()
    if _starts_step(content) or not (is_formula(content) or leading(content)):
        return None  # a heading
    answer = content if is_formula(content) else leading(content)
    return Found((answer or content)[:MAX_ANSWER], "hash", matches[-1].start())


def _phrase(text: str) -> Found | None:
    for match in list(_PHRASE.finditer(text))[:-21:-1]:
        if answer := _section(text[match.end() :]):
            return Found(answer[:MAX_ANSWER], "phrase", match.start())
    return None


def _section(rest: str) -> str | None:
    """What an announced answer is: the first sentence if it states one, else the section's end."""
    pieces = sentences(rest[:ENDING])
    if not pieces:
        return None
    first = pieces[0]
    if marked := _boxed(first):
        return marked.answer
    if is_formula(first) and re.search(r"\d|\\|[a-z]", first):
        return first
    if (direct := leading(first)) and not _starts_step(first):
        return direct
    if len(pieces) > 1 and rest.lstrip(" *").startswith("\n"):
        found = _last_line(rest)
        return found.answer if found else None
    if stated := committed(first):
        return stated
    return first if len(first.split()) <= 4 and not re.search(r"\bsame\b|above", first) else None


def _starts_step(text: str) -> bool:
    return bool(re.match(r"\s*(?:step|case)\s+\d|\d+\.\s", text, re.I))


def _last_line(text: str) -> Found | None:
    """The last sentence that states something, unless the text breaks off."""
    ending = text[-ENDING:].rstrip()
    if not ending or _breaks_off(ending):
        return None
    pieces = [p for p in sentences(ending) if not _CHATTER.search(p)]
    if pieces and _WORKING.search(pieces[-1]):
        return None
    for piece in _by_weight(pieces[-3:]):
        if (answer := committed(piece, loosely=piece is pieces[-1])) is not None:
            return Found(answer[:MAX_ANSWER], "last_line", len(text) - len(ending))
    if len(pieces) == 1 and len(pieces[0].split()) <= 2:
        return Found(pieces[0], "last_line", len(text) - len(ending))
    return None


def _by_weight(pieces: list[str]) -> list[str]:
    """The last sentence first, remarks last; but who did something most outweighs what follows."""
    remarks = [p for p in pieces if _REMARK.match(p)]
    order = [p for p in reversed(pieces) if p not in remarks] + remarks[::-1]
    if not any(_CONCLUDES.match(p) for p in pieces[1:]):
        order.sort(key=lambda p: not named(p))
    return order


def _breaks_off(text: str) -> bool:
    """Whether a text was cut in the middle of a formula or a sentence."""
    if _MIDDLE.search(text) or text.count("\\[") > len(re.findall(r"\\ ?\]", text)):
        return True
    last = mark_currency(text.rsplit("\n", 1)[-1])
    if last.count("\\(") > last.count("\\)") or last.replace("\\$", "").count("$") % 2:
        return True
    if last.count("{") > last.count("}"):
        return True
    return len(text) > 1_000 and len(last) > 60 and text[-1] not in ".!?:;)]}$*\"'`|%°"


EXPLICIT: tuple[tuple[str, Callable[[str], Found | None]], ...] = (
    ("boxed", _boxed),
    ("hash", _hashed),
    ("phrase", _phrase),
)
SOURCES = (
    "answer_tag",
    *(name for name, _ in EXPLICIT),
    "last_line",
    "option_text",
    "letter",
    "thinking",
)
