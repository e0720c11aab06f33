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

from lm_eval_tts.grading.boxes import MAX_ANSWER, Found, boxed
from lm_eval_tts.grading.claims import committed, is_formula, is_value, is_working, leading
from lm_eval_tts.grading.degeneration import has_loop
from lm_eval_tts.grading.lexicon import has, pattern
from lm_eval_tts.grading.parts import Parts
from lm_eval_tts.grading.segments import sentences, unmarked
from lm_eval_tts.grading.wording import MAX_WORDS, is_mentioned

MAX_EXPLAINED = 1_000  # characters of a text that begins with its answer
MAX_TAIL = 4_000  # characters of a text in which a last line is looked for
MAX_NOUNS = 20  # announcements that are looked at, from the end
SOURCES = (
    *("answer_tag", "boxed", "hash", "phrase", "last_line"),
    *("option_text", "letter", "thinking"),
)

_HASH = re.compile(r"####[ \t]*([^\n#]+)")
# An announcement is a noun with something fitting before and after it; looked for in this order,
# since patterns of so many words are slow to search for. The text is in small letters.
_NOUN = pattern(r"<answer|result>|(?<=\n)\W*a(?=[ \t*]*:)|\Aa(?=[ \t*]*:)", 0)
_ANSWER = pattern(r"<answer>|\W*a", 0)
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
_CHATTER = pattern(r"\?\s*$|<chatter>")
_REMARK = pattern(r"\W*(?!th(?:is|at)\s+<gives>\b|here\s+(?:that's|we|it)\b)<remark>")
_STATES = pattern(
    r"\W*(?:it|that|this)(?:'s|\s+(?:is(?!\s+(?:because|since|why|due|when))|means|takes?|costs?|gives?|makes?|will|would))\b"
)
_CUT = pattern(r"\b(?:of|the|an?|and|or|with|for|to|is|are|by|in|which|that|at|from)$")
_CONCLUDES = pattern(r"\W*(?!(?:then|now|and|also|yes|indeed)\b)<so>")
_FINAL = pattern(r"\bfinal\b|\bcorrect\b|最终")
_MIDDLE = re.compile(
    r"(?:[=+\-*/,(\[{\\<>&^_:]|\\(?:times|cdot|frac|sqrt|approx|quad|mod|pmod))\s*$"
)
_IF = pattern(r"[^.\n]*\bif\b")
_DERIVED = pattern(r"\s*(?:<derived>|(?!nothing|remaining|missing)[a-z]{3,}ing\s)")
_CORRECTS = pattern(r"\W*(?:edit|correction|corrected|oops|update)\b\W")
_HOWEVER = pattern(r"(?:but|however)\b")
# A heading: what follows says nothing new.
_CHECKS = pattern(r"[#*\s\d.]*(?:step\s+\d+\W+)?(?:verification|check)\b[^.\d]{0,40}")
_MISREAD = pattern(
    r"\W*(?:but\s+)?(?:wait|hold on|actually|however)\b[^.]*\b(?:question|problem)\s+"
    r"(?:wants|asks|asked|is asking)\b"
)
_GUESS = pattern(r"\((?:[^()]*\b)?(?:a guess|guess|unverified|unsure|not sure|maybe)\b[^()]*\)")
_DECORATION = re.compile(r"[_*=]+(?=[.!]?$)")  # what the announcement has opened, as _12_
_STEP = pattern(r"\s*(?:step|case)\s+\d|\d+\.\s")
_CLOSED = ".!?:;)]}$*\"'`|%°。！？"


def find_answer(parts: Parts, is_cut: bool, asked: str = "") -> Found | None:
    """Return the final answer of a response. is_cut: it ends in a loop or inside thinking.

    asked: the noun that is counted, of "how many apples".
    """
    outside = parts.after if any(a.strip() for a in parts.answers) else parts.before
    tagged = _in_answer_tags(parts.answers)
    if tagged and (later := explicit(outside)):
        return later
    return tagged or find_in_text(outside, is_cut, asked) or _in_thinking(parts)


def says_something(text: str) -> bool:
    """Say whether there are letters or digits in a text."""
    return any(c.isalnum() for c in text)


def find_in_text(text: str, is_cut: bool = False, asked: str = "") -> Found | None:
    """Return the answer that a text without tags commits to."""
    found = explicit(text)
    if found and (later := _corrected(text, found)):
        return later
    if found and _taken_back(text, found, "retract"):
        return None
    return found or (None if is_cut else last_line(text, asked))


def _corrected(text: str, found: Found) -> Found | None:
    """What the short rest of a text says instead of what was claimed before."""
    start = found.at + len(found.answer)
    for piece in sentences(text[start:]) if len(text) - start < 600 else ():
        if _CORRECTS.match(piece) and (
            later := last_line(text[start + text[start:].find(piece) :])
        ):
            return later._replace(at=start)
        if _HOWEVER.match(piece) and has("nothing", piece):
            return last_line(piece)
        if _MISREAD.match(piece):
            return last_line(text[start + text[start:].find(piece) :])
    return None


def _taken_back(text: str, found: Found, *groups: str) -> bool:
    """Whether the short rest of a text takes back what was claimed before."""
    rest = text[found.at + len(found.answer) :]
    return len(rest) < 600 and any(has(group, rest) for group in groups)


def explicit(text: str) -> Found | None:
    """Return the last answer that is marked as one: boxed, after ####, or in a phrase."""
    box = boxed(text)
    others = (found for find in (_hashed, _phrase) if (found := find(text)))
    inside = range(box.at, box.at + len(box.answer)) if box else ()
    candidates = [found for found in others if found.at not in inside]
    return max([*candidates, *filter(None, [box])], key=lambda found: found.at, default=None)


def _in_answer_tags(answers: tuple[str, ...]) -> Found | None:
    for content in filter(None, map(str.strip, reversed(answers))):
        if answer := _within_tag(content):
            return Found(answer[:MAX_ANSWER], "answer_tag", 0)
    return None


def _within_tag(content: str) -> str | None:
    """Between tags a short text is the answer itself; a long one is read like any text."""
    if len(content) <= 2 * MAX_ANSWER and "\n\n" not in content and is_formula(content):
        return content
    if marked := explicit(content):
        return marked.answer
    is_line = len(content) <= 80 and "\n" not in content
    if is_line and not has("is", content) and not has("gives", content):
        return content
    found = None if has_loop(content) else last_line(content)
    return found.answer if found else content if len(content) <= 200 else None


def _in_thinking(parts: Parts) -> Found | None:
    text = parts.thinking
    if parts.open_thinking:
        found = concluded(parts.open_thinking)
    elif says_something(parts.before + parts.after):
        return None  # who says something, says what counts
    else:
        found = find_in_text(text, has_loop(text))
        found = None if found and _taken_back(text, found, "waver", "retract") else found
    return found._replace(source="thinking") if found else None


def concluded(text: str) -> Found | None:
    """Return the answer of a thinking that was not cut off, only not closed.

    Its last sentence has to be a full one that states an answer.
    """
    last = sentences(text.rstrip()[-MAX_TAIL:])[-1:]
    if not last or (text.rstrip()[-1] not in ".!$}*]。)" and not text.endswith("\n")):
        return None
    sentence = last[0]
    if has("hedge", sentence) or has("waver", sentence) or has("retract", sentence):
        return None
    found = explicit(sentence)
    is_final = _CONCLUDES.match(sentence) or _FINAL.search(text[-400:]) or not sentence.isascii()
    return found if found and (is_final or found.source == "boxed") else None


def _hashed(text: str) -> Found | None:
    matches = [m for m in _HASH.finditer(text) if any(c.isdigit() for c in m[1])]
    content = matches[-1][1].strip() if matches else ""
    if not content or _STEP.match(content):
        return None  # a heading
    answer = content if is_formula(content) else leading(content)
    return Found(answer[:MAX_ANSWER], "hash", matches[-1].start()) if answer else None


def _phrase(text: str) -> Found | None:
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    for noun in list(_NOUN.finditer(lower))[: -MAX_NOUNS - 1 : -1]:
        after = _AFTER.match(lower, noun.end())
        if not after or not _announces(lower, noun) or _DERIVED.match(lower, after.end()):
            continue
        if "would" in after[0] and _IF.match(lower, after.end()):
            continue  # "would be 5 if x were even"
        if answer := _section(text[after.end() :]):
            return Found(answer[:MAX_ANSWER], "phrase", noun.start())
    return None


def _announces(text: str, noun: re.Match[str]) -> bool:
    """Whether a noun names what is asked: "the answer", "final result", at a line's start."""
    if not noun[0].strip()[:1].isascii():
        return not is_mentioned(text, noun.end())
    before = _BEFORE.search(text, max(0, noun.start() - 80), noun.start())
    if is_mentioned(text, noun.end()):
        return False
    return bool(before and (not before["ARTICLE"] or _ANSWER.fullmatch(noun[0])))


def _section(rest: str) -> str | None:
    """What an announced answer is: the first sentence if it states one, else the section's end."""
    pieces = sentences(rest[:MAX_TAIL])
    if not pieces:
        return None
    if marked := boxed(pieces[0]):
        return marked.answer
    plain = _unopened(_DECORATION.sub("", unmarked(pieces[0])).strip(" :*"))
    if plain.endswith("?") or _GUESS.search(plain):
        return None
    if plain.endswith("!") and " " not in plain.strip("! "):
        plain = plain.rstrip("!")  # of a sentence, no factorial
    is_short = len(plain) == 1 or any(c.isdecimal() or c.islower() or c == "\\" for c in plain)
    if is_short and is_formula(plain):
        return plain.rstrip(". ")
    if (direct := leading(plain)) and not _STEP.match(plain):
        return direct
    if len(pieces) > 1 and rest.lstrip(" *").startswith("\n"):
        found = last_line(rest)
        return found.answer if found else None
    words = plain.rstrip(".!")
    if stated := committed(pieces[0], loosely=any(c.isdecimal() for c in words)):
        return stated.answer
    is_vague = any(has(group, words) for group in ("vague", "bound", "not"))
    return words if 1 <= len(words.split()) <= MAX_WORDS // 2 and not is_vague else None


def _unopened(text: str) -> str:
    """Without a bracket at the end that was opened before the text, as in (Answer: 5)."""
    bare = text.rstrip(".")
    return bare[:-1] if bare.endswith(")") and bare.count(")") > bare.count("(") else text


def last_line(text: str, asked: str = "") -> Found | None:
    """Return what the last sentence says that states something, unless the text breaks off."""
    ending = text[-MAX_TAIL:].rstrip()
    if not ending or _breaks_off(ending.rstrip("*_ \n")):
        return None
    pieces = [p for p in sentences(ending) if not _CHATTER.search(p)]
    if pieces and (is_working(pieces[-1]) or has("refusal", pieces[-1])):
        return None
    checks = [at for at, piece in enumerate(pieces) if at and _CHECKS.fullmatch(piece)]
    if checks and checks[-1] > len(pieces) - 4:
        pieces = pieces[: checks[-1]]
    ranked = []
    for at, piece in enumerate(pieces[-3:]):
        if claim := committed(piece, loosely=piece is pieces[-1], asked=asked):
            is_last = piece is pieces[-1]
            is_new = is_last and claim.weight > 0
            is_new = is_new and not any(claim.answer in earlier for earlier in pieces[:-1])
            concludes = bool(at and _CONCLUDES.match(piece))
            rank = 2 if claim.weight >= 3 or (concludes and is_last) else int(concludes or is_new)
            is_remark = piece is not pieces[0] and bool(_REMARK.match(piece))
            is_remark = is_remark and not (is_new and _STATES.match(piece))
            ranked.append((not is_remark, rank, at, claim.answer))
    first = unmarked(pieces[0]).rstrip(".") if len(pieces) > 1 and len(text) < MAX_EXPLAINED else ""
    is_heading = text.lstrip().startswith("#") or first == "1"  # 1. First, we add
    if first and not is_heading and is_value(first):  # and then an explanation
        ranked.append((True, 2, -1, first))
    if ranked:
        return Found(max(ranked)[-1][:MAX_ANSWER], "last_line", len(text) - len(ending))
    if len(pieces) == 1 and len(pieces[0].split()) <= 2:
        return Found(pieces[0], "last_line", len(text) - len(ending))
    return None


def _breaks_off(text: str) -> bool:
    """Whether a text was cut in the middle of a formula or a sentence."""
    last = text.rsplit("\n", 1)[-1]
    displays = text.replace("\\ ]", "\\]")
    if not text.endswith("\\") and _MIDDLE.search(text):
        return True
    if displays.count("\\[") > displays.count("\\]") or last.count("\\(") > last.count("\\)"):
        return True
    if _CUT.search(text, max(0, len(text) - 20)):
        return True
    is_prose = len(text) > 1_000 and len(last) > 60
    return last.count("{") > last.count("}") or (is_prose and text[-1] not in _CLOSED)
