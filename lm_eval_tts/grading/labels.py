"""The labels of options, and what a sentence says of one: it is the answer, is not, or nothing."""

from __future__ import annotations

import re
from typing import NamedTuple

from lm_eval_tts.grading.lexicon import has, pattern, phrases
from lm_eval_tts.grading.options import Options, bare_text, squeezed
from lm_eval_tts.grading.wording import is_mentioned

MAX_MENTIONS = 12  # of labels in a sentence that states one
MAX_JOINT = 24  # characters between two labels that "and" joins

LABEL = re.compile(
    r"[(\[]\s{0,2}(?P<dressed>[A-Ja-j])\s{0,2}[)\]]"
    r"|(?<![A-Za-z0-9'’.=+^_\\-])(?P<bare>[A-J])(?![A-Za-z0-9'’=+^_-])"
    r"|(?:(?<=[Oo]ption )|(?<=[Cc]hoice ))(?P<named>[a-j])(?![A-Za-z0-9'’=+^_-])"
)
_OPTION_NOUN = r"(?:<option>\s*)?"
_TAIL = rf"[\s:,]*(?:<filler>[\s:]*)*{_OPTION_NOUN}\W*$"  # up to the label
_ANNOUNCED = pattern(
    r"(?:<answer|option>(?:[\s:]+(?:to|for|here|among|from|of|in|based|therefore|then|selected|letter)"
    r"\b[^.\n]{0,80}?)?|(?:^|\n)\W*<result|right>)[\s*_,]*(?:<is>|:|=|→|⇒|->|=>|[–—]|\.)?" + _TAIL
)
_CONNECTED = pattern(r"(?:<is>|:|=|→|⇒|->|=>|[–—])" + _TAIL)
_CONCLUDED = pattern(r"<so>\W*$")
_CHOSEN = pattern("<choose>" + _TAIL)
_NEXT = _OPTION_NOUN + r"[(\[]?\s*$"  # the label comes next
_ONLY = pattern(r"\bonly\s+" + _NEXT)
_ALL_BUT = pattern(r"\b(?:all|every\w*)\b[^.;]{0,40}\b(?:but|except|besides)\s+(?:for\s+)?" + _NEXT)
_NOT_BUT = pattern(r"\bnot\b[^.;]*\bbut\s+(?:rather\s+)?" + _NEXT)
_NOT_THIS = pattern(
    r"(?:,|\band|\bbut)\s*(?:not|rather than|instead of|unlike)\s+"
    + _OPTION_NOUN
    + r"[(\[]?[A-J][)\]]?\s*(?:,|[.!]?$)"
)
_MERELY_IS = pattern(r"(?:is|be|es|est|ist|это)\b")
_PRAISED = pattern(
    r"[)\]\s:がは项項]*(?:(?:<is>|seems|appears|looks|would|must|to be)[\s,]+)*"
    r"(?:(?:the|a|an|our|my|final|therefore|thus|hence|indeed|clearly)\s+)*"
    r"(?!only\s+part|remains\s+(?:an?\s+)?<hedge>)<right>"
)
# What is said of an option's text, and does not say that it is right.
_GOES_ON = pattern(
    r"[)\]*_\s]*(?!(?:because|since|as|for|which|that|due)\b|.{0,30}?<right>)[a-z]{2,}"
)
REFUTED = pattern(r"[)\]\s]*(?:[^\W\d_]+[\s,]+){0,2}?<wrong>")
_DESCRIBES = pattern(r"\b(?:explains|describes|applies|holds|fits|fit|works|true)$")
_APPOSED = pattern(r"\w[^.]*\(\s*<option>\s*$")  # a price ceiling (option A)
BUT_WRONG = pattern(r"\b(?:but|yet|though)\b[^,;]*<wrong>")
_OTHER_SUBJECT = pattern(r"\b(?:I|we|it|but)\b|<so>|<answer>|<not>|<wrong>")
_JOIN = pattern(
    rf"[)\]}}\s,]*(?:,|/|&|and|or|y|o|et|ou|und|oder|и|или|和|或|、)\s*(?:(?:and|or)\s+)?{_OPTION_NOUN}[(\[]?"
    r"(?=(?-i:[A-J])\b)(?!(?-i:I\s+[a-z]))(?![A-J][)\]]?\s+(?:is|was|has|are)\b)"
)
_LIKE = pattern(rf"<like>\s+(?:(?:the|a|an|that of|in)\s+)*{_OPTION_NOUN}\W*$")
_KNOWN_AS = pattern(
    r"\b(?:known|identified|classified|described|answer|labell?ed|chosen|selected)\s+as\b"
)
_ONLY_IF = pattern(r"\b(?:only )?if\b")
_CLAUSE = re.compile(r"[.;!?]\s|[。；]")


class Statement(NamedTuple):
    """What a sentence says of a label. is_sure: also where it is not the last one."""

    letter: str
    is_sure: bool


class Mention(NamedTuple):
    """A label in a sentence, with what is before and after it, and before it in its clause."""

    letter: str
    before: str
    after: str
    is_dressed: bool = True

    @property
    def goes_on(self) -> bool:
        """Whether a word in small letters follows, as after an article."""
        return self.after[:1] == " " and self.after[1:2].islower()

    @property
    def clause(self) -> str:
        """What is before the label in its clause."""
        return _CLAUSE.split(self.before)[-1]

    @property
    def rest(self) -> str:
        """What is after the label in its clause."""
        return _CLAUSE.split(self.after, maxsplit=1)[0]


def label_of(match: re.Match[str]) -> str:
    """Return the letter of a match of LABEL."""
    return str(next(filter(None, match.groups()))).upper()


def _mentions(text: str, options: Options) -> list[Mention]:
    found = [
        Mention(label_of(m), text[: m.start()], text[m.end() :], not m["bare"])
        for m in LABEL.finditer(text)
    ]
    return [
        m for m in found if m.is_dressed or (_is_known(m.letter, options) and not _is_article(m))
    ]


def _is_known(letter: str, options: Options) -> bool:
    """Whether a letter without brackets can be an option; I is none unless it is one."""
    complete = len(options) >= 4 and "A" in options
    return letter in options if complete or letter == "I" else letter in "ABCDEFGHJ"


def _is_article(mention: Mention) -> bool:
    """Whether this A is not a label: "A cat", but not "A is right", "option A" or "A fails"."""
    if mention.letter != "A" or not mention.goes_on or not mention.after[2:3].islower():
        return False
    says = _PRAISED.match(mention.after) or REFUTED.match(mention.after)
    return not says and not phrases("option").search(mention.before[-20:].rstrip()[-14:])


def statements(piece: str, options: Options) -> list[Statement]:
    """Return what a sentence says of the options, from left to right."""
    text = _NOT_THIS.sub("", bare_text(piece))
    plain = without_idioms(text)
    found: list[Statement] = []
    mentions = _mentions(text, options)
    are_listed = len(mentions) > 2 and all(starts_with_own_text(m, options) for m in mentions)
    if len(mentions) > MAX_MENTIONS:
        return []
    joined, is_working = "", has("working", plain)
    for mention in mentions:
        bare = mention._replace(after=after_own_text(mention, options))
        is_joined = bool(joined) and len(mention.before) - len(joined) < MAX_JOINT
        joined = mention.before if _JOIN.match(bare.after) else ""
        is_last = not LABEL.search(bare.after)
        if _ALL_BUT.search(mention.clause):
            found += [Statement(mention.letter, True)] if has("wrong", bare.rest) else []
        elif (
            is_mentioned(text, len(bare.before))
            or _is_negated(bare)
            or (has("hedge", plain) and _hedges(bare, text))
        ):
            found = [said for said in found if said.letter != mention.letter]
        elif joined or is_joined or (is_working and not _CHOSEN.search(mention.clause)):
            continue
        elif is_last and has("retract", bare.after):
            found = []
        elif BUT_WRONG.search(bare.rest) and not LABEL.search(bare.rest):
            continue
        elif bare.after.lstrip(")]")[:1] != "?" and (sure := _is_claimed(mention, options)):
            found += [Statement(mention.letter, sure > 1)] if sure > 1 or not are_listed else []
    return found


def without_idioms(text: str) -> str:
    """Return a text without what only sounds like a hedge."""
    return phrases("idiom").sub("", text)


def _hedges(mention: Mention, text: str) -> bool:
    """A hedge counts before the label, or where the clause of the label continues with one."""
    if " would" in text and _ONLY_IF.search(without_idioms(mention.rest)):
        return True
    after = phrases("hedge").match(mention.rest.lstrip(" ),"))
    return bool(after) or has("hedge", without_idioms(mention.clause))


def _is_negated(mention: Mention) -> bool:
    clause = mention.clause[-60:]
    rest = clause[found[-1].end() :] if (found := list(phrases("not").finditer(clause))) else ","
    if len(rest.split()) <= 3 and "but" not in rest and "," not in rest and not has("is", rest):
        return True
    return bool(REFUTED.match(mention.rest)) and not _PRAISED.match(mention.rest)


def _is_claimed(mention: Mention, options: Options) -> int:
    """2 where a label is said to be the answer, 1 where that is so for a last sentence only."""
    clause, rest = mention.clause, mention.rest
    own_text = starts_with_own_text(mention, options)
    goes_on = own_text and _GOES_ON.match(after_own_text(mention, options))
    chosen = None if _has_subject(clause) else _CHOSEN.search(clause) or _NOT_BUT.search(clause)
    connected = _CONNECTED.search(clause)
    if _LIKE.search(clause) and not _KNOWN_AS.search(clause[-40:]):
        return int(own_text)
    if _APPOSED.search(clause):
        return 1
    if _ANNOUNCED.search(clause) and (
        connected or (own_text and not goes_on) or not rest.strip(" ).*]")
    ):
        return 2
    is_article = not mention.is_dressed and mention.letter == "A" and mention.goes_on
    is_subject = _ONLY.search(clause) and rest.strip(" ).,*]!")  # only (B) explains it
    if is_subject and not is_article:
        return 2
    if chosen and not is_article:
        return 2 if mention.is_dressed or own_text or not _MERELY_IS.match(chosen[0]) else 1
    if praised := _PRAISED.match(rest):
        return 1 if _DESCRIBES.search(praised[0]) else 2
    ends = not rest.strip(" ).,*]!") and (
        mention.is_dressed or connected or _CONCLUDED.search(clause)
    )
    return int(own_text or bool(ends))


def _has_subject(clause: str) -> bool:
    """Whether another label is the subject of the verb before a label: (C) is equivalent to (D)."""
    segment = clause.rpartition(",")[2]
    labels = [label for label in LABEL.finditer(segment) if label[0] != "I"]
    between = segment[labels[-1].end() :] if labels else ""
    return bool(between) and len(between.split()) <= 4 and not _OTHER_SUBJECT.search(between)


def after_own_text(mention: Mention, options: Options) -> str:
    """Return what follows a label, without the text of its option."""
    if not starts_with_own_text(mention, options):
        return mention.after
    own = options[mention.letter].casefold()
    return mention.after.casefold().partition(own)[2] or mention.after


def starts_with_own_text(mention: Mention, options: Options) -> bool:
    """Say whether the text of an option follows its label."""
    option = squeezed(options.get(mention.letter) or "")
    return bool(option) and squeezed(mention.after.lstrip(")].:( ")).startswith(option)
