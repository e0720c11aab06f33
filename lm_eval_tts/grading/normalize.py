"""Cleans a short answer: one spelling for each sign, no layout, no markup, no unit.

Knows notation only; it does not know what an answer means. Every rule here is a table or a
regular expression whose time is linear in the text, and texts are cut to `MAX_LENGTH` first.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from lm_eval_tts.grading.words import spelled_number, spelled_set

MAX_LENGTH = 2_000

SIGNS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-",
    "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "∙": "\\cdot ", "∗": "*", "÷": "/", "∕": "/",
    "⁄": "/", "≤": "\\le ", "⩽": "\\le ", "≥": "\\ge ", "⩾": "\\ge ",
    "≠": "\\ne ", "≈": "\\approx ",
    "∞": "\\infty ", "π": "\\pi ", "√": "\\sqrt ", "∛": "\\sqrt[3] ", "∪": "\\cup ", "∈": "\\in ",
    "°": "^\\circ ", "º": "^\\circ ", "±": "\\pm ", "θ": "\\theta ", "∅": "\\emptyset ",
    "⟨": "\\langle ",
    "⟩": "\\rangle ", "’": "'", "‘": "'", "“": '"', "”": '"', "，": ",", "％": "%", "＝": "=",
    "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}", "¼": "\\frac{1}{4}",
    "¾": "\\frac{3}{4}", "…": "\\dots ", "∧": "^",
}  # fmt: skip
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n", strict=True))
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))

# Names of units by the unit they stand for, so that "5 cm" and "5 m" differ; other words after a
# number are dropped.
UNITS = {
    name: unit
    for unit, names in {
        "cent": "cent cents ¢",
        "dollar": "dollar dollars usd",
        "mm": "mm millimeter millimeters millimetre millimetres",
        "cm": "cm centimeter centimeters centimetre centimetres",
        "m": "m meter meters metre metres",
        "km": "km kilometer kilometers kilometre kilometres",
        "inch": "inch inches",
        "foot": "ft foot feet",
        "yard": "yd yard yards",
        "mile": "mi mile miles",
        "second": "s sec second seconds",
        "minute": "min mins minute minutes",
        "hour": "h hr hrs hour hours",
        "day": "day days",
        "week": "week weeks",
        "month": "month months",
        "year": "year years yr yrs",
        "gram": "g gram grams",
        "kilogram": "kg kilogram kilograms",
        "degree": "deg degree degrees",
        "radian": "rad radian radians",
        "percent": "percent",
    }.items()
    for name in names.split()
}
UNIT_MODIFIERS = {"square", "cubic", "sq", "cu", "per", "units", "unit"}
LETTER_UNITS = set("mshgLNJWVAKCF")
LEADING = {
    "approximately", "about", "exactly", "roughly", "interval", "answer", "total", "only", "just",
    "the", "a", "an", "yes", "equals", "is", "simply", "set", "around", "nearly", "there", "are",
}  # fmt: skip

_DELIMITER = re.compile(r"(?<!\\)\\[()\[\]]|(?<!\\)\$+")
_SPACING = re.compile(
    r"(?<!\\)\\(?:[,:;> ]|!|quad\b|qquad\b|displaystyle\b|limits\b|phantom\{[^{}]*\})|~"
)
_SIZING = re.compile(r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])\s*\.?(?=[^A-Za-z]|\\|$)")
_TEXT = re.compile(
    r"\\(?:underline|text|textbf|textit|textrm|textnormal|mbox|mathrm|mathbf|mathit|mathsf|mathbb|"
    r"operatorname|hbox|emph|boldsymbol|bm|overrightarrow|vec|hat)\s*\*?\s*\{([^{}]*)\}"
)
_REALS = re.compile(r"\\mathbb\s*\{?R\}?(?!\s*[\^_A-Za-z+])")
_BOX = re.compile(r"\\f?box(?:ed)?\s*\{(.*)\}", re.S)
_GROUPED = re.compile(r"(?<![\d,.])(\d{1,3}(?:,\d{3})+)(?![\d,])")
_BRACED_GROUPS = re.compile(r"(?<=\d)(?:\{,\}|,?\s*\\!\s*,?|\\,)\s*(?=\d{3}(?!\d))")
_SPACED_GROUPS = re.compile(r"(?<![\w.,/^{}])\d{1,3}(?: \d{3})+(?![\w/]| \d)")
_ORDINAL = re.compile(r"(\d)\s*(?:\^\s*\{?\s*)?(?:st|nd|rd|th)\b\s*\}?")
_PLAIN_MIXED = re.compile(r"(?<![\w./}^])(\d+)(?:\s+|\s+and\s+)(\d+)\s*/\s*(\d+)(?![\w.])")
# "5 at x = 2", "z = 3 for all k": what a value holds for is not part of it.
_QUALIFIER = re.compile(
    r"(?<=[\w)}\]$%])[\s,$]+"
    r"(?:at|when|whenever|where|for|if|such that|with|because|since|assuming)\s"
)
_CHOOSE = re.compile(
    r"(?<![\w)}^])C\((\d{1,3}),\s?(\d{1,3})\)|\{\s*(\d{1,3})\s*\\choose\s*(\d{1,3})\s*\}"
)
_LABEL = re.compile(r"^[A-Za-z][A-Za-z ]{2,40}:\s*(?=\S)")
_RESIDUE = re.compile(r"\s*(?:</?[A-Za-z]{0,20}>?|>|(?<=[\d)}])\\n)\s*$")
_ENTITY = re.compile(r"&(?:lt|gt|le|ge|pi|deg|infin|nbsp|amp|times|minus|radic);")
# Commands of a text that was escaped once too often, as in JSON: \\\\frac.
_ESCAPED = re.compile(
    r"(?<!\\)\\\\(?=(?:[dtc]?frac|sqrt|left|right|leq?|geq?|text|pi|cdot|times|infty|cup|pm)(?![A-Za-z]))"
)
_ANGLES = re.compile(r"^\s*<([^<>]*,[^<>]*)>\s*$")
_UNION = re.compile(r"(?<=[)\]])\s*U\s*(?=[(\[])")
_OUT_OF = re.compile(r"(?<=\d)\s+out\s+of\s+(?=\d)")
_TIMES = re.compile(r"(?<=\d)\s+[xX]\s+(?=\d)|(?<=\d)[xX](?=10\^)")
_UNIT_TAIL = re.compile(r"^[A-Za-z¢][A-Za-z.'\-/]*(?:\^?\{?[23]\}?)?$")
_GLUED_UNIT = re.compile(r"^([-+]?[\d.,/]+)\s*([a-zA-Z]{2,}(?:\^?\{?[23]\}?)?|m\^\{?[23]\}?)$")
_VALUE_TAIL = re.compile(r"(?:[\d)\]}%]|\\pi|\\circ)$")


class Cleaned(NamedTuple):
    """An answer without its unit. unit: a canonical name, "%", or "" where none is known."""

    text: str
    unit: str


@lru_cache(maxsize=20_000)
def clean(text: str) -> Cleaned:
    """Return the one spelling of an answer, and its unit."""
    text = plain(text)
    currency = ""
    if match := re.match(r"([-+]?)\s*(?:\\\$|[€£])\s*(?=[\d.])", text):
        text, currency = match.group(1) + text[match.end() :], "dollar"
    text = text.replace("\\$", " ")
    text = _join_groups(text)
    text = _SPACED_GROUPS.sub(lambda m: m.group().replace(" ", ""), text)
    text = _ORDINAL.sub(r"\1 ", text)
    text = _PLAIN_MIXED.sub(r"(\1+\2/\3)", text)
    text = _balance(" ".join(text.split()))
    text = _LABEL.sub("", text)
    head = _QUALIFIER.split(text, maxsplit=1)[0]
    text = head if re.search(r"\d|\\", head) else text
    text = spelled_number(text) or spelled_set(text) or text
    text, unit = split_unit(_strip_leading(text))
    return Cleaned(_trim(text), unit or currency)


@lru_cache(maxsize=20_000)
def plain(text: str) -> str:
    """Return the text with one spelling for signs and without layout commands and markup."""
    text = tidy(_ENTITY.sub(lambda m: html.unescape(m.group()), text[:MAX_LENGTH]))
    text = _ANGLES.sub(r"\\langle \1\\rangle", text)
    for _ in range(2):
        text = _RESIDUE.sub("", text)
    for _ in range(4):
        if not (match := _BOX.fullmatch(text.strip().strip("$.").strip())):
            break
        text = match.group(1)
    text = _ESCAPED.sub(r"\\", text).replace('\\"', '"')
    text = re.sub(r"\*\*|__|`", "", text) if not re.search(r"\d\s*\*\*\s*\d", text) else text
    text = _BRACED_GROUPS.sub("", text)
    text = _without_layout(text) if "\\" in text else text.replace("$", " ").replace("~", " ")
    text = re.sub(r"\s+\^", "^", text)
    text = _CHOOSE.sub(r"\\binom{\1\3}{\2\4}", text)
    text = _UNION.sub(r"\\cup ", text)
    text = _TIMES.sub(r"\\times ", _OUT_OF.sub("/", text))
    return _trim(text)


def _without_layout(text: str) -> str:
    """Drop the commands of LaTeX that say nothing about the value."""
    text = _DELIMITER.sub(" ", text)
    text = _SPACING.sub(" ", text)
    text = _SIZING.sub("", text)
    text = _REALS.sub(r"(-\\infty,\\infty)", text)
    for _ in range(3):
        text = _TEXT.sub(r" \1 ", text)
    text = re.sub(r"\\[dtc](frac|binom)(?![A-Za-z])", r"\\\1", text)
    text = re.sub(r"\\(?:leq|leqslant|geq|geqslant|neq)\b", lambda m: m.group()[:3] + " ", text)
    return text.replace("\\%", "%")


def tidy(text: str) -> str:
    """Return the text with one spelling for unicode signs and no invisible characters."""
    if text.isascii() and text.isprintable():
        return text
    pieces: list[str] = []
    for character in text:
        if character in SIGNS:
            pieces.append(SIGNS[character])
        elif character in RAISED:
            pieces.append("^{" + RAISED[character] + "}")
        elif character in LOWERED:
            pieces.append("_{" + LOWERED[character] + "}")
        elif character in "\t\n\r":
            pieces.append(character)
        elif character.isspace():
            pieces.append(" ")
        elif unicodedata.category(character) not in ("Cf", "Cc", "Cs", "Co", "Cn", "Mn"):
            pieces.append(unicodedata.normalize("NFKC", character))
    text = "".join(pieces)
    text = re.sub(r"\}\^\{|\}_\{(?=\d)", "", text) if "}^{" in text or "}_{" in text else text
    return re.sub(r"\\sqrt (\d+)", r"\\sqrt{\1}", text)


def split_unit(text: str) -> tuple[str, str]:
    """Split words behind a number off it; the unit is "" if it is none of the known ones."""
    if match := _GLUED_UNIT.match(text):
        text = f"{match.group(1)} {match.group(2)}"
    if text.endswith("%") and " or " not in text and any(c.isdigit() for c in text):
        return text[:-1].rstrip(), "%"
    degree = re.search(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\degree)\s*([CFK]?)$", text)
    if degree and re.match(r"[^a-z]*(?:\\(?:frac|pi|sqrt)[^a-z]*)*$", text[: degree.start()]):
        return text[: degree.start()], "degree" if not degree.group(1) else ""
    words = text.split(" ")
    cut = len(words)
    while cut > 1 and _is_unit_word(words[cut - 1]):
        cut -= 1
    value = " ".join(words[:cut])
    if cut < len(words) and cut and (number := spelled_number(value)):
        value = number
    if cut == len(words) or not _VALUE_TAIL.search(value) or not re.search(r"\d|\\pi", value):
        return text, ""
    return value, _unit_name(words[cut:])


def _is_unit_word(word: str) -> bool:
    bare = re.sub(r"\^?\{?[23]\}?$", "", word).strip(".")
    if len(bare) == 1:
        return bare in LETTER_UNITS
    return bool(_UNIT_TAIL.match(word)) and bare.lower() not in ("and", "or", "mod", "pi", "sin")


def _unit_name(words: list[str]) -> str:
    for word in words:
        bare = re.sub(r"\^?\{?[23]\}?$", "", word).strip(".,").lower()
        if bare in UNITS:
            return "%" if UNITS[bare] == "percent" else UNITS[bare]
        if bare not in UNIT_MODIFIERS:
            return ""
    return ""


def _join_groups(text: str) -> str:
    """Take the commas out of 12,345, but not out of the pair (12,345)."""
    if text.startswith(("(", "[", "\\{")) and text.endswith((")", "]", "\\}")):
        return text
    return _GROUPED.sub(lambda m: m.group().replace(",", ""), text)


def _strip_leading(text: str) -> str:
    words = text.split(" ")
    start = 0
    while start < len(words) - 1 and words[start].strip(",:").lower() in LEADING:
        if len(words[start]) == 1 and not words[start + 1].isalpha():
            break  # the variable a, not the article
        start += 1
    return " ".join(words[start:])


def _balance(text: str) -> str:
    """Drop braces that were never opened at the end, and close those that were cut off."""
    extra = text.count("{") - text.count("}")
    if extra < 0 and text.endswith("}" * -extra):
        return text[:extra]
    return text + "}" * extra if 0 < extra <= 3 else text


def _trim(text: str) -> str:
    text = text.strip().strip("\"'").strip()
    while text and text[-1] in '.,;:" \n' and not text.endswith("\\,"):
        text = text[:-1]
    text = text.rstrip("\\").rstrip()
    return text.lstrip(":= \n")
