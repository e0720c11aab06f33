"""What a sentence says of the labels of options: it is the answer, it is not, or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from lm_eval_tts.grading.options import bare_text, squeezed
from lm_eval_tts.grading.phrases import alternatives, has, phrases

MAX_MENTIONS = 12  # of labels in a sentence that states one

LABEL = re.compile(
    r"[(\[]\s{0,2}(?P<dressed>[A-Ja-j])\s{0,2}[)\]]|(?<![A-Za-z0-9'’.=+^_\\-])(?P<bare>[A-J])(?![A-Za-z0-9'’=+^_-])"
)
_OPTION_NOUN = rf"(?:(?:{alternatives('option')})\s*)?"
_ADVERBS = rf"(?:(?:{alternatives('filler')})[\s:]*)*"
_ANNOUNCED = re.compile(
    rf"(?:(?:{alternatives('answer', 'option')})"
    r"(?:[\s:]+(?:to|for|here|among|from|of|in|based|therefore|then|selected|letter)\b[^.\n]{0,80}?)?"
    rf"|(?:^|\n)\W*(?:{alternatives('result', 'right')}))[\s*_,]*"
    rf"(?:(?:{alternatives('is')})|:|=|→|⇒|->|=>|\.)?[\s:,]*{_ADVERBS}{_OPTION_NOUN}\W*$",
    re.I,
)
_CONNECTED = re.compile(
    rf"(?:(?:{alternatives('is')})|:|=|→|⇒|->|=>)[\s:,]*{_ADVERBS}{_OPTION_NOUN}\W*$", re.I
)
_CONCLUDED = re.compile(rf"(?:{alternatives('so')})\W*$", re.I)
_CHOSEN = re.compile(rf"(?:{alternatives('choose')})[\s:,]*{_ADVERBS}{_OPTION_NOUN}\W*$", re.I)
_COPULAS = rf"(?:(?:{alternatives('is')}|seems|appears|looks|would|must|to be)[\s,]+)*"
_PRAISED = re.compile(
    rf"[)\]\s]*{_COPULAS}(?:(?:the|a|an|our|my|therefore|thus|hence|indeed|clearly)\s+)*(?:{alternatives('right')})",
    re.I,
)
REFUTED = re.compile(rf"[)\]\s]*(?:[^\W\d_]+[\s,]+){{0,2}}?(?:{alternatives('wrong')})", re.I)
_JOIN = re.compile(
    rf"[)\]}}\s,]*(?:,|/|&|and|or|y|o|et|ou|und|oder|и|или|和|或|、)\s*(?:(?:and|or)\s+)?{_OPTION_NOUN}[(\[]?(?=(?-i:[A-J])\b)(?![A-J][)\]]?\s+(?:is|was|has|are)\b)",
    re.I,
)


class Statement(NamedTuple):
    """What a sentence says of a label. is_sure: in any sentence, not only in the last one."""

    letter: str
    is_sure: bool


class Mention(NamedTuple):
    """A label in a sentence, with what is before and after it."""

    letter: str
    before: str
    after: str
    is_dressed: bool


def _is_known(letter: str, options: Mapping[str, str]) -> bool:
    """Whether a letter without brackets can be an option; I is none unless it is one."""
    complete = len(options) >= 4 and "A" in options
    return letter in options if complete or letter == "I" else letter in "ABCDEFGHJ"


def _mentions(text: str, options: Mapping[str, str]) -> list[Mention]:
    found = []
    for match in LABEL.finditer(text):
        letter = match.group("dressed") or match.group("bare")
        before, after = text[: match.start()], text[match.end() :]
        if match.group("bare"):
            if not _is_known(letter, options):
                continue
            is_article = (
                re.match(r"\s+[a-z]{2,}", after)
                and not _PRAISED.match(after)
                and letter == "A"
                and not REFUTED.match(after)
            )
            named = (
                phrases("option").search(before[-20:].rstrip()[-14:]) if before.rstrip() else None
            )
            if is_article and not named:
                continue
        found.append(Mention(letter.upper(), before, after, bool(match.group("dressed"))))
    return found


def statements(piece: str, options: Mapping[str, str]) -> list[Statement]:
    """Return what a sentence says of the options, from left to right."""
    text = bare_text(piece)
    hedged = bool(phrases("hedge").search(phrases("idiom").sub("", text)))
    found: list[Statement] = []
    mentions = _mentions(text, options)
    if len(mentions) > MAX_MENTIONS:
        return []
    for number, mention in enumerate(mentions):
        clause = re.split(r"[.;!?]\s|[。；]", mention.before)[-1]
        after = re.split(r"[.;!?](?:\s|$)|[。；]", mention.after, maxsplit=1)[0]
        if _is_negated(clause, after) or (hedged and _hedges(clause, after, text)):
            continue
        if _JOIN.match(mention.after) or (
            number
            and _JOIN.match(mentions[number - 1].after)
            and len(mention.before) - len(mentions[number - 1].before) < 24
        ):
            continue
        if phrases("retract").search(mention.after) and not LABEL.search(mention.after):
            found = []
            continue
        if re.search(rf"\bbut\b[^,;]*(?:{alternatives('wrong')})", after) and not LABEL.search(
            after
        ):
            continue
        if mention.after.startswith("?") or re.match(r"[)\]]\?", mention.after):
            continue
        if is_sure := _is_claimed(clause, after, mention, options):
            found.append(Statement(mention.letter, is_sure > 1))
    return found


def _hedges(clause: str, after: str, text: str) -> bool:
    """A hedge counts before the label, or where the clause of the label goes on with one."""
    if re.search(r"\bwould\b", text) and re.search(
        r"\b(?:only )?if\b", phrases("idiom").sub("", after)
    ):
        return True
    return bool(
        phrases("hedge").search(phrases("idiom").sub("", clause))
        or phrases("hedge").match(after.lstrip(" ),"))
    )


def _is_negated(clause: str, after: str) -> bool:
    found = list(phrases("not").finditer(clause[-60:]))
    if found:
        last = found[-1]
        rest = clause[-60:][last.end() :]
        if len(rest.split()) <= 3 and "but" not in rest and "," not in rest and not has("is", rest):
            return True
    return bool(REFUTED.match(after)) and not _PRAISED.match(after)


def _is_claimed(clause: str, after: str, mention: Mention, options: Mapping[str, str]) -> int:
    """2 where a label is said to be the answer, 1 where that is so for a last sentence only."""
    bare_risk = (
        not mention.is_dressed and re.match(r"\s+[a-z]", mention.after) and mention.letter == "A"
    )
    own_text = starts_with_own_text(mention, options)
    announced = _ANNOUNCED.search(clause)
    if (
        announced
        and (_CONNECTED.search(clause) or not after.strip(" ).*]") or own_text)
        and not _ends_with_like(clause)
    ):
        return 2
    if _CHOSEN.search(clause) and not bare_risk and not _ends_with_like(clause):
        return 2 if mention.is_dressed or _explicit_choice(clause) or own_text else 1
    if _PRAISED.match(after) and not _ends_with_like(clause):
        return 2
    if own_text:
        return 1
    ends = not after.strip(" ).,*]!") and not _ends_with_like(clause)
    if ends and mention.is_dressed:
        return 1
    return 1 if ends and (_CONNECTED.search(clause) or _CONCLUDED.search(clause)) else 0


def _explicit_choice(clause: str) -> bool:
    """Whether the verb is one of choosing, other than a mere "is"."""
    match = _CHOSEN.search(clause)
    return bool(match and not re.match(r"(?:is|be|es|est|ist|это)\b", match.group(), re.I))


def _ends_with_like(clause: str) -> bool:
    match = re.search(
        rf"(?:{alternatives('like')})\s+(?:(?:the|a|an|that of|in)\s+)*{_OPTION_NOUN}\W*$",
        clause,
        re.I,
    )
    return bool(match) and not re.search(
        r"\b(?:known|identified|classified|described|answer|labell?ed|chosen|selected)\s+as\b",
        clause[-40:],
        re.I,
    )


def starts_with_own_text(mention: Mention, options: Mapping[str, str]) -> bool:
    """Say whether the text of an option follows its label."""
    option = options.get(mention.letter)
    if not option:
        return False
    rest = squeezed(mention.after)
    return bool(squeezed(option)) and rest.startswith(squeezed(option))
