r"""Which option a response to a multiple-choice question commits to.

Each sentence or line is read for its labels, and each label for what is said of it: that it is the
answer, that it is not, or nothing (it is only mentioned or compared). The last statement that names
one option counts, unless it is taken back. In the last sentence less is enough: a line with only a
label, or a label with the text of its option, or that text alone. Knows the option texts it is
given, possibly not all.
"""

from __future__ import annotations

import re

from lm_eval_tts.grading.boxes import Found, boxes
from lm_eval_tts.grading.extraction import concluded, explicit, says_something
from lm_eval_tts.grading.labels import (
    BUT_WRONG,
    LABEL,
    REFUTED,
    Mention,
    after_own_text,
    label_of,
    starts_with_own_text,
    statements,
    without_idioms,
)
from lm_eval_tts.grading.lexicon import has, pattern, phrases
from lm_eval_tts.grading.options import Options, at_end, bare_text, only_named, option_of, similar
from lm_eval_tts.grading.parts import Parts
from lm_eval_tts.grading.segments import sentences, spoken

MAX_TEXT = 20_000  # characters at the end of a text that are looked at
MAX_PIECES = 150  # sentences at the end of it
MAX_PIECE = 1_000
MAX_VERDICT = 4  # words that say of an option that it is right or wrong

_LEAD_WORDS = pattern(
    r"(?:[\W_]|\\to|<so>[\s,:]|(?:it's|its|it is|i think|i believe)\s)*(?<![(\[])"
)
_TICK_WORDS = dict.fromkeys((*"❌✗✘☐", "[ ]"), " wrong ")
_TICK_WORDS |= dict.fromkeys((*"✅✓✔☑", "[x]"), " correct ")
_TICKS = re.compile("|".join(map(re.escape, _TICK_WORDS)), re.I)
_GROUND = pattern(r"[(,–—]|\s-\s|\b(?:for|because|since)\b")
_NOTHING = pattern(r"(?:<option|answer|filler|final>|[\W_])*")
_REASON = pattern(r"\s(?:because|since|due)\b")
_MIGHT = pattern(r"\W*(?:might|may|could|was|were)\b")
_LABEL_ALONE = pattern(r"(?:<option|answer|final|is>|[\W_])*?([A-J])[\W_]*")
_LINE_LEAD = pattern(r"[\W_]*?(?:<option|so>[\s,:]*)?(?=[(\[]?[A-J])")


def find_choice(parts: Parts, options: Options | None, is_cut: bool) -> Found | None:
    """Return the letter that a response commits to."""
    options = {letter.upper(): text for letter, text in (options or {}).items()}
    tagged = [answer for answer in parts.answers if answer.strip()]
    if tagged:
        stated = stated_choice(parts.after, options) or _in_tag(tagged[-1], options)
        return stated or _behind(parts, options)
    if parts.open_thinking.strip():
        sentence = concluded(parts.open_thinking)
        return _thinking(_in_tag(sentence.answer, options) if sentence else None)
    if says_something(parts.before):
        return _in_text(parts.before, options, is_cut) or _behind(parts, options)
    return _thinking(stated_choice(parts.thinking, options))


def _behind(parts: Parts, options: Options) -> Found | None:
    """What the thinking states, where the rest does nothing but refute other options."""
    rest = f"{parts.before}\n{parts.after}"[-2 * MAX_PIECE :]
    if has("refusal", rest) or _taken_back(rest) or not (parts.answers or LABEL.search(rest)):
        return None
    return _thinking(stated_choice(f"{parts.thinking}\n{parts.before}", options))


def _thinking(found: Found | None) -> Found | None:
    return found._replace(source="thinking") if found else None


def _in_tag(content: str, options: Options) -> Found | None:
    content = content.strip()
    if letter := _only_label(content):
        return Found(letter, "answer_tag", 0)
    if letter := option_of(content, options):
        return Found(letter, "option_text", 0)
    if letter := _labelled_line(content, options):
        return Found(letter, "answer_tag", 0)
    found = _in_text(content, options, is_cut=False)
    return found._replace(source="answer_tag") if found else None


def _in_text(text: str, options: Options, is_cut: bool) -> Found | None:
    text = _TICKS.sub(lambda m: _TICK_WORDS[m[0].lower()], spoken(text[-MAX_TEXT:]))
    if letter := _ticked(text.split("\n"), options):
        return Found(letter, "letter", 0)
    if stated := stated_choice(text, options):
        return stated
    pieces = [piece[-MAX_PIECE:] for piece in sentences(text) if says_something(piece)]
    lines = [line[-2 * MAX_PIECE :] for line in text.split("\n") if says_something(line)]
    if not pieces or is_cut:
        return None
    if has("refusal", pieces[-1]):  # of all, or the option that says "none of the above"
        last = bare_text(pieces[-1]).casefold().rstrip(".!")
        none = (k for k, v in options.items() if has("refusal", v) and v.strip(". "))
        letter = next((k for k in none if last.endswith(options[k].casefold().strip(". "))), None)
        return Found(letter, "option_text", 0) if letter else None
    if letter := _only_label(lines[-1]):
        return Found(letter, "letter", 0)
    if not _enumerates(lines) and (letter := _labelled_line(lines[-1], options)):
        return Found(letter, "letter", 0)
    heads = [line for line in lines if LABEL.match(bare_text(line))]
    is_head = heads[:1] == lines[:1] and len(heads) == 1 < len(lines)  # then an explanation
    letter = _labelled_line(lines[0], options) if is_head else None
    letter = letter or (_only_label(pieces[0]) if pieces[0][-1] != "?" else None)
    if letter:
        return Found(letter, "letter", 0)
    if _enumerates(lines) and heads[-1] == lines[-1]:
        return None
    marked = explicit(text)
    if marked and marked.answer.islower() and (letter := _only_label(marked.answer)):
        return Found(letter, "letter", 0)
    candidates = (lines[-1], pieces[-1], marked.answer if marked else "")
    if letter := next(filter(None, (option_of(text, options) for text in candidates)), None):
        return Found(letter, "option_text", 0)
    if said := statements(pieces[-1], options):
        return Found(said[-1].letter, "letter", 0)
    letter = next(filter(None, (at_end(text, options) for text in candidates)), None)
    if not letter and pieces[-1][-1] in ".!":
        letter = only_named(pieces[-1], options)
    return Found(letter, "option_text", 0) if letter else None


def stated_choice(text: str, options: Options) -> Found | None:
    """Return the last letter that a text states as its answer and does not take back."""
    found: Found | None = None
    for whole in sentences(spoken(text[-MAX_TEXT:]))[-MAX_PIECES:]:
        piece = whole[-MAX_PIECE:]
        if found and (taken := _taken_back(piece)):
            piece, found = taken, None
        if letters := [s.letter for s in statements(piece, options) if s.is_sure]:
            found = Found(letters[-1], "phrase", 0)
        elif found and has("refusal", piece):
            found = None
        for content in boxes(piece):
            if letter := _only_label(content) or _labelled_line(content, options):
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
    for line in filter(says_something, lines):
        plain = bare_text(line[:MAX_PIECE])
        if not (label := LABEL.search(plain)) or len(plain[: label.start()].split()) > 1:
            continue
        letter = label_of(label)
        rest = after_own_text(Mention(letter, "", plain[label.end() :]), options)
        said = f"{plain[: label.start()]} {_GROUND.split(rest.lstrip(' -–—:'), maxsplit=1)[0]}"
        is_wrong = has("wrong", said)
        if len(said.split()) <= MAX_VERDICT and (is_wrong or has("right", said)):
            verdicts[letter] = not is_wrong
    right = [letter for letter, is_right in verdicts.items() if is_right]
    return right[0] if len(verdicts) > 2 and len(right) == 1 else None


def _enumerates(lines: list[str]) -> bool:
    """Whether the last lines go through the options one by one."""
    heads = [LABEL.match(bare_text(line)) for line in lines[-4:]]
    return len({label_of(head) for head in heads if head}) > 1


def _only_label(text: str) -> str | None:
    """The letter of a text that is nothing but a label."""
    if len(text) > 200:
        return None
    plain = bare_text(text)
    lead = _LEAD_WORDS.match(plain)
    plain = plain[lead.end() if lead else 0 :]
    labels = list(LABEL.finditer(plain))
    if len(labels) != 1:
        lone = _LABEL_ALONE.fullmatch(plain)
        return lone[1].upper() if lone else None
    is_alone = _NOTHING.fullmatch(plain, 0, labels[0].start())
    return (
        label_of(labels[0]) if is_alone and not says_something(plain[labels[0].end() :]) else None
    )


def _labelled_line(text: str, options: Options) -> str | None:
    """The letter that a line starts with, if what follows is its option or says nothing else."""
    plain = bare_text(text[: 2 * MAX_PIECE])
    lead = _LINE_LEAD.match(plain)
    match = LABEL.match(plain, lead.end() if lead else 0)
    if not match:
        return None
    letter, after = label_of(match), plain[match.end() :]
    mention = Mention(letter, "", after)
    if starts_with_own_text(mention, options):
        rest = after_own_text(mention, options)
        is_refuted = any(has(group, rest) for group in ("not", "wrong", "hedge"))
        return None if is_refuted or LABEL.search(rest) or _MIGHT.match(rest) else letter
    following = after.lstrip()[:2]
    is_marked = match["dressed"] or after[:1] in (*").:,",) or following[:1] == "("
    is_marked = is_marked or following in ("- ", "– ")
    goes_on = (
        after[:1] == " "
        and not _REASON.match(after)
        and (after[1:2].islower() or after[1:2] in (*"=<>+",))
    )
    if not is_marked and (goes_on or letter == "A"):
        return None
    sentence = re.split(r"[.!?]\s+(?=[A-Z(])|\n", after.lstrip(").: "), maxsplit=1)[0]
    is_hedged = "would" in sentence and has("hedge", without_idioms(sentence))
    others = {label_of(m) for m in LABEL.finditer(sentence)} - {letter}
    if (
        others
        or is_hedged
        or _MIGHT.match(sentence)
        or REFUTED.match(sentence)
        or BUT_WRONG.search(sentence)
        or after.startswith("?")
    ):
        return None
    conflicts = (
        is_marked
        and len(options) > 2
        and not similar(sentence, options.get(letter, sentence))
        and option_of(sentence, options) not in (None, letter)
    )
    return None if conflicts else letter
