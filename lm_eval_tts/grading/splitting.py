"""Splits a text into sentences. Knows layout only: lines, bullets, displayed formulas."""

from __future__ import annotations

import re

_ALIGNED = re.compile(
    r"\\begin\{(align|aligned|split|equation|gather|eqnarray)\*?\}(.*?)\\end\{\1\*?\}", re.S
)
_INNER = re.compile(r"\\(?:begin|end)\{(?:aligned|split|gathered)\}")
_RELATION = re.compile(r"&\s*(?:=|\\equiv|\\Rightarrow|\\implies)&?")
_DISPLAY = re.compile(r"\\\[\s*(.*?)\s*\\ ?\]", re.S)
_DOLLARS = re.compile(r"\$\$\s*([^$]*?)\s*\$\$")
_COLON = re.compile(r":[ \t*]*\n\s*")
_BULLET = re.compile(r"(?m)^[ \t]*- ")
_ABBREVIATION = re.compile(r"\b(Mr|Mrs|Ms|Dr|St|vs|approx|i\.e|e\.g)\.")
_END = re.compile(
    r"(?:(?<=[.?])|(?<=[a-z]!))[*)\"'$\]\\]*\s+(?=[A-Z\\$*(#\d\"'-])|\n+"  # 5! is a factorial
)


def sentences(text: str) -> list[str]:
    """Split a text into sentences; a formula on lines of its own belongs to the sentence before."""
    text = _INNER.sub(" ", _ALIGNED.sub(_last_row, text))
    text = _DISPLAY.sub(lambda m: f"\\[{' '.join(m.group(1).split())}\\]", text)
    text = _DOLLARS.sub(lambda m: f"$${' '.join(m.group(1).split())}$$", text)
    text = _COLON.sub(": ", text)
    if len(_BULLET.findall(text)) > 1:
        text = _BULLET.sub("", text)  # bullets, not signs
    text = _ABBREVIATION.sub(r"\1", text)
    return [piece.strip() for piece in _END.split(text) if piece.strip(" *#-_\n\t`")]


def _last_row(match: re.Match[str]) -> str:
    """What an aligned chain of equations comes to."""
    row = _RELATION.split(match.group(2))[-1].replace("&", " ")
    return f" {row} " if match.group(1) in ("aligned", "split") else f"\\[{row}\\]"
