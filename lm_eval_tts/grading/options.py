"""The texts of the options of a question: which of them a text is, up to spelling and value."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lm_eval_tts.grading.claims import committed
from lm_eval_tts.grading.cursor import FIRST_IDEOGRAM
from lm_eval_tts.grading.equality import matches
from lm_eval_tts.grading.expressions import runs
from lm_eval_tts.grading.lexicon import has, pattern
from lm_eval_tts.grading.segments import unmarked
from lm_eval_tts.grading.tokens import tidy

MAX_OPTION = 5_000  # characters of an option's text
MIN_FUZZY = 20  # characters from which one letter more or less may be a slip of spelling
MIN_TAIL = 4  # characters of an option's text that count as one at the end of a sentence
Options = Mapping[str, str]  # the texts of the letters that are known

_TEX = re.compile(
    r"\\(?:text|math)\w*\s*\{([^{}]*)\}|\\f?box(?:ed)?\s*\{([^{}]*)\}"
    r"|\\[()\[\]]|\\q?quad|\\ |[$\"“”]"
)
_IS = pattern(r"(?:<is>|:)\s+(?:(?:an?|the)\s+)?")
_YES = pattern(r"^\s*(?:yes|no|so|thus|therefore)\s*[,:]\s*")
_ARTICLE = re.compile(r"(?i)^(?:an?|the)\s+")
_ORDINALS = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1}
_ORDINAL = pattern(rf"\b({'|'.join(_ORDINALS)})\s+(?:option|choice|answer)\b")
# What follows says more of what was claimed, or compares it.
_AFTER_CLAIM = pattern(
    r",?\s+(?:which|who|whose|followed by|rather than|unlike|partly|in response to|more than"
    r"|less than)\b|,\s+not\b"
)
_SPACING = re.compile(r"[\s.,;:!?*_$\"'`\\{}]+")


def bare_text(text: str) -> str:
    """Return a sentence without markup, fonts and delimiters of formulas."""
    plain = text
    for _ in range(2):
        plain = _TEX.sub(lambda m: f" {m[1] or m[2] or ''} ", plain)
    return " ".join(unmarked(tidy(plain)).split())


def similar(text: str, option: str) -> bool:
    """Say whether one of two texts is in the other."""
    return squeezed(option) in squeezed(text) or squeezed(text) in squeezed(option)


def squeezed(text: str, *, fold: bool = True) -> str:
    """Return a text without spaces and punctuation, and small letters if fold."""
    plain = _SPACING.sub("", tidy(text))
    return plain.casefold() if fold else plain


def at_end(text: str, options: Options) -> str | None:
    """The option whose text a sentence ends with, or the second option and the like."""
    sentence = _AFTER_CLAIM.split(bare_text(text), maxsplit=1)[0]
    whole = squeezed(_ARTICLE.sub("", sentence))
    is_praised = has("right", sentence) and not has("wrong", sentence)
    found = [
        letter
        for letter, option in options.items()
        if _width(own := squeezed(_ARTICLE.sub("", option))) >= MIN_TAIL
        and (whole.endswith(own) or (is_praised and whole.startswith(own)))
        and any(c.isalpha() for c in option)
    ]
    letter = max(found, key=lambda letter: len(options[letter]), default=None)
    own = bare_text(options[letter]).casefold() if letter else ""
    said = (
        sentence.casefold().rpartition(own)[0] if own and own in sentence.casefold() else sentence
    )
    if any(has(group, said) for group in ("not", "hedge", "working")):
        return None
    if letter:
        return letter
    if ordinal := _ORDINAL.search(sentence):
        return sorted(options)[_ORDINALS[ordinal[1].lower()]] if len(options) >= 4 else None
    claim = committed(sentence, loosely=False)
    return _by_value(claim.answer, options) if claim and runs(claim.answer) else None


def _width(text: str) -> int:
    """The length of a text in letters; an ideogram is two."""
    return len(text) + sum(c >= FIRST_IDEOGRAM for c in text)


def only_named(text: str, options: Options) -> str | None:
    """The only option whose text is in a sentence that asserts something."""
    sentence = bare_text(text)
    if any(has(group, sentence) for group in ("not", "hedge", "working", "wrong")):
        return None
    named = [
        letter
        for letter, option in options.items()
        if _width(own := bare_text(option)) >= MIN_TAIL
        and re.search(rf"(?<!\w){re.escape(own)}(?!\w)", sentence, re.I)
    ]
    return named[0] if len(named) == 1 and " would " not in sentence else None


def option_of(text: str, options: Options) -> str | None:
    """The option whose text this is, up to spelling; numbers by their value."""
    if not text.strip() or len(text) > MAX_OPTION:
        return None
    plain = unmarked(text)
    candidates = (plain, _YES.sub("", plain), *(_IS.split(plain, maxsplit=n)[-1] for n in (0, 1)))
    for fold in (False, True):
        texts = list(filter(None, (squeezed(candidate, fold=fold) for candidate in candidates)))
        for letter, option in options.items():
            is_formula = fold and any(c in option for c in "\\^=")
            if squeezed(option, fold=fold) in texts and not is_formula:
                return letter
    whole = squeezed(plain, fold=False)
    for letter, option in options.items():
        if len(whole) >= MIN_FUZZY and _one_letter_apart(whole, squeezed(option, fold=False)):
            return letter
    return _by_value(plain, options) if len(plain) < 200 else None


def _by_value(text: str, options: Options) -> str | None:
    """The only option of this value."""
    numeric = (o for o in options.items() if len(o[1]) < 100 and any(c.isdigit() for c in o[1]))
    found = [letter for letter, option in numeric if matches(text, option)]
    return found[0] if len(found) == 1 else None


def _one_letter_apart(a: str, b: str) -> bool:
    """Whether one has one letter more than the other; digits and signs must be the same."""
    longer, shorter = sorted((a, b), key=len, reverse=True)
    if len(longer) != len(shorter) + 1:
        return False
    same = (x == y for x, y in zip(longer, f"{shorter} ", strict=True))
    at = next((place for place, is_same in enumerate(same) if not is_same), len(shorter))
    return longer[at].isalpha() and longer[at + 1 :] == shorter[at:]
