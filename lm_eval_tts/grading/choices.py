r"""Which option a response to a multiple-choice question commits to.

A letter counts only in the dress of an answer ("(C)" alone, "the answer is C", "which is option
C", \boxed{\text{C}}) or if an option's own text is given; never where it is only mentioned.
Knows the option texts it is given, possibly not all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lm_eval_tts.grading.answers import read
from lm_eval_tts.grading.equivalence import settle
from lm_eval_tts.grading.extraction import Found, concluded, explicit
from lm_eval_tts.grading.normalize import tidy
from lm_eval_tts.grading.parts import Parts

MAX_TEXT = 20_000  # characters at the end of a text that are looked at
MAX_OPTION = 5_000  # characters of an option's text
MIN_FUZZY = 20  # characters from which one letter more or less may be a slip of spelling

_DRESSED = (
    r"[\s$*_\"'`]{0,6}(?:\\boxed\{)?(?:\\(?:text|mathrm|textbf|mathbf)\{)?"
    r"[\s$*_\"'`]{0,6}[(\[]?([A-J])(?![A-Za-z0-9'’=])"
)
_WHOLE = re.compile(
    r"^[\s$*_#>\"'`(\[\\]*(?:(?:so|thus|hence|therefore)[,:]?\s+)?(?:(?:the\s+)?(?:correct\s+|final\s+|best\s+)?"
    r"(?:option|choice|answer|letter)\s*(?:is|:)?\s*)?" + _DRESSED + r"[\s$*_\"'`)\]}.:,;\\]*$",
    re.I,
)
_LEAD = re.compile(
    r"^[\s$*_#>\"'`]*(?:(?:[Oo]ption|[Cc]hoice)\s+)?"
    r"(?:[(\[]([A-J])[)\]]|([A-J])(?:[).:]|\s*[-–]\s)|\*\*([A-J])\*\*)"
)
_TAIL = re.compile(r"\b(?:is|are|be)\b[\s:]{0,6}" + _DRESSED + r"[)\].*\s]*$")
_BARE_LEAD = re.compile(r"^\s*([A-J])\s+(?:\(|(?<!A )(?![a-z=<>+])\S)")  # "A" is an article too
_BOX = re.compile(
    r"\\f?box(?:ed)?\s*\{\s*(?:\\(?:text|mathrm|textbf|mathbf)\s*\{)?"
    r"\s*\(?\s*([A-J])\s*(?:[).:}]|\s\S)"
)
_IS = re.compile(r"\b(?:is|are|be):?\s+(?:(?:an?|the)\s+)?")
# No hedge: another letter beside it, as in "(A) or (B)".
_ALONE = (
    r"(?![)\]*}]{0,3}\s*(?:,|/|and\b|or\b)\s*(?:(?:and|or)\s+)?(?:option\s+)?[(*]{0,3}(?-i:[A-J])\b"
    r"(?!\s+(?:is|was|has)\b))"
)
_ADVERB = (
    r"(?:(?:therefore|thus|hence|then|most likely|likely|probably|indeed|clearly|simply|the|an?)"
    r"\s+)*"
)
_COMMITTED = (
    re.compile(
        r"\b(?:answer|option|choice|statement|selection)\b[*_]{0,3}"
        r"(?:,?\s+(?:to|for|here|among|from|of|in|based|therefore|then)\b[^.\n]{0,80}?)?"
        r"\s*(?:is|would be|should be|must be|will be|:|=)[\s:]*"
        + _ADVERB
        + r"(?:(?:option|choice|letter|statement)\s*)?"
        + _DRESSED
        + _ALONE,
        re.I,
    ),
    re.compile(
        r"\b(?:is|be|choose|select|pick|with|to|matches|supports?|as|answer|,)\s+"
        + _ADVERB
        + r"(?:option|choice)\s*"
        + _DRESSED
        + _ALONE,
        re.I,
    ),
    re.compile(
        r"\b(?:option|choice|statement|answer)?\s*(?<![A-Za-z])[(*]{0,3}([A-J])[)*]{0,3}\s+"
        r"(?:is|would be|seems(?: to be)?|appears to be|remains)\s+"
        + _ADVERB
        + r"(?:(?!not\b|in|least\b|less\b|also\b|un)\w+\s+)?"
        r"(?:correct|right|best|answer|choice|remaining|only|"
        r"likely|plausible|suitable|appropriate|consistent|accurate)\b",
        re.I,
    ),
    re.compile(
        r"\b(?:only|just)\s+(?:option|choice|statement|answer)?\s*[(*]{0,3}(?-i:([A-J]))[)*]{0,3}\s+"
        r"(?:remains|survives|is left|fits|works|holds|qualifies)\b",
        re.I,
    ),
    re.compile(
        r"\b(?:leaving|leaves|left with)\s+(?:(?:us|only|just|with)\s+)*(?:option|choice)?\s*"
        r"[(*]{0,3}(?-i:([A-J]))[)*]{0,3}(?=\s+as\b|\s*(?:[.,;]|$))" + _ALONE,
        re.I | re.M,
    ),
    re.compile(
        r"\bI(?:'ll|'d| will| would)?\s+(?:choose|select|pick|go with|say)\s+" + _DRESSED, re.I
    ),
)
# Enough in a last sentence only, since a text names options in parentheses all along.
_IN_PASSING = re.compile(
    r"\b(?:is|are|(?<!could )(?<!might )(?<!may )be|to|with|leaving|leaves|but|only|"
    r"matches|supports)\s+(?:option\s+|choice\s+)?[$*]{0,3}(?:\\text(?:bf)?\{)?\(([A-J])\)" + _ALONE
)
_NEGATION = re.compile(
    r"\b(?:not|isn't|incorrect|wrong|eliminates?|rule[sd]? out|unlike|except|"
    r"rather than|neither|false)\b(?![^\n]{0,25}\bbut\b)[^.,;\n]{0,25}$",
    re.I,
)
_NEGATED = re.compile(
    r"^[)\]*\s]*(?:is|was|are)\s+(?:not|incorrect|wrong|false|ruled|eliminated)\b", re.I
)


def find_choice(parts: Parts, options: Mapping[str, str] | None, is_cut: bool) -> Found | None:
    """Return the letter that a response commits to."""
    options = {letter.upper(): text for letter, text in (options or {}).items()}
    tagged = [answer for answer in parts.answers if answer.strip()]
    if tagged:
        if found := stated_choice(parts.after, options):
            return found
        if found := _in_tag(tagged[-1], options):
            return found
    elif found := _in_text(parts.before, options, is_cut):
        return found
    if parts.open_thinking:
        sentence = concluded(parts.open_thinking)
        return _thinking(_in_tag(sentence.answer, options)) if sentence else None
    return _thinking(stated_choice(parts.thinking, options))


def _thinking(found: Found | None) -> Found | None:
    return found._replace(source="thinking") if found else None


def _in_tag(content: str, options: Mapping[str, str]) -> Found | None:
    content = content.strip()
    if match := _whole(content):
        return Found(match.group(1).upper(), "answer_tag", 0)
    if letter := _option_of(content, options):
        return Found(letter, "option_text", 0)
    if letter := _lead(content):
        return Found(letter, "answer_tag", 0)
    if found := stated_choice(content, options):
        return found
    tail = _TAIL.search(content[-60:])
    found = Found(tail.group(1), "answer_tag", 0) if tail else _in_passing(content)
    return found._replace(source="answer_tag") if found else None


def _whole(text: str) -> re.Match[str] | None:
    return _WHOLE.match(text) if len(text) <= 200 else None


def _lead(content: str) -> str | None:
    match = _LEAD.match(content) or _BARE_LEAD.match(content)
    if not match or _NEGATED.match(content[match.end() :]):
        return None
    letter = next(group for group in match.groups() if group).upper()
    sentence = re.split(r"[.!?]\s+(?=[A-Z(])|\n", content[match.end() :], maxsplit=1)[0]
    others = re.findall(r"(?:^|[\s,(])\(?([B-J])[).:]", sentence)
    return None if any(other != letter for other in others) else letter


def _in_text(text: str, options: Mapping[str, str], is_cut: bool) -> Found | None:
    if found := stated_choice(text, options):
        return found
    lines = [line for line in text[-MAX_TEXT:].split("\n") if line.strip(" *#_-")]
    if not lines or is_cut:
        return None
    if match := _whole(lines[-1]):
        return Found(match.group(1).upper(), "letter", 0)
    marked = explicit(text[-MAX_TEXT:])
    for candidate in (lines[-1], marked.answer if marked else ""):
        if letter := _option_of(candidate, options):
            return Found(letter, "option_text", 0)
    if len(lines) == 1 and (letter := _lead(lines[0])):
        return Found(letter, "letter", 0)
    return _in_passing(lines[-1])


def _in_passing(line: str) -> Found | None:
    """The letter that the last sentence of a text mentions as what something is."""
    sentence = re.split(r"[.!?]\s+(?=[A-Z])", line.strip())[-1]
    matches = [m for m in _IN_PASSING.finditer(sentence) if not _is_negated(sentence, m)]
    return Found(matches[-1].group(1), "letter", 0) if matches else None


def stated_choice(text: str, options: Mapping[str, str]) -> Found | None:
    """Return the last letter that a text states as its answer."""
    text = text[-MAX_TEXT:]
    found: list[Found] = [
        Found(m.group(1).upper(), "boxed", m.start()) for m in _BOX.finditer(text)
    ]
    for pattern in _COMMITTED:
        for match in pattern.finditer(text):
            letter = match.group(1)
            if letter.islower() and not re.search(r"[(\[*]" + letter, match.group()):
                continue  # "is a", not "is A"
            if (
                letter == "A"
                and re.match(r"\s+[a-z]{3,}", text[match.end() :])
                and "(" not in match.group()
            ):
                continue  # an article at the start of a sentence
            if not _is_negated(text, match):
                found.append(Found(letter.upper(), "phrase", match.start()))
    return max(found, key=lambda f: f.at, default=None)


def _is_negated(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - 40) : match.start(1)]
    return bool(_NEGATION.search(before) or _NEGATED.match(text[match.end() :]))


def _option_of(text: str, options: Mapping[str, str]) -> str | None:
    """The option whose text this is, up to spelling; numbers by their value."""
    if not text.strip() or len(text) > MAX_OPTION:
        return None
    predicates = [_IS.split(text, maxsplit=n)[-1] for n in (0, 1)]
    without_yes = re.sub(r"^\s*(?:yes|no|so|thus|therefore)\s*[,:]\s*", "", text, flags=re.I)
    bares = {letter: _bare(option) for letter, option in options.items()}
    for candidate in (_bare(text), _bare(without_yes), *map(_bare, predicates)):
        for letter, bare in bares.items():
            if candidate and candidate == bare:
                return letter
    candidates = [_bare(written).casefold() for written in (text, *predicates)]
    for letter, option in options.items():
        if bares[letter].casefold() in candidates and not re.search(r"[\\^=]", option):
            return letter
    candidate = _bare(text)
    for letter, bare in bares.items():
        if len(candidate) >= MIN_FUZZY and _one_letter_apart(candidate, bare):
            return letter
    for letter, option in options.items():
        if _is_number(option) and settle(text, option):
            return letter
    return None


def _is_number(option: str) -> bool:
    value = read(option).value
    return value is not None and not value.variables


def _bare(text: str) -> str:
    return re.sub(r"[\s.,;:!?*_$\"'`\\{}]+", "", tidy(text))


def _one_letter_apart(a: str, b: str) -> bool:
    """Whether one has one letter more than the other; digits and signs must be the same."""
    longer, shorter = sorted((a, b), key=len, reverse=True)
    if len(longer) != len(shorter) + 1:
        return False
    at = next(
        (i for i, (x, y) in enumerate(zip(longer, shorter, strict=False)) if x != y), len(shorter)
    )
    return longer[at].isalpha() and longer[at + 1 :] == shorter[at:]
