"""The options of a multiple-choice question: which of them a text is, up to spelling and value."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lm_eval_tts.grading.claims import committed
from lm_eval_tts.grading.equality import matches
from lm_eval_tts.grading.expressions import runs
from lm_eval_tts.grading.phrases import alternatives, has
from lm_eval_tts.grading.segments import unmarked
from lm_eval_tts.grading.tokens import tidy

MAX_OPTION = 5_000  # characters of an option's text
MIN_FUZZY = 20  # characters from which one letter more or less may be a slip of spelling
MIN_TAIL = 4  # characters of an option's text that count as one at the end of a sentence

TEX_COMMANDS = re.compile(
    r"\\(?:text|math)\w*\s*\{([^{}]*)\}|\\f?box(?:ed)?\s*\{([^{}]*)\}"
    r"|\\[()\[\]]|\\qquad|\\quad|\\ |\$|[\"“”]"
)
_IS = re.compile(rf"(?:{alternatives('is')}|:)\s+(?:(?:an?|the)\s+)?", re.I)
_ORDINALS = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1}


def bare_text(text: str) -> str:
    """Return a sentence without markup, fonts and delimiters of formulas."""
    plain = text
    for _ in range(2):
        plain = TEX_COMMANDS.sub(lambda m: f" {m.group(1) or m.group(2) or ''} ", plain)
    return " ".join(unmarked(tidy(plain)).split())


def similar(text: str, option: str) -> bool:
    """Say whether one of two texts is in the other."""
    return squeezed(option) in squeezed(text) or squeezed(text) in squeezed(option)


def at_end(text: str, options: Mapping[str, str]) -> str | None:
    """The option whose text a sentence ends with, or the second option and the like."""
    sentence = bare_text(text)
    if not sentence or has("not", sentence) or has("hedge", sentence):
        return None
    tail = squeezed(sentence)
    found = [
        letter for letter, option in options.items()
        if len(squeezed(option)) >= MIN_TAIL
        and tail.endswith(squeezed(option))
        and any(c.isalpha() for c in option)
    ]  # fmt: skip
    if found:
        return max(found, key=lambda letter: len(options[letter]))
    if ordinal := re.search(
        rf"\b({'|'.join(_ORDINALS)})\s+(?:option|choice|answer)\b", sentence, re.I
    ):
        letters = sorted(options)
        return letters[_ORDINALS[ordinal.group(1).lower()]] if len(letters) >= 4 else None
    if (claim := committed(sentence, loosely=False)) and runs(claim.answer):
        return by_value(claim.answer, options)
    return None


def option_of(text: str, options: Mapping[str, str]) -> str | None:
    """The option whose text this is, up to spelling; numbers by their value."""
    if not text.strip() or len(text) > MAX_OPTION:
        return None
    plain = unmarked(text)
    predicates = [_IS.split(plain, maxsplit=n)[-1] for n in (0, 1)]
    without_yes = re.sub(r"^\s*(?:yes|no|so|thus|therefore)\s*[,:]\s*", "", plain, flags=re.I)
    for fold in (False, True):
        for candidate in (plain, without_yes, *predicates):
            for letter, option in options.items():
                bare = squeezed(candidate, fold=fold)
                if (
                    bare
                    and bare == squeezed(option, fold=fold)
                    and not (fold and re.search(r"[\\^=]", option))
                ):
                    return letter
    candidate = squeezed(plain, fold=False)
    for letter, option in options.items():
        if len(candidate) >= MIN_FUZZY and one_letter_apart(
            candidate, squeezed(option, fold=False)
        ):
            return letter
    return by_value(plain, options) if len(plain) < 200 else None


def by_value(text: str, options: Mapping[str, str]) -> str | None:
    """Return the only option of this value."""
    numeric = [
        letter
        for letter, option in options.items()
        if any(c.isdigit() for c in option) and len(option) < 100
    ]
    found = [letter for letter in numeric if matches(text, options[letter])]
    return found[0] if len(found) == 1 else None


def squeezed(text: str, *, fold: bool = True) -> str:
    """Return a text without spaces and punctuation, and small letters if fold."""
    plain = re.sub(r"[\s.,;:!?*_$\"'`\\{}]+", "", tidy(text))
    return plain.casefold() if fold else plain


def one_letter_apart(a: str, b: str) -> bool:
    """Whether one has one letter more than the other; digits and signs must be the same."""
    longer, shorter = sorted((a, b), key=len, reverse=True)
    if len(longer) != len(shorter) + 1:
        return False
    at = next(
        (i for i, (x, y) in enumerate(zip(longer, shorter, strict=False)) if x != y), len(shorter)
    )
    return longer[at].isalpha() and longer[at + 1 :] == shorter[at:]
