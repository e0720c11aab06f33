r"""Where the final answer of a response is, as an ordered list of sources.

    answer_tag   between answer tags (the last pair that holds something)
    boxed        \boxed{} or \fbox{}
    hash         #### as in GSM8K
    phrase       "the final answer is", "Answer:" and the like, in any language of `phrases`
    last_line    a last sentence or formula that states a value

    option_text  a choice by the text of an option (see `choices`)
    letter       a choice by a letter alone
    thinking     any of these inside the thinking, if there is no other text

The last of boxed, hash and phrase in the text counts, since the last commitment does, unless the
text takes it back. Text after an answer tag overrides it only by one of these three.
Thinking that was cut off holds no answer; a thinking whose last sentence states one was only not
closed. Knows nothing of the reference.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lm_eval_tts.grading.claims import (
    MAX_WORDS,
    committed,
    is_formula,
    is_mentioned,
    is_value,
    leading,
)
from lm_eval_tts.grading.degeneration import has_loop
from lm_eval_tts.grading.lexicon import has, pattern, phrases
from lm_eval_tts.grading.parts import Parts
from lm_eval_tts.grading.segments import sentences, spoken, unmarked

MAX_ANSWER = 1_000
MAX_BOXES = 20
MAX_REST = 600  # characters after a claim that may take it back
MAX_EXPLAINED = 1_000  # characters of a text that begins with its answer
MAX_TAIL = 4_000  # characters of a text in which a last line is looked for
MAX_NOUNS = 20  # announcements that are looked at, from the end
SOURCES = (
    *("answer_tag", "boxed", "hash", "phrase", "last_line"),
    *("option_text", "letter", "thinking"),
)

_BOX = re.compile(r"\\(?:f?box(?:ed)?|beginboxed|framebox)\s*(?=[{\s\w])")
_NAME_BEFORE = re.compile(r"[A-Za-z]\s*=\s*$")
_BARE = re.compile(r"[A-Za-z0-9.]+")
_BRACE = re.compile(r"(?<!\\)[{}]")
_LAYOUT = r"(?:[\s$]|\\[()\[\]]|\\q?quad(?![A-Za-z]))*"
_AND = r"(?:\\(?:text|mbox)\{\s*)?(?:and|or)\b(?:\s*\})?"
_JOINS = re.compile(rf"\}}(?:[ $]*|{_LAYOUT}(?:[,;]{_LAYOUT}(?:{_AND})?|{_AND}){_LAYOUT})")
_HASH = re.compile(r"####[ \t]*(?!\s|\d+\.\s)([^\n#]+)")  # no heading with a number
# An announcement is a noun with something fitting before and after it; looked for in this order,
# since patterns of so many words are slow to search for. The text is in small letters.
_NOUN = pattern(r"<answer|result>|(?<=\n)\W*a(?=[ \t*]*:)|\Aa(?=[ \t*]*:)", 0)
_BEFORE = pattern(
    r"(?:(?:^|\n)(?:[\W_]|\d\.|<so>)*|<final>[\s*_]*|"  # at the start of a line, or final
    r"(?P<ARTICLE>(?<!\w)(?:the|our|my|an|your|la|el|l'|die|le)\s+[*_]{0,3}))$",
    0,
)
_FILLERS = r"(?:(?:<filler|is>|that)[ \t]*)*:?"
_AFTER = pattern(
    rf"[\s*_\"'”]{{0,4}}(?:<is>|:|=|→|⇒|->|=>|[-—](?=\s)|(?<=ns)\.)[ \t*_]*{_FILLERS}"
    r"|\s+(?:to|for|of|here|in|based|among|from)\b\s*"
    r"(?:[\"“][^\"”\n]{0,300}[\"”]|[^.\n:\"“]{0,150}?)"
    rf"\s*(?:<is>|:)[ \t*_]*{_FILLERS}",
    0,
)
_DERIVED = pattern(r"\s*(?:<derived>|(?!nothing|remaining|missing)[a-z]{3,}ing\s)")
_DECORATION = re.compile(r"[_*=]+(?=[.!]?$)")  # what the announcement has opened, as _12_
_CHATTER = pattern(r"\?\s*$|<chatter>")
_REMARK = pattern(
    r"\W*(?!(?:it|th(?:is|at))\s+(?:would\s+)?<gives>\b|here\s+(?:that's|we|it)\b)<remark>"
)
_CONCLUDES = pattern(r"\W*(?!(?:then|now|and|also|yes|indeed)\b)<so>")
# A heading: what follows says nothing new.
_CHECKS = pattern(r"[#*\s\d.]*(?:step\s+\d+\W+)?(?:verification|check)\b[^.\d]{0,40}")
_FINAL = pattern(r"\bfinal\b|\bcorrect\b|最终")
_ROW_HEIGHT = re.compile(r"\\\\(?=\[)")  # \\[2pt] opens nothing
_MIDDLE = re.compile(
    r"(?:[=+\-*/,(\[{<>&^_:]|\\(?:times|cdot|frac|sqrt|approx|quad|mod|pmod))\s*$"
    r"|\b(?i:of|the|an?|and|or|with|for|to|is|are|by|in|which|that|at|from)$"
)
_NAMED_VALUE = re.compile(r"^\$?[A-Za-z]\s*=\s*")  # x = 4
_CLOSED = ".!?:;)]}$*\"'`|%°。！？"


class Found(NamedTuple):
    """An answer as written, where it was found, and the index it starts at."""

    answer: str
    source: str
    at: int


def find_answer(parts: Parts, is_cut: bool, asked: str = "") -> Found | None:
    """Return the final answer of a response. is_cut: it ends in a loop or inside thinking.

    asked: the noun that is counted, of "how many apples".
    """
    tagged = next(filter(None, map(_in_tag, reversed(parts.answers))), None)
    if tagged:
        return explicit(parts.after) or tagged
    return find_in_text(parts.before, is_cut, asked) or _in_thinking(parts)


def says_something(text: str) -> bool:
    """Say whether there are letters or digits in a text."""
    return any(c.isalnum() for c in text)


def find_in_text(text: str, is_cut: bool = False, asked: str = "") -> Found | None:
    """Return the answer that a text without tags commits to."""
    found = explicit(text)
    if not found:
        return None if is_cut else last_line(text, asked)
    rest = after(text, found)
    taken = list(phrases("retract").finditer(rest))
    return last_line(rest[taken[-1].end() :]) if taken else found


def after(text: str, found: Found) -> str:
    """Return the rest of a text after what was claimed, if it is short enough to take it back."""
    rest = text[found.at + len(found.answer) :]
    return rest if len(rest) < MAX_REST else ""


def explicit(text: str) -> Found | None:
    """Return the last answer that is marked as one: boxed, after ####, or in a phrase."""
    box = boxed(text)
    inside = range(box.at, box.at + len(box.answer)) if box else ()
    others = [found for find in (_hashed, _phrase) if (found := find(text))]
    outside = [found for found in others if found.at not in inside]
    return max([*outside, *filter(None, [box])], key=lambda found: found.at, default=None)


def _in_tag(content: str) -> Found | None:
    """Between tags a short text is the answer itself; a long one is read like any text."""
    content = content.strip()
    found = explicit(content)
    is_text = "\n" in content or has("is", content) or has("gives", content)
    if not found and is_text and not is_formula(content) and not has_loop(content):
        found = last_line(content)
    answer = found.answer if found else content if len(content) <= 200 else ""
    return Found(answer[:MAX_ANSWER], "answer_tag", 0) if answer else None


def _in_thinking(parts: Parts) -> Found | None:
    if parts.open_thinking:
        found = concluded(parts.open_thinking)
    elif says_something(parts.before + parts.after):
        return None  # who says something, says what counts
    else:
        text = parts.thinking
        found = find_in_text(text, has_loop(text))
        found = None if found and has("waver", after(text, found)) else found
    return found._replace(source="thinking") if found else None


def concluded(text: str) -> Found | None:
    """Return the answer of a thinking that was not cut off, only not closed.

    Its last sentence has to be a full one that states an answer.
    """
    last = sentences(text.rstrip()[-MAX_TAIL:])[-1:]
    if not last or (text.rstrip()[-1] not in ".!$}*]。)" and not text.endswith("\n")):
        return None
    sentence = last[0]
    if any(has(group, sentence) for group in ("hedge", "waver", "retract")):
        return None
    found = explicit(sentence)
    is_final = _CONCLUDES.match(sentence) or _FINAL.search(text[-400:]) or not sentence.isascii()
    return found if found and (is_final or found.source == "boxed") else None


def boxed(text: str) -> Found | None:
    """The last box that closes, or that the end of the text cuts off after a whole number.

    Boxes with nothing but "and" or a comma between them are one answer of several parts.
    """
    parts: list[Found] = []
    for match in reversed(list(_BOX.finditer(text))):
        content = _content(text, match.end())
        if parts and not _JOINS.fullmatch(text, match.end() + len(content) + 1, parts[0].at):
            break
        if content.strip():
            parts.insert(0, Found(content.strip()[:MAX_ANSWER], "boxed", match.start()))
    answer = ", ".join(part.answer for part in parts)
    return parts[-1]._replace(answer=_without_sentence(answer) or answer) if parts else None


def boxes(text: str) -> list[str]:
    """Return what stands in each of the last boxes, with the name of a value before it."""
    found = [(m, _content(text, m.end()).strip()) for m in _BOX.finditer(text)]
    names = ((_NAME_BEFORE.search(text, max(0, m.start() - 12), m.start()), c) for m, c in found)
    return [f"{name[0] if name else ''}{c}" for name, c in names if c][-MAX_BOXES:]


def _content(text: str, start: int) -> str:
    if text[start : start + 1] != "{":
        match = _BARE.match(text, start)
        return match[0] if match else ""
    depth = 0
    for brace in _BRACE.finditer(text, start, start + 2 * MAX_ANSWER):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[start + 1 : brace.start()]
    is_cut = len(text) - start < 100
    return text[start + 1 :].split("\n")[0].split("$")[0] if is_cut else ""


def _without_sentence(content: str) -> str | None:
    """What a sentence in a box says: \\text{The area is } 18."""
    plain = spoken(content)
    claim = committed(plain) if plain != content and has("is", plain) else None
    return claim.answer if claim else None


def _hashed(text: str) -> Found | None:
    matches = [m for m in _HASH.finditer(text) if any(c.isdigit() for c in m[1])]
    content = matches[-1][1].strip() if matches else ""
    answer = content if is_formula(content) else leading(content)
    return Found(answer[:MAX_ANSWER], "hash", matches[-1].start()) if answer else None


def _phrase(text: str) -> Found | None:
    # As long as the text: İ has two small letters.
    lower = text.lower() if text.isascii() else "".join(c.lower()[:1] for c in text)
    for noun in list(_NOUN.finditer(lower))[: -MAX_NOUNS - 1 : -1]:
        verb = _AFTER.match(lower, noun.end())
        if not verb or not _announces(lower, noun) or _DERIVED.match(lower, verb.end()):
            continue
        if answer := _section(text[verb.end() :]):
            return Found(answer[:MAX_ANSWER], "phrase", noun.start())
    return None


def _announces(text: str, noun: re.Match[str]) -> bool:
    """Whether a noun names what is asked: "the answer", "final result", at a line's start."""
    if is_mentioned(text, noun.end()):
        return False
    before = _BEFORE.search(text, max(0, noun.start() - 80), noun.start())
    is_named = before and (not before["ARTICLE"] or phrases("answer").fullmatch(noun[0]))
    return bool(is_named) or not noun[0].isascii()


def _section(rest: str) -> str | None:
    """What an announced answer is: the first sentence if it states one, else the section's end."""
    pieces = sentences(rest[:MAX_TAIL])
    first = _DECORATION.sub("", unmarked(pieces[0])) if pieces else ""
    first = first.strip(" :*" if "(" in first else " :*)")  # as in (Answer: 5)
    if not first or first.endswith("?"):
        return None
    if first.endswith("!") and " " not in first:
        first = first.rstrip("!")  # of a sentence, no factorial
    if direct := first.rstrip(". ") if is_formula(first) else leading(first):
        return direct
    if len(pieces) > 1 and (found := last_line(rest)):
        return found.answer
    words = first.rstrip(".!")
    if stated := committed(pieces[0], loosely=any(c.isdecimal() for c in words)):
        return stated.answer
    is_vague = any(has(group, words) for group in ("vague", "bound", "not"))
    return words if 1 <= len(words.split()) <= MAX_WORDS // 2 and not is_vague else None


def last_line(text: str, asked: str = "") -> Found | None:
    """Return what the last sentence says that states something, unless the text breaks off."""
    ending = text[-MAX_TAIL:].rstrip()
    if not ending or _breaks_off(ending.rstrip("*_ \n")):
        return None
    pieces = [p for p in sentences(ending) if not _CHATTER.search(p)]
    checks = [at for at, piece in enumerate(pieces) if at and _CHECKS.fullmatch(piece)]
    pieces = pieces[: checks[-1]] if checks and checks[-1] > len(pieces) - 4 else pieces
    first = unmarked(pieces[0]).rstrip(".") if len(pieces) > 1 and len(text) < MAX_EXPLAINED else ""
    is_answer = is_value(_NAMED_VALUE.sub("", first)) or first.lower() in ("yes", "no")
    is_answer = is_answer and not text.lstrip().startswith("#")
    is_open = pieces and any(has(g, unmarked(pieces[-1])) for g in ("working", "refusal"))
    if is_open and not is_answer:
        return None
    ranked = [(True, 2, -1, first)] if is_answer else []  # and then an explanation
    for at, piece in enumerate(pieces[-3:]):
        is_last = piece is pieces[-1]
        if claim := committed(piece, loosely=is_last, asked=asked):
            is_new = is_last and claim.weight > 0
            concludes = bool(at and _CONCLUDES.match(piece))
            rank = 2 if claim.weight >= 3 or (concludes and is_last) else int(concludes or is_new)
            is_remark = piece is not pieces[0] and bool(_REMARK.match(piece))
            ranked.append((not is_remark, rank, at, claim.answer))
    if len(pieces) == 1 and len(pieces[0].split()) <= 2:
        ranked.append((False, 0, -1, pieces[0]))
    at = len(text) - len(ending)
    return Found(max(ranked)[-1][:MAX_ANSWER], "last_line", at) if ranked else None


def _breaks_off(text: str) -> bool:
    """Whether a text was cut in the middle of a formula or a sentence."""
    last = text.rsplit("\n", 1)[-1]
    displays = _ROW_HEIGHT.sub("", text).replace("\\ ]", "\\]")
    pairs = ((displays, "\\[", "\\]"), (last, "\\(", "\\)"), (last, "{", "}"))
    is_open = any(part.count(opening) > part.count(end) for part, opening, end in pairs)
    is_prose = len(text) > 1_000 and len(last) > 60
    return is_open or bool(_MIDDLE.search(text)) or (is_prose and text[-1] not in _CLOSED)
