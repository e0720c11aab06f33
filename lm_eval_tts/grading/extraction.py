r"""Where the final answer of a response is, as an ordered list of sources.

    answer_tag   between answer tags (the last pair that holds something)
    boxed        \boxed{} or \fbox{}
    hash         #### as in GSM8K
    phrase       "the final answer is", "Answer:" and the like, in any language of `phrases`
    last_line    a last sentence or formula that states a value

    option_text  a choice by the text of an option (see `choices`)
    letter       a choice by a letter alone
    thinking     any of these inside of the thinking, if there is no other text

The last of boxed, hash and phrase in the text counts, since the last commitment does, unless the
text takes it back. What stands after an answer tag overrides it only by one of these three.
Thinking that was cut off holds no answer; a thinking whose last sentence states one was only not
closed. Knows nothing of the reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lm_eval_tts.grading.boxes import MAX_ANSWER, Found, boxed
from lm_eval_tts.grading.claims import committed, is_formula, leading
from lm_eval_tts.grading.degeneration import has_loop
from lm_eval_tts.grading.parts import Parts
from lm_eval_tts.grading.phrases import alternatives, has
from lm_eval_tts.grading.segments import sentences, unmarked

MAX_TAIL = 4_000  # characters of a text in which a last line is looked for


_HASH = re.compile(r"####[ \t]*([^\n#]+)")
_CONNECT = (
    rf"[\s*_\"'”]{{0,4}}(?:(?:{alternatives('is')})|:|=|→|⇒|->|=>|[-—](?=\s)|(?<=ns)\.)[ \t*_]*"
    rf"(?:(?:{alternatives('filler')}|is|are|that|{alternatives('is')})[ \t]*)*:?"
)
_CONNECT_FAR = (
    rf"\s*(?:(?:{alternatives('is')})|:)[ \t*_]*"
    rf"(?:(?:{alternatives('filler')}|is|are|that)[ \t]*)*:?"
)
_OF = (
    r"(?:\s+(?:to|for|of|here|in|based|among|from)\b\s*"
    r"(?:[\"“][^\"”\n]{0,300}[\"”]|[^.\n:\"“]{0,150}?))"
)
# An announcement is a noun with something fitting before and after it; looked for in this order,
# since patterns of so many words are slow to search for.
_NOUN = re.compile(rf"{alternatives('answer', 'result')}|(?<=\n)\W*a(?=[ \t*]*:)|\Aa(?=[ \t*]*:)")
_ANSWER = re.compile(rf"(?:{alternatives('answer')})|\W*a")
_OPEN_BEFORE = re.compile(rf"(?:^|\n)(?:[\W_]|\d\.|{alternatives('so')})*$")
_MADE_FINAL = re.compile(rf"(?:{alternatives('final')})[\s*_]*$")
_ARTICLE = re.compile(r"(?<!\w)(?:the|our|my|an|your|la|el|l'|die|le)\s+[*_]{0,3}$")
_CONNECTED_TO = re.compile(f"(?:{_CONNECT}|{_OF}{_CONNECT_FAR})")
_CHATTER = re.compile(rf"\?\s*$|{alternatives('chatter')}", re.I)
_REMARK = re.compile(rf"\W*(?:{alternatives('remark')})", re.I)
_CONCLUDES = re.compile(rf"\W*(?:{alternatives('so')})", re.I)
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_MIDDLE = re.compile(
    r"(?:[=+\-*/,(\[{\\<>&^_:]|\\(?:times|cdot|frac|sqrt|approx|quad|mod|pmod))\s*$"
)
_IF = re.compile(r"[^.\n]*\bif\b")
_DERIVED = re.compile(
    r"\s*(?:obtained|found|given|calculated|computed|determined|derived|reached|not|cannot|never)\b",
    re.I,
)


def find_answer(parts: Parts, is_cut: bool) -> Found | None:
    """Return the final answer of a response. is_cut: it ends in a loop or inside of thinking."""
    outside = parts.after if any(a.strip() for a in parts.answers) else parts.before
    tagged = _in_answer_tags(parts.answers)
    if tagged and (later := explicit(outside)):
        return later
    return tagged or find_in_text(outside, is_cut) or _in_thinking(parts)


def says_something(text: str) -> bool:
    """Say whether there are letters or digits in a text."""
    return bool(_LETTER_OR_DIGIT.search(text))


def find_in_text(text: str, is_cut: bool = False) -> Found | None:
    """Return the answer that a text without tags commits to."""
    found = explicit(text)
    if found and _taken_back(text[found.at + len(found.answer) :], "retract"):
        return None
    return found or (None if is_cut else last_line(text))


def _taken_back(rest: str, *groups: str) -> bool:
    """Whether a short rest of a text takes back what was claimed before."""
    return len(rest) < 600 and any(has(group, rest) for group in groups)


def explicit(text: str) -> Found | None:
    """Return the last answer that is marked as one: boxed, after ####, or in a phrase."""
    candidates = [found for _, find in EXPLICIT if (found := find(text))]
    return max(candidates, key=lambda found: found.at, default=None)


def _in_answer_tags(answers: tuple[str, ...]) -> Found | None:
    for content in reversed(answers):
        content = content.strip()
        if content and (answer := within_tag(content)):
            return Found(answer[:MAX_ANSWER], "answer_tag", 0)
    return None


def within_tag(content: str) -> str | None:
    """Between tags a short text is the answer itself; a long one is read like any text."""
    if len(content) <= 2 * MAX_ANSWER and "\n\n" not in content and is_formula(content):
        return content
    if marked := explicit(content):
        return marked.answer
    if (
        len(content) <= 80
        and "\n" not in content
        and not has("is", content)
        and not has("gives", content)
    ):
        return content
    found = None if has_loop(content) else last_line(content)
    if found:
        return found.answer
    return content if len(content) <= 200 else None


def _in_thinking(parts: Parts) -> Found | None:
    if parts.open_thinking:
        found = concluded(parts.open_thinking)
    elif says_something(parts.before) or says_something(parts.after):
        return None  # who says something, says what counts
    else:
        found = find_in_text(parts.thinking, has_loop(parts.thinking))
        found = (
            None
            if found
            and _taken_back(parts.thinking[found.at + len(found.answer) :], "waver", "retract")
            else found
        )
    return found._replace(source="thinking") if found else None


def concluded(text: str) -> Found | None:
    """Return the answer of a thinking that was not cut off, only not closed.

    Its last sentence has to be a full one that states an answer.
    """
    text = text.rstrip()
    if not text or text[-1] not in ".!$}*]。)":
        return None
    last = sentences(text[-MAX_TAIL:])[-1:]
    if not last or has("hedge", last[0]) or has("waver", last[0]) or has("retract", last[0]):
        return None
    found = explicit(last[0])
    so = (
        _CONCLUDES.match(last[0])
        or re.search(r"\bfinal\b|\bcorrect\b|最终", text[-400:], re.I)
        or not last[0].isascii()
    )
    if found and (so or found.source == "boxed"):
        return found
    return None


def _hashed(text: str) -> Found | None:
    matches = [m for m in _HASH.finditer(text) if any(c.isdigit() for c in m.group(1))]
    if not matches:
        return None
    content = matches[-1].group(1).strip()
    if _starts_step(content):
        return None  # a heading
    answer = content if is_formula(content) else leading(content)
    return Found(answer[:MAX_ANSWER], "hash", matches[-1].start()) if answer else None


def _phrase(text: str) -> Found | None:
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    for noun in list(_NOUN.finditer(lower))[:-21:-1]:
        after = _CONNECTED_TO.match(lower, noun.end())
        if not after or not _announces(lower, noun) or _DERIVED.match(lower, after.end()):
            continue
        if "would" in after.group() and _IF.match(lower, after.end()):
            continue  # "would be 5 if x were even"
        if answer := _section(text[after.end() :]):
            return Found(answer[:MAX_ANSWER], "phrase", noun.start())
    return None


def _announces(text: str, noun: re.Match[str]) -> bool:
    """Whether a noun names what is asked: "the answer", "final result", at a line's start."""
    start = max(0, noun.start() - 80)
    if not noun.group().strip()[:1].isascii() or _MADE_FINAL.search(text, start, noun.start()):
        return True
    if _OPEN_BEFORE.search(text, start, noun.start()):
        return True
    return bool(_ANSWER.fullmatch(noun.group()) and _ARTICLE.search(text, start, noun.start()))


def _section(rest: str) -> str | None:
    """What an announced answer is: the first sentence if it states one, else the section's end."""
    pieces = sentences(rest[:MAX_TAIL])
    if not pieces:
        return None
    first = pieces[0]
    if marked := boxed(first):
        return marked.answer
    plain = unmarked(first).strip(" :*")
    if plain.endswith("!") and " " not in plain.strip("! "):
        plain = plain.rstrip("!")  # of a sentence, no factorial
    if is_formula(plain) and re.search(r"\d|\\|[a-z]|^\S$", plain):
        return plain.rstrip(". ")
    if (direct := leading(plain)) and not _starts_step(plain):
        return direct
    if len(pieces) > 1 and rest.lstrip(" *").startswith("\n"):
        found = last_line(rest)
        return found.answer if found else None
    if stated := committed(first, loosely=False):
        return stated.answer
    words = plain.rstrip(".!")
    return (
        words
        if 1 <= len(words.split()) <= 4
        and not re.search(r"\bsame\b|above", words)
        and not has("bound", words)
        and not has("not", words)
        else None
    )


def _starts_step(text: str) -> bool:
    return bool(re.match(r"\s*(?:step|case)\s+\d|\d+\.\s", text, re.I))


def last_line(text: str) -> Found | None:
    """Return what the last sentence says that states something, unless the text breaks off."""
    ending = text[-MAX_TAIL:].rstrip()
    if not ending or _breaks_off(ending.rstrip("*_ \n")):
        return None
    pieces = [p for p in sentences(ending) if not _CHATTER.search(p)]
    if pieces and (has("working", pieces[-1]) or has("refusal", pieces[-1])):
        return None
    best = None
    for at, piece in enumerate(pieces[-3:]):
        claim = committed(piece, loosely=piece is pieces[-1])
        if claim is None:
            continue
        is_remark = bool(_REMARK.match(piece))
        concludes = bool(at and _CONCLUDES.match(piece))
        rank = (not is_remark, claim.weight >= 3 or concludes, at)
        if best is None or rank >= best[0]:
            best = (rank, claim.answer)
    if best:
        return Found(best[1][:MAX_ANSWER], "last_line", len(text) - len(ending))
    if len(pieces) == 1 and len(pieces[0].split()) <= 2:
        return Found(pieces[0], "last_line", len(text) - len(ending))
    return None


def _breaks_off(text: str) -> bool:
    """Whether a text was cut in the middle of a formula or a sentence."""
    if (_MIDDLE.search(text.rstrip("\\")) and not text.endswith("\\")) or text.count("\\[") > len(
        re.findall(r"\\ ?\]", text)
    ):
        return True
    last = text.rsplit("\n", 1)[-1]
    if last.count("\\(") > last.count("\\)") or last.count("{") > last.count("}"):
        return True
    return len(text) > 1_000 and len(last) > 60 and text[-1] not in ".!?:;)]}$*\"'`|%°。！？"


EXPLICIT: tuple[tuple[str, Callable[[str], Found | None]], ...] = (
    ("boxed", boxed),
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
