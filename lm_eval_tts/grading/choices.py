r"""Which option a response to a multiple-choice question commits to.

Each sentence or line is read for its labels, and each label for what is said of it: that it is the
answer, that it is not, or nothing (it is only mentioned or compared). The last statement that names
one option counts, unless it is taken back. In the last sentence less is enough: a line with only a
label, or a label with the text of its option, or that text alone. Knows the option texts it is
given, possibly not all.
"""

from __future__ import annotations

import re

from lm_eval_tts.grading.extraction import Found, boxes, explicit, find, says_something
from lm_eval_tts.grading.lexicon import end_of, has, pattern, phrases
from lm_eval_tts.grading.options import (
    LABEL,
    Options,
    at_end,
    bare_text,
    beyond,
    denies,
    label_of,
    only_named,
    option_of,
    statements,
)
from lm_eval_tts.grading.parts import Parts
from lm_eval_tts.grading.segments import sentences, spoken

MAX_TEXT = 20_000  # characters at the end of a text that are looked at
MAX_PIECES = 150  # sentences at the end of it
MAX_PIECE = 1_000
MAX_VERDICT = 4  # words that say of an option that it is right or wrong

_TICK_WORDS = dict.fromkeys((*"❌✗✘☐", "[ ]"), " wrong ")
_TICK_WORDS |= dict.fromkeys((*"✅✓✔☑", "[x]"), " correct ")
_TICKS = re.compile("|".join(map(re.escape, _TICK_WORDS)), re.I)
_GROUND = pattern(r"[(,–—:.]|\s-\s|\b(?:for|because|since)\b")
_LINE_LEAD = pattern(r"[\W_]*?(?:<option|so>[\s,:]*)?(?=[(\[]?[A-J])")
_LABEL_ALONE = pattern(r"(?:<option|answer|filler|final>|[\W_])*?([A-J])[^\w?]*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z(])|\n")


def find_choice(parts: Parts, options: Options | None, is_cut: bool) -> Found | None:
    """Return the letter that a response commits to."""
    known = {letter.upper(): text for letter, text in (options or {}).items()}
    return find(parts, Letters(known), is_cut)


class Letters:
    """Reads letters, with the texts of the options that are known."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def in_tag(self, content: str) -> Found | None:
        """An option as it stands, or what the text says."""
        letter = option_of(content, self.options)
        found = Found(letter, "answer_tag") if letter else self.in_text(content, is_cut=False)
        return found._replace(source="answer_tag") if found else None

    def says(self, text: str) -> bool:
        """Anything that does not end with talk of the options."""
        return says_something(text) and not LABEL.search(text[-2 * MAX_PIECE :])

    def stated(self, text: str) -> Found | None:
        """The last letter that a text states as its answer and does not take back."""
        return stated_choice(text, self.options)

    def in_text(self, text: str, is_cut: bool) -> Found | None:
        """The letter that a text states, or that its last line or sentence names."""
        return _in_text(text, self.options, is_cut)


def _in_text(text: str, options: Options, is_cut: bool) -> Found | None:
    text = _TICKS.sub(lambda m: _TICK_WORDS[m[0].lower()], spoken(text[-MAX_TEXT:]))
    every = [line for line in text.split("\n") if says_something(line)]
    lines = [line for line in every if not has("chatter", line)] or every
    if letter := _ticked(lines, options):
        return Found(letter, "letter", 0)
    if stated := stated_choice(text, options):
        return stated
    pieces = [piece[-MAX_PIECE:] for piece in sentences(text) if says_something(piece)]
    if not pieces or is_cut:
        return None
    marked = explicit(text)
    heads = [bool(LABEL.match(bare_text(line))) for line in lines]
    if heads[-1] and sum(heads[-4:]) > 1:
        return None  # goes through the options one by one
    letter = _labelled_line(lines[-1], options) or _only_label(pieces[0])
    if not letter and heads[0] and sum(heads) == 1:  # and then an explanation
        letter = _labelled_line(lines[0], options)
    if not letter and marked and marked.answer.islower():
        letter = _only_label(marked.answer)
    if letter:
        return Found(letter, "letter", 0)
    if said := statements(pieces[-1], options):
        return Found(said[-1].answer, "letter", 0)
    letter = at_end(lines[-1], options) or at_end(pieces[-1], options)
    letter = letter or only_named(pieces[-1], options)
    return Found(letter, "option_text", 0) if letter else None


def stated_choice(text: str, options: Options) -> Found | None:
    """Return the last letter that a text states as its answer and does not take back."""
    found: Found | None = None
    for whole in sentences(spoken(text[-MAX_TEXT:]))[-MAX_PIECES:]:
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


def _ticked(lines: list[str], options: Options) -> str | None:
    """The only option that is said to be right where a line each says right or wrong."""
    verdicts: dict[str, bool] = {}
    for line in lines:
        plain = bare_text(line[:MAX_PIECE])
        if not (label := LABEL.search(plain)) or len(plain[: label.start()].split()) > 1:
            continue
        letter, after = label_of(label), plain[label.end() :]
        rest = beyond(after, options.get(letter, "")) or after
        *words, last = rest.split() or [""]
        if len(words) >= MAX_VERDICT:  # a verdict and its grounds, or the other way round
            first = _GROUND.split(rest.lstrip(" -–—:."), maxsplit=1)[0]
            rest = last if last in ("wrong", "correct") else first
        said = f"{plain[: label.start()]} {rest}"
        is_wrong = has("wrong", said)
        if len(said.split()) <= MAX_VERDICT and (is_wrong or has("right", said)):
            verdicts[letter] = not is_wrong
    right = [letter for letter, is_right in verdicts.items() if is_right]
    return right[0] if len(verdicts) > 2 and len(right) == 1 else None


def _only_label(text: str) -> str | None:
    """The letter of a text that is nothing but a label."""
    alone = _LABEL_ALONE.fullmatch(bare_text(text)) if len(text) < 200 else None
    return alone[1].upper() if alone else None


def _labelled_line(text: str, options: Options) -> str | None:
    """The letter that a line starts with, if what follows is its option or says nothing else."""
    plain = bare_text(text[: 2 * MAX_PIECE])
    match = LABEL.match(plain, end_of(_LINE_LEAD, plain))
    if not match:
        return None
    letter, after = label_of(match), plain[match.end() :]
    rest = beyond(after, options.get(letter, ""))
    if rest is None:
        is_marked = match["dressed"] or after.lstrip()[:1] in (*").:,-–(",)
        if not is_marked and after[:1] == " ":
            return None
        rest = _SENTENCE_END.split(after.lstrip(").: "), maxsplit=1)[0]
    return None if denies("", rest) or LABEL.search(rest) else letter
