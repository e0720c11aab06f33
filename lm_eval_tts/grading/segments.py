"""Splits a text into sentences, without markup. Knows layout only: lines, bullets, formulas."""

from __future__ import annotations

import re
import unicodedata

from lm_eval_tts.grading.tokens import currency

# A formula that is a sentence: \[ \text{The answer is } (B) \]
_SPOKEN = re.compile(r"\\(?:text\w*|mbox)\s*\{([^{}]*[^\W\d_]{2}\s[^{}]*)\}")
_COLON = re.compile(r":[ \t*]*\n\s*")
_ABBREVIATION = re.compile(r"\b(Mr|Mrs|Ms|Dr|St|vs|approx|i\.e|e\.g|Ans|Eq|Fig|No)\.")
_END = re.compile(
    # after a word, since 5! is a factorial
    r"(?:(?<=[.?])|(?<=[a-z]!)|(?<=\d!)(?= [A-Z][a-z]))[*)\"'$\]\\]*\s+"
    r"(?=[A-Z\\$*(#\d\"'-]|[^\x00-\x7f])"
    r"|(?<=[。！？])|(?<=[\u2e80-\u9fff][.!?])(?=\S)|\n+"
)
_DRESS = re.compile(
    r"~~(?=\S)[^~\n]{1,200}~~|<(del|strike)>[^<]{0,200}</\1>|\\(?:[bx]?cancel|sout)\{[^{}]{0,200}\}"
    r"|</?(?:b|i|u|em|strong|mark|span|font|center|big|div|p|h[1-6])(?:\s[^<>]{0,80})?>",
    re.I,
)
_BOLD = re.compile(  # 2**3 stays a power
    r"(?<!\w)\*\*|\*\*(?![\d(])|__(?=\S)|(?<=\S)__|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])"
)


def says_something(text: str) -> bool:
    """Say whether there are letters or digits in a text."""
    return any(c.isalnum() for c in text)


def sentences(text: str) -> list[str]:
    """Split a text into sentences and lines; what a colon announces belongs to it."""
    text = _COLON.sub(": ", text)
    text = _ABBREVIATION.sub(r"\1", text)
    return [piece.strip() for piece in _END.split(text) if piece.strip(" *#-_\n\t`>|")]


def unmarked(text: str) -> str:
    """Return a sentence without markdown and symbols that only decorate."""
    if "*" in text or "_" in text:
        text = _BOLD.sub("", text)
    if not text.isascii():
        text = "".join(c for c in text if unicodedata.category(c) != "So" or c == "°")
    return text.replace("`", "").strip().lstrip("#> ")


def undressed(text: str) -> str:
    """Return a text without what is struck out, and without the HTML tags of fonts."""
    return _DRESS.sub("", text)


def spoken(text: str) -> str:
    r"""Return a text with sentences in formulas as plain ones: \text{The answer is } (B)."""
    return _SPOKEN.sub(r" \1 ", text)


def plain(text: str) -> str:
    """Return a claim without the punctuation after it and the signs that only delimit formulas."""
    stripped = text.rstrip(".,;: ")
    return shown(stripped, 0, len(stripped))


def shown(text: str, start: int, end: int) -> str:
    """Return a part of a text without the dollar signs that only delimit formulas."""
    part = text[start:end]
    money = currency(text) if "$" in part else ()
    kept = (c for i, c in enumerate(part, start) if c != "$" or i in money or text[i - 1] == "\\")
    return "".join(kept).strip()
