r"""Which option a response to a multiple-choice question commits to.

Each sentence or line is read for its labels, and each label for what is said of it: that it is the
answer, that it is not, or nothing (it is only mentioned or compared). The last statement that names
one option counts, unless it is taken back. In the last sentence less is enough: a line with only a
label, or a label with the text of its option, or that text alone. Knows the option texts it is
given, possibly not all.
"""

import re
from collections.abc import Mapping
from functools import partial
from itertools import chain, pairwise

from lm_eval_tts.grading import claims
from lm_eval_tts.grading.claims import Claim
from lm_eval_tts.grading.equality import matches
from lm_eval_tts.grading.extraction import Found, boxes, explicit, find
from lm_eval_tts.grading.notation import end_of, has, pattern, phrases, tidy
from lm_eval_tts.grading.parts import Parts, says_something, sentences, spoken, unmarked

MAX_TEXT = 20_000  # characters at the end of a text that are looked at
MAX_PIECES = 150  # sentences at the end of it
MAX_PIECE = 1_000
MAX_OPTION = 5_000  # characters of an option's text
MAX_MENTIONS = 12  # of labels in a sentence that states one
MIN_TAIL = 4  # characters of an option's text that count as one at the end of a sentence
Options = Mapping[str, str]  # the texts of the letters that are known

_TEX = re.compile(r"\\(?:text|math)\w*\s*\{([^{}]*)\}|\\[()\[\]]|\\q?quad|\\ |[$\"“”]")
_PUNCTUATION = str.maketrans("", "", " \n\t.,;:!?*_$\"'`\\{}")
_SLIP = re.compile(r"(?<=[a-z]{3})[es]\b")  # hexan-2-one, hexane-2-one
_ORDINALS = ("first", "second", "third", "fourth")
# What follows says more of what was claimed, or compares it.
_AFTER_CLAIM = pattern(
    r",?\s+(?:which|who|whose|followed by|rather than|unlike|partly|in response to|more than"
    r"|less than)\b|,\s+not\b"
)
LABEL = re.compile(
    r"(?P<dressed>[(\[])\s{0,2}[A-Ja-j]\s{0,2}[)\]]"
    r"|(?<![\d}] )(?<![A-Za-z0-9'’.=+^_\\-])(?P<bare>[A-HJ]|I(?!\s[a-z]))(?![A-Za-z0-9'’=+^_-])"
    r"|(?:(?<=[Oo]ption )|(?<=[Cc]hoice ))[a-j](?![A-Za-z0-9'’=+^_-])"
)
_CONTRAST = pattern(
    r"(?:,\s*(?:and\s+|but\s+)?not|\s(?:and not|instead of|rather than|unlike))\s[^.;,]*"
    r"(?=,|[.!]?$)"
)
_IS_RIGHT = pattern(
    r"[)\]\s,:がは项項]*(?:(?:<is>|seems|appears|looks|would|must|to be)[\s,]+)*"
    r"(?:(?:the|a|an|our|my|final|therefore|thus|hence|indeed|clearly)\s+)*"
    r"(?!only\s+part|remains\s+(?:an?\s+)?<hedge>)<right>"
)
_OPTION_NOUN = r"(?:<option>\s*)?"
_TAIL = rf"[\s:,]*(?:<filler>[\s:]*)*{_OPTION_NOUN}\W*$"  # up to the label
_LINK = "<is>|:|=|→|⇒|->|=>|[–—]"
_ANNOUNCED = pattern(
    rf"(?:<answer|option>|(?:^|\n)\W*<result|right>)[\s*_,]*(?P<LINK>{_LINK})?" + _TAIL
)
_CHOSEN = pattern("<choose>" + _TAIL)
_IS_WRONG = pattern(
    r"[)\]\s]*(?:,\s*which\s)?(?:[^\W\d_]+[\s,]+){0,2}?<wrong>|.*\b(?:but|yet|though)\b"
    r"(?:(?!(?-i:\b[A-J]\b))[^,;])*?<wrong>"
)
_LIKE = pattern(rf"<like>\s+(?:(?:the|a|an|that of|in)\s+)*{_OPTION_NOUN}\W*$")
_DESCRIBES = ("explains", "describes", "applies", "holds", "fits", "fit", "works", "true")
_TICKS = str.maketrans(dict.fromkeys("❌✗✘☐", " wrong ") | dict.fromkeys("✅✓✔☑", " correct "))
_LEAD = pattern(r"[\W_]*?(?:<option|so>[\s,:]*)?(?=[(\[]?[A-J])")
_LABEL_ALONE = pattern(r"(?:<option|answer|filler|final>|[\W_])*?([A-J])[^\w?]*")


def find_choice(parts: Parts, options: Options | None, is_cut: bool) -> Found | None:
    """Return the letter that a response commits to."""
    known = {letter.upper(): text for letter, text in (options or {}).items()}
    stated, last = (partial(read, options=known) for read in (stated_choice, _last))
    readers = stated, last, lambda content: stated(content) or last(content)
    found = find(parts, is_cut, *readers)
    if not found and LABEL.search(f"{parts.before}\n{parts.after}"[-2 * MAX_PIECE :]):
        found = find(parts._replace(before="", after=""), is_cut, *readers)  # talks of the others
    return found


def _last(text: str, options: Options) -> Found | None:
    text = _spoken(text)
    pieces = [piece[-MAX_PIECE:] for piece in sentences(text)]
    lines = [p for p in text.split("\n") if says_something(p) and not has("chatter", p)] or pieces
    if not pieces:
        return None
    heads = list(filter(None, map(_head, lines)))
    if len(heads) > 1:  # goes through the options one by one
        left = [head for head in heads if not has("wrong", head.string)]
        return Found(label_of(left[0]), "letter") if len(left) == 1 < len(heads) - 1 else None
    marked = explicit(text)
    lower = marked.answer.upper() if marked and marked.answer.islower() else ""
    labelled = (_labelled_line(line, options) for line in (lines[-1], pieces[0], lower))
    said = (one.answer for one in reversed(statements(pieces[-1], options)))
    if letter := next(filter(None, chain(labelled, said)), None):
        return Found(letter, "letter")
    letter = named(pieces[-1], options)
    return Found(letter, "option_text") if letter else None


def _spoken(text: str) -> str:
    return spoken(text[-MAX_TEXT:]).replace("[x]", "✅").replace("[ ]", "☐").translate(_TICKS)


def stated_choice(text: str, options: Options) -> Found | None:
    """Return the last letter that a text states as its answer and does not take back."""
    found: Found | None = None
    for whole in sentences(_spoken(text))[-MAX_PIECES:]:
        piece = whole[-MAX_PIECE:]
        *taken, rest = phrases("retract").split(bare_text(piece))
        if found and taken and not LABEL.search(" ".join(taken)):  # No, that's wrong: so C
            piece, found = f" {rest}", None
        if letters := [said.answer for said in statements(piece, options) if said.is_sure]:
            found = Found(letters[-1], "phrase", 0)
        for box in boxes(piece):
            if letter := _labelled_line(box["inside"], options):
                found = Found(letter, "boxed", 0)
    return found


def _head(line: str) -> re.Match[str] | None:
    plain = bare_text(line[: 2 * MAX_PIECE])
    return LABEL.match(plain, end_of(_LEAD, plain))


def _labelled_line(text: str, options: Options) -> str | None:
    """The letter that a line starts with, if what follows is its option or says nothing else."""
    if alone := _LABEL_ALONE.fullmatch(bare_text(text[:200])):
        return alone[1].upper()
    if not (label := _head(text)):
        return None
    letter, after = label_of(label), label.string[label.end() :]
    rest, has_text = beyond(after, options.get(letter, ""))
    is_word = after[:1] == " " and not has_text and not label["dressed"]
    return None if is_word or denies("", rest) or LABEL.search(rest) else letter


def bare_text(text: str) -> str:
    """Return a sentence without markup, fonts and delimiters of formulas."""
    plain = _TEX.sub(lambda m: f" {m[1] or ''} ", text)
    return " ".join(unmarked(tidy(plain)).split())


def squeezed(text: str) -> str:
    """Return a text in small letters, without spaces, punctuation and slips at ends of words."""
    return _SLIP.sub("", tidy(text)).translate(_PUNCTUATION).casefold()


def named(text: str, options: Options) -> str | None:
    """The option whose text a sentence is, ends with, or has in it; or that of its value."""
    plain = _AFTER_CLAIM.split(bare_text(text[:MAX_OPTION]), maxsplit=1)[0]
    said, whole = plain.casefold(), squeezed(plain)
    names = [(bare_text(option), letter) for letter, option in options.items()]
    if len(options) >= 4:
        names += [(f"{o} option", k) for o, k in zip(_ORDINALS, sorted(options), strict=False)]
    found = [
        (whole.endswith(squeezed(own)), len(own), own in plain, own.casefold(), letter)
        for own, letter in names
        if squeezed(own) == whole
        or (own.casefold() in said and len(own.encode(errors="replace")) >= MIN_TAIL)
    ]
    *_, name, letter = max(found, default=("", ""))
    groups = () if has("refusal", name) else ("working", "not", "wrong")  # none of the above
    rest = said.replace(name, " ") if name else said
    if claims.is_hedged(rest) or any(has(group, rest) for group in groups):
        return None
    claim = None if letter else claims.committed(bare_text(text))
    same = [k for k, option in options.items() if claim and matches(claim.answer, option)]
    return letter or (same[0] if len(same) == 1 else None)


def label_of(match: re.Match[str]) -> str:
    """Return the letter of a match of LABEL."""
    return match[0].strip("([ )]").upper()


def beyond(after: str, option: str) -> tuple[str, bool]:
    """Return what follows a label and the text of its option, and whether that text follows."""
    own = squeezed(option)
    has_text = bool(own) and squeezed(after.lstrip(")].:( ")).startswith(own)
    return (has_text and after.casefold().partition(option.casefold())[2]) or after, has_text


def statements(piece: str, options: Options) -> list[Claim]:
    """Return what a sentence says of the options, from left to right.

    Sure is that a label is said to be the answer, not so what is so for a last sentence only.
    """
    text = _CONTRAST.sub("", bare_text(piece))
    every = LABEL.finditer(text)
    labels = [m for m in every if not (m["bare"] and claims.is_named(text[: m.start()]))]
    labels = labels[-MAX_MENTIONS:]
    found, joint = [], phrases("like")  # (A) or (B)
    gaps = [(pair, text[pair[0].end() : pair[1].start()]) for pair in pairwise(labels)]
    listed = [m for pair, gap in gaps for m in pair if not says_something(joint.sub("", gap))]
    for label in labels:
        letter, before, after = label_of(label), text[: label.start()], text[label.end() :]
        rest, has_text = beyond(after, options.get(letter, ""))
        is_work = has("working", text) and not _CHOSEN.search(before)
        is_moot = is_work or label in listed or denies(before, rest)
        if weight := 0 if is_moot else _weight(before, after, has_text):
            found.append(Claim(letter, weight > 1))
    return found


def denies(before: str, rest: str) -> bool:
    """Say whether a clause says of the label between its two parts that it is not, or may be."""
    return (
        claims.is_denied(before)
        or claims.is_hedged(before)
        or bool(phrases("hedge").match(rest.lstrip(" ),")))
        or bool(_IS_WRONG.match(rest))
        or claims.is_hypothetical(f"{before} {rest}")
        or rest.lstrip(" )]").startswith("?")
    )


def _weight(before: str, rest: str, has_text: bool) -> int:
    """How surely a clause says of the label between its two parts that it is the answer."""
    ends = not rest.strip(" ).,*]!")
    if _LIKE.search(before):
        return 0
    announced = _ANNOUNCED.search(before)
    if announced and (ends or announced["LINK"]):
        return 2
    if _CHOSEN.search(before) and not LABEL.search(before.rpartition(",")[2]):  # no subject
        return 2
    if before.rstrip(" ([").endswith("only"):
        return 0 if ends else 2  # only (B) explains it
    if praised := _IS_RIGHT.match(rest):
        return 1 if praised[0].lower().endswith(_DESCRIBES) else 2
    return int(has_text or ends)
