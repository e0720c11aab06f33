r"""Where the final answer of a response is, as an ordered list of sources.

    answer_tag   between answer tags (the last pair that holds something)
    boxed        \boxed{} or \fbox{}
    hash         #### as in GSM8K
    phrase       "the final answer is", "Answer:" and the like, in any language of `phrases`
    last_line    a last sentence or formula that states a value
    option_text  a choice by the text of an option (see `choices`)
    letter       a choice by a letter alone
    thinking     any of these inside the thinking, if there is no other text

The last of boxed, hash and phrase counts, after answer tags too, unless the text takes it back.
Thinking that was cut off holds no answer; one whose last sentence states one was only not closed.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from lm_eval_tts.grading import claims
from lm_eval_tts.grading.notation import has, pattern, phrases
from lm_eval_tts.grading.parts import Parts, says_something, sentences, spoken, unmarked

MAX_ANSWER = 1_000
MAX_TAGGED = 200  # characters between tags that are an answer as a whole
MAX_BOXES = 20
MAX_REST = 600  # characters after a claim that may take it back
MAX_TAIL = 4_000  # characters of a text in which a last line is looked for
MAX_EXPLAINED = 1_000  # characters of a text that begins with its answer
MAX_SENTENCES = 6  # of an answer that is put together from several sentences
MAX_NOUNS = 20  # announcements that are looked at, from the end
SOURCES: tuple[str, ...] = ("answer_tag", "boxed", "hash", "phrase", "last_line")
SOURCES += ("option_text", "letter", "thinking")

_INSIDE = r"(?:\\.|[^{}\\])"
for _ in range(8):  # braces in braces
    _INSIDE = rf"(?:\\.|[^{{}}\\]|\{{{_INSIDE}*\}})"
_BOX = re.compile(
    rf"(?P<name>[A-Za-z]\s?=\s?)?(?P<box>\\(?:f?box(?:ed)?|framebox))\s*\{{(?P<inside>{_INSIDE}*)\}}",
    re.S,
)
_PART = re.compile(r"^\W*(?:part\s*)?(?:[a-h]|[1-9])[).:]\s+", re.I)
_JOINS = re.compile(r"(?:[\s$,;{}]|\\(?:text|mbox|q?quad|[()\[\]])|\b(?:and|or)\b)*")
# An announcement is a noun with something fitting before and after it; looked for in this order,
# since patterns of so many words are slow to search for. The text is in small letters.
_NOUN = pattern(r"<answer|result>|(?<=\n)\W*a(?=[ \t*]*:)|####(?!\s*\d+\.\s)(?=[^\n#]*\d)", 0)
_BEFORE = pattern(
    r"(?:(?:^|\n)[\W_]*|<final>[\s*_]*"  # at the start of a line, or final
    r"|(?P<ARTICLE>(?<!\w)(?:the|our|my|an|your|la|el|l'|die|le)\s+[*_]{0,3}))$",
    0,
)
_AFTER = pattern(
    r"[\s*_\"'”]{0,4}(?:<is>|:|=|→|⇒|->|=>)"
    r"|\s+(?:to|for|of|here|in|based|among|from)\b\s*"
    r"(?:[\"“][^\"”\n]{0,300}[\"”]|[^.\n:\"“]{0,150}?)\s*(?:<is>|:)",
    0,
)
_REMARK = pattern(
    r"\W*(?!(?:it|th(?:is|at))\s+(?:would\s+)?<gives>\b|here\s+(?:that's|we|it)\b)<remark>"
)


class Found(NamedTuple):
    """An answer as written, where it was found, and the index it starts at."""

    answer: str
    source: str
    at: int = 0


Read = Callable[[str], Found | None]


def find(parts: Parts, is_cut: bool, stated: Read, last: Read, tagged: Read) -> Found | None:
    """Return the final answer of a response, by what reads the statements of a text, its last line
    and a text between tags. is_cut: it ends in a loop."""
    if found := stated(parts.after):
        return found
    contents = [content.strip() for content in parts.answers if content.strip()]
    if contents and (found := tagged(contents[-1])):
        return found._replace(source="answer_tag")
    if not contents and says_something(parts.before + parts.after):
        return stated(parts.before) or (None if is_cut else last(parts.before))
    thought = stated(_conclusion(parts))
    return thought._replace(source="thinking") if thought else None


def find_answer(parts: Parts, is_cut: bool, question: str = "") -> Found | None:
    """Return the value that a response commits to."""
    return find(parts, is_cut, stated, partial(last_line, question=question.lower()), _tagged)


def in_parts(reference: str, parts: Parts) -> str:
    """Return the answer of several parts which the last boxes or sentences give singly; or ""."""
    text = parts.after or "".join(parts.answers[-1:]) or parts.before
    inner = [f"{box['name'] or ''}{box['inside']}" for box in boxes(text)]
    if len(inner) > 1:
        return ", ".join(inner)
    count = min(reference.count(",") + 1, MAX_SENTENCES)
    lines = text.replace(" and ", "\n").replace(", (", "\n(")  # (a) 15, (b) 28
    pieces = sentences(lines)[-count:] if count > 1 else []
    found = [claims.committed(_PART.sub("", unmarked(piece))) for piece in pieces]
    answers = [claim.answer for claim in found if claim]
    return ", ".join(answers) if len(answers) == count else ""


def _conclusion(parts: Parts) -> str:
    """What a thinking concludes: nothing if its end wavers, or was cut off."""
    text = parts.open_thinking or parts.thinking
    last = "".join(sentences(text[-MAX_TAIL:])[-1:])
    is_cut = parts.open_thinking and text.rstrip(" ")[-1:] not in (*".!$}*]。)\n",)
    if is_cut or has("hedge", last) or has("waver", last):
        return ""
    return last if parts.open_thinking else text


def _tagged(content: str) -> Found | None:
    """A short text is the answer itself; a long one is read like any text."""
    is_text = has("is", content) or has("gives", content)
    found = explicit(content) or (last_line(content) if is_text else None)
    return found or (Found(content, "answer_tag") if len(content) <= MAX_TAGGED else None)


def stated(text: str) -> Found | None:
    """Return the last that is marked as an answer, or what is said after it was taken back."""
    found = explicit(text)
    rest = text[found.at + len(found.answer) :] if found else ""
    taken = list(phrases("retract").finditer(rest)) if len(rest) < MAX_REST else []
    return last_line(rest[taken[-1].end() :]) if taken else found


def explicit(text: str) -> Found | None:
    """Return the last answer that is marked as one: boxed, after ####, or in a phrase."""
    found = filter(None, (boxed(text), _phrase(text)))
    return max(found, key=lambda one: one.at, default=None)


def boxed(text: str) -> Found | None:
    """The last box; boxes with nothing but "and" or a comma between them are one answer."""
    joint: list[re.Match[str]] = []
    for box in reversed(boxes(text)):
        if joint and not _JOINS.fullmatch(text, box.end(), joint[0].start("box")):
            break
        joint.insert(0, box)
    answer = ", ".join(box["inside"].strip()[:MAX_ANSWER] for box in joint)
    sentence = spoken(answer)  # \\text{The area is } 18
    claim = claims.committed(sentence) if sentence != answer and has("is", sentence) else None
    return Found(claim.answer if claim else answer, "boxed", joint[-1].start()) if joint else None


def boxes(text: str) -> list[re.Match[str]]:
    """Return the last boxes that hold something."""
    every = _BOX.finditer(text) if "box" in text else ()
    return [box for box in every if box["inside"].strip()][-MAX_BOXES:]


def _phrase(text: str) -> Found | None:
    # As long as the text: İ has two small letters.
    lower = text.lower() if text.isascii() else "".join(c.lower()[:1] for c in text)
    for noun in list(_NOUN.finditer(lower))[: -MAX_NOUNS - 1 : -1]:
        is_hash, start = noun[0] == "####", noun.start()
        before = _BEFORE.search(lower, max(0, start - 80), start)
        is_answer = before and (not before["ARTICLE"] or phrases("answer").fullmatch(noun[0]))
        is_named = not noun[0].isascii() or is_answer
        is_said = is_named and not claims.is_denied(lower[: noun.end()])
        verb = noun if is_hash else is_said and _AFTER.match(lower, noun.end())
        if answer := _section(text[verb.end() :]) if verb else None:
            return Found(answer[:MAX_ANSWER], "hash" if is_hash else "phrase", start)
    return None


def _section(rest: str) -> str | None:
    """What an announced answer is: the first sentence if it states one, else the section's end."""
    first = unmarked("".join(sentences(rest[:MAX_TAIL])[:1]))
    words = first.strip(" :*_>" if "(" in first else " :*_>)")  # as in (Answer: 5)
    words = words.rstrip(".!").rstrip("_*= ")  # what the announcement has opened, as _12_
    if words.endswith("?"):
        return None
    found = last_line(rest)
    return claims.leading(words) or (found.answer if found else None)


def last_line(text: str, question: str = "") -> Found | None:
    """Return what the last sentence says that states something, unless the text breaks off."""
    ending = text[-MAX_TAIL:].rstrip()
    pieces = [p for p in sentences(ending) if not (p.endswith("?") or has("chatter", p))]
    if not pieces or ending.rstrip("*_ ")[-1:] in ("", *"=+-/,([{<&^"):
        return None
    first = unmarked(pieces[0]).rstrip(".")
    name, _, value = first.rpartition("=")
    is_named = len(name.strip(" $")) < 2 and claims.is_value(value)
    is_answer = is_named or first.lower() in claims.YES_NO
    is_answer = is_answer and "#" not in pieces[0] and len(text) < MAX_EXPLAINED
    if not is_answer and any(has(g, unmarked(pieces[-1])) for g in ("working", "refusal")):
        return None
    ranked = [(True, 2, -1, first)] if is_answer else []  # and then an explanation
    for at, piece in enumerate(pieces[-3:]):
        is_last = piece is pieces[-1]
        if claim := claims.committed(piece, question):
            rank = 2 if claim.is_sure else int(is_last)
            is_remark = piece is not pieces[0] and bool(_REMARK.match(piece))
            ranked.append((not is_remark, rank, at, claim.answer))
    if len(text.split()) <= claims.MAX_WORDS // 2 and not has("not", text):
        ranked.append((False, 0, -1, pieces[0]))
    return Found(max(ranked)[-1][:MAX_ANSWER], "last_line") if ranked else None
