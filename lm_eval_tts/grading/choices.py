r"""Which option a response to a multiple-choice question commits to.

Each sentence or line is read for its labels, and each label for what is said of it: that it is the
answer, that it is not, or nothing (it is only mentioned or compared). The last statement that names
one option counts, unless it is taken back. In the last sentence less is enough: a line with only a
label, or a label with the text of its option, or that text alone. Knows the option texts it is
given, possibly not all.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import chain

from lm_eval_tts.grading.extraction import Found, Reader, boxes, explicit, find
from lm_eval_tts.grading.lexicon import end_of, has, pattern, phrases
from lm_eval_tts.grading.options import (
    LABEL,
    Options,
    bare_text,
    beyond,
    denies,
    label_of,
    named,
    option_of,
    statements,
)
from lm_eval_tts.grading.parts import Parts
from lm_eval_tts.grading.segments import says_something, sentences, spoken

MAX_TEXT = 20_000  # characters at the end of a text that are looked at
MAX_PIECES = 150  # sentences at the end of it
MAX_PIECE = 1_000
MAX_VERDICT = 4  # words that say of an option that it is right or wrong

_TICK_WORDS = dict.fromkeys("❌✗✘☐", " wrong ") | dict.fromkeys("✅✓✔☑", " correct ")
_TICKS = str.maketrans(_TICK_WORDS)
_LINE_LEAD = pattern(r"[\W_]*?(?:<option|so>[\s,:]*)?(?=[(\[]?[A-J])")
_LABEL_ALONE = pattern(r"(?:<option|answer|filler|final>|[\W_])*?([A-J])[^\w?]*")


def find_choice(parts: Parts, options: Options | None, is_cut: bool) -> Found | None:
    """Return the letter that a response commits to."""
    known = {letter.upper(): text for letter, text in (options or {}).items()}
    reads = (partial(read, options=known) for read in (_tagged, stated_choice, _last))
    reader = Reader(*reads)
    found = find(parts, reader, is_cut)
    if not found and LABEL.search(f"{parts.before}\n{parts.after}"[-2 * MAX_PIECE :]):
        found = find(parts._replace(before="", after=""), reader, is_cut)  # talks of the others
    return found


def _tagged(content: str, options: Options) -> Found | None:
    if letter := option_of(content, options):
        return Found(letter, "answer_tag")
    found = stated_choice(content, options) or _last(content, options)
    return found._replace(source="answer_tag") if found else None


def _last(text: str, options: Options) -> Found | None:
    """The letter that the last line or sentence names."""
    text = _spoken(text)
    pieces = [piece[-MAX_PIECE:] for piece in sentences(text) if says_something(piece)]
    lines = [line for line in text.split("\n") if says_something(line) and not has("chatter", line)]
    if not pieces:
        return None
    lines = lines or pieces
    heads = [line for line in lines if _head(bare_text(line[:MAX_PIECE]))]
    if len(heads) > 1 and heads[-1] is lines[-1]:  # goes through the options one by one
        letter = _only_one_left(heads)
        return Found(letter, "letter") if letter else None
    marked = explicit(text)
    first = lines[0] if heads == lines[:1] else ""  # and then an explanation
    lower = marked.answer if marked and marked.answer.islower() else ""
    labelled = (_labelled_line(line, options) for line in (lines[-1], pieces[0], first, lower))
    said = (one.answer for one in reversed(statements(pieces[-1], options)))
    if letter := next(filter(None, chain(labelled, said)), None):
        return Found(letter, "letter")
    letter = named(lines[-1], options) or named(pieces[-1], options)
    return Found(letter, "option_text") if letter else None


def _spoken(text: str) -> str:
    return spoken(text[-MAX_TEXT:]).translate(_TICKS)


def stated_choice(text: str, options: Options) -> Found | None:
    """Return the last letter that a text states as its answer and does not take back."""
    found: Found | None = None
    for whole in sentences(_spoken(text))[-MAX_PIECES:]:
        piece = whole[-MAX_PIECE:]
        if found and (taken := _taken_back(piece)):
            piece, found = taken, None
        if letters := [said.answer for said in statements(piece, options) if said.weight > 1]:
            found = Found(letters[-1], "phrase", 0)
        for box in boxes(piece):
            if letter := _labelled_line(box.answer, options):
                found = Found(letter, "boxed", 0)
    return found


def _taken_back(piece: str) -> str:
    """What follows in a sentence that takes back what was said before: "No, that's wrong: so C"."""
    plain = bare_text(piece)
    ends = [match.end() for match in phrases("retract").finditer(plain)]
    return f" {plain[ends[-1] :]}" if ends and not LABEL.search(plain, 0, ends[-1]) else ""


def _only_one_left(lines: list[str]) -> str | None:
    """The only option whose line does not say that it is wrong."""
    left = [line for line in lines if not has("wrong", line)]
    label = _head(bare_text(left[0])) if len(left) == 1 else None
    return label_of(label) if label and len(lines) > 2 else None


def _head(line: str) -> re.Match[str] | None:
    """The label that a line starts with."""
    return LABEL.match(line, end_of(_LINE_LEAD, line))


def _labelled_line(text: str, options: Options) -> str | None:
    """The letter that a line starts with, if what follows is its option or says nothing else."""
    plain = bare_text(text[: 2 * MAX_PIECE])
    if alone := _LABEL_ALONE.fullmatch(plain[:200]):
        return alone[1].upper()
    if not (match := _head(plain)):
        return None
    letter, after = label_of(match), plain[match.end() :]
    rest = beyond(after, options.get(letter, ""))
    if rest is None:
        if not match["dressed"] and after[:1] == " " and after[1:2] not in (*"-–(",):
            return None
        rest = sentences(after.lstrip(").: "))[:1]
        rest = rest[0] if rest else ""
    return None if denies("", rest) or LABEL.search(rest) else letter
