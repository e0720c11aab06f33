r"""Which option a response to a multiple-choice question commits to.

Each sentence or line is read to its labels, and each label to what is said of it: that it is the
answer, that it is not, or nothing (it is only mentioned or compared). The last statement that names
one option counts, unless it is taken back. In the last sentence less is enough: a line that is only
a label, or a label with the text of its option, or that text alone.
Knows the option texts it is given, possibly not all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lm_eval_tts.grading.boxes import Found, boxes
from lm_eval_tts.grading.extraction import concluded, explicit, says_something
from lm_eval_tts.grading.options import at_end, bare_text, option_of, similar
from lm_eval_tts.grading.parts import Parts
from lm_eval_tts.grading.phrases import alternatives, has, phrases
from lm_eval_tts.grading.segments import sentences, spoken
from lm_eval_tts.grading.statements import LABEL, REFUTED, Mention, starts_with_own_text, statements

MAX_TEXT = 20_000  # characters at the end of a text that are looked at
MAX_PIECES = 150  # sentences at the end of it
MAX_PIECE = 1_000

_LEADING_WORDS = re.compile(
    rf"(?:[\W_]|\\to|(?:{alternatives('so')})[\s,:]|(?:it's|its|it is|i think|i believe)\s)*", re.I
)


def find_choice(parts: Parts, options: Mapping[str, str] | None, is_cut: bool) -> Found | None:
    """Return the letter that a response commits to."""
    options = {letter.upper(): text for letter, text in (options or {}).items()}
    tagged = [answer for answer in parts.answers if answer.strip()]
    if tagged:
        stated = stated_choice(parts.after, options) or _in_tag(tagged[-1], options)
        return stated or _behind(parts, options)
    if says_something(parts.before):
        if parts.open_thinking.strip():
            return _thinking(_concluded(parts.open_thinking, options))
        return _in_text(parts.before, options, is_cut) or _behind(parts, options)
    if parts.open_thinking:
        return _thinking(_concluded(parts.open_thinking, options))
    return _thinking(stated_choice(parts.thinking, options))


def _behind(parts: Parts, options: Mapping[str, str]) -> Found | None:
    """What the thinking states, where the rest does nothing but refute other options."""
    rest = f"{parts.before}\n{parts.after}"[-2 * MAX_PIECE :]
    if has("refusal", rest) or _takes_back(rest) or not (parts.answers or LABEL.search(rest)):
        return None
    found = stated_choice(f"{parts.thinking}\n{parts.before}", options)
    return _thinking(found)


def _thinking(found: Found | None) -> Found | None:
    return found._replace(source="thinking") if found else None


def _concluded(text: str, options: Mapping[str, str]) -> Found | None:
    sentence = concluded(text)
    return _in_tag(sentence.answer, options) if sentence else None


def _in_tag(content: str, options: Mapping[str, str]) -> Found | None:
    content = content.strip()
    if letter := _only_label(content, options):
        return Found(letter, "answer_tag", 0)
    if letter := option_of(content, options):
        return Found(letter, "option_text", 0)
    if letter := _labelled_line(content, options, is_last=True):
        return Found(letter, "answer_tag", 0)
    found = _in_text(content, options, is_cut=False)
    return found._replace(source="answer_tag") if found else None


def _in_text(text: str, options: Mapping[str, str], is_cut: bool) -> Found | None:
    text = spoken(text[-MAX_TEXT:])
    pieces = [piece[-MAX_PIECE:] for piece in sentences(text) if any(c.isalnum() for c in piece)]
    if stated := stated_choice(text, options):
        return stated
    lines = [line[-2 * MAX_PIECE :] for line in text.split("\n") if any(c.isalnum() for c in line)]
    if not pieces or is_cut or has("refusal", pieces[-1]):
        return None
    if letter := _only_label(lines[-1], options) or _labelled_line(
        lines[-1], options, is_last=not _enumerates(lines)
    ):
        return Found(letter, "letter", 0)
    marked = explicit(text)
    for candidate in (lines[-1], pieces[-1], marked.answer if marked else ""):
        if letter := option_of(candidate, options) or at_end(candidate, options):
            return Found(letter, "option_text", 0)
    found = statements(pieces[-1], options)
    return Found(found[-1].letter, "letter", 0) if found else None


def stated_choice(text: str, options: Mapping[str, str]) -> Found | None:
    """Return the last letter that a text states as its answer and does not take back."""
    text = spoken(text[-MAX_TEXT:])
    found: Found | None = None
    for whole in sentences(text)[-MAX_PIECES:]:
        piece = whole[-MAX_PIECE:]
        letters = [s.letter for s in statements(piece, options) if s.is_sure]
        if letters:
            found = Found(letters[-1], "phrase", 0)
        elif found and not letters and (has("refusal", piece) or _takes_back(piece)):
            found = None
        for content in boxes(piece):
            if letter := _only_label(content, options) or _labelled_line(
                content, options, is_last=True
            ):
                found = Found(letter, "boxed", 0)
    return found


def _takes_back(piece: str) -> bool:
    plain = bare_text(piece)
    return bool(phrases("retract").search(plain)) and not LABEL.search(plain)


def _enumerates(lines: list[str]) -> bool:
    """Whether the last lines go through the options one by one."""
    heads = [
        m.group("dressed") or m.group("bare")
        for line in lines[-4:]
        if (m := LABEL.match(bare_text(line)))
    ]
    return len(set(heads)) > 1


def _only_label(text: str, options: Mapping[str, str]) -> str | None:
    """The letter of a text that is nothing but a label."""
    if len(text) > 200:
        return None
    plain = bare_text(text)
    lead = _LEADING_WORDS.match(plain)
    end = lead.end() if lead else 0
    plain = plain[end - (plain[end - 1 : end] in ("(", "[")) :]
    matches = list(LABEL.finditer(plain))
    if len(matches) != 1:
        single = re.fullmatch(r"\W*([A-Ja-j])\W*", plain)
        return single.group(1).upper() if single else None
    letter = matches[0].group("dressed") or matches[0].group("bare")
    before, after = plain[: matches[0].start()], plain[matches[0].end() :]
    rest = re.sub(
        rf"(?:{alternatives('option', 'answer', 'filler', 'final')}|[\W_])+", "", before, flags=re.I
    )
    return letter.upper() if not rest and not any(c.isalnum() for c in after) else None


def _labelled_line(text: str, options: Mapping[str, str], is_last: bool) -> str | None:
    """The letter that a line starts with, if what follows is its option or says nothing else."""
    plain = bare_text(text[: 2 * MAX_PIECE])
    lead = re.match(
        rf"[\W_]*?(?:(?:{alternatives('option', 'so')})[\s,:]*)?(?=[(\[]?[A-J])", plain, re.I
    )
    match = LABEL.match(plain, lead.end() if lead else 0)
    if not match:
        return None
    letter = (match.group("dressed") or match.group("bare")).upper()
    after = plain[match.end() :]
    delimited = (
        match.group("dressed")
        or after[:1] in (")", ".", ":", ",")
        or re.match(r"\s*[-–]\s|\s*\(", after)
    )
    if starts_with_own_text(Mention(letter, "", after, True), options):
        return letter if is_last else None
    if not delimited and (re.match(r"\s+[a-z=<>+]", after) or letter == "A"):
        return None
    sentence = re.split(r"[.!?]\s+(?=[A-Z(])|\n", after.lstrip(").: "), maxsplit=1)[0]
    if REFUTED.match(sentence) or not is_last or after.startswith("?"):
        return None
    if has("hedge", phrases("idiom").sub("", sentence)) and "would" in sentence:
        return None
    others = {m.group("dressed") or m.group("bare") for m in LABEL.finditer(sentence)}
    known = options.get(letter)
    conflicts = (
        known is not None
        and len(options) > 2
        and delimited
        and not similar(sentence, known)
        and option_of(sentence, options) not in (None, letter)
    )
    return None if conflicts or any(o.upper() != letter for o in others) else letter
