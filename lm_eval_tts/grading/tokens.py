"""The one tokenizer: spelling of formulas, words and numbers, in LaTeX, plain text or a mix.

What only dresses a formula (spacing, sizes, fonts, delimiters) is not a token.
"""

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from itertools import takewhile
from typing import NamedTuple

from lm_eval_tts.grading.lexicon import NOTATION, words_of
from lm_eval_tts.grading.values import TooLarge

MAX_LENGTH = 2_000
NUMBERS = ("NUMBER", "GROUPED", "REPEATING", "EUROPEAN", "MIXED", "SCALED")
PLAIN = str.maketrans(NOTATION["plain"]["from"], NOTATION["plain"]["to"])
SIGNS = {word: sign for sign, words in NOTATION["signs"].items() for word in words.split()}
GREEK = dict(zip(NOTATION["greek"]["letters"], NOTATION["greek"]["names"].split(), strict=True))
SCRIPTS = dict(zip(NOTATION["scripts"]["from"], NOTATION["scripts"]["to"], strict=True))
_FORMS = "|".join(f"(?P<{kind}>{form})" for kind, form in NOTATION["tokens"].items())
_FONTS = "|".join(sorted(words_of("fonts"), key=lambda name: (-len(name), name)))
TABLE = re.compile(_FORMS.replace("<greek>", "".join(GREEK)).replace("<fonts>", _FONTS), re.S)
_INVISIBLE = ("Cf", "Cc", "Cs", "Co", "Cn", "Mn")  # categories of Unicode
_SIZES = ("\\left", "\\right", "\\middle", "\\big", "\\Big")  # no space
_DOLLARS = re.compile(  # a formula in dollars has no long words, and no operator at its end
    r"(?s)\\.|\$\$(?:[^$]*\$\$)?|\$(?:[^\w\\$]|[\d_]|\\[^A-Za-z]"
    r"|\\[A-Za-z]+(?:\s*\{[^{}$]*\}|(?!\s*\{[^{}$]*\}))"
    r"|(?<![^\W\d_])[^\W\d_]{1,3}(?![^\W\d_]))+(?<![-+*/=<>(^])(?<![-+*/=<>(^]\s)\$|\$"
)
MAX_DIGITS = 1_000
MAX_NUMBER_WORDS = 16  # of a number
PIECES = re.compile(r"\d+|[¼-¾⅐-⅞]")
_SMALL: dict[str, int] = NOTATION["numbers"]
_SCALES: dict[str, int] = NOTATION["scales"]
_PARTS = {word: number for number, words in NOTATION["parts"].items() for word in words.split()}
_NUMBER_WORDS = {*_SMALL, *_SCALES, *_PARTS, "and"}


class Token(NamedTuple):
    """kind: of the table, or the sign itself. spaced: white space comes before it.

    mode: "math" or "text" by the command around it, else "". formula: as x in $x$.
    """

    kind: str
    text: str
    start: int = 0
    end: int = 0
    spaced: bool = False
    mode: str = ""
    formula: bool = False


class _Tidy(dict[int, str]):
    """A table for `str.translate` that fills itself."""

    def __missing__(self, code: int) -> str:
        character = chr(PLAIN.get(code, code))
        plain = unicodedata.normalize("NFKC", character)
        if character in SIGNS or character in SCRIPTS or len(plain) != 1:
            plain = character
        elif plain.isspace() or unicodedata.category(plain) in _INVISIBLE:
            plain = plain if plain in "\t\n" else " "
        return self.setdefault(code, plain)


_TIDY = _Tidy()


def tidy(text: str) -> str:
    """Return the text in plain characters; invisible ones become spaces."""
    return text if text.isascii() and text.isprintable() else text.translate(_TIDY)


def tokens(text: str, *, comma: bool = False) -> list[Token]:
    """Read a tidied text. comma: 1,5 is one number (in Europe), not two."""
    found: list[Token] = []
    braces: list[str] = []  # what each open brace is: a font, or "" for a group
    at, spaced, depth, inside = 0, False, 0, False
    money = currency(text)
    while (start := at) < len(text):
        kind, word = _next(text, at, split=not comma, in_brackets=depth > 0)
        at += len(word)
        if kind == "FONT":
            is_text = word.startswith(("\\text", "\\mbox", "\\mathrm", "\\hbox"))
            braces += ["text" if is_text else "math"] if word.endswith("{") else []
        elif word in ("$", "$$") and start not in money:
            inside, spaced = not inside, True
        elif kind == "SKIP":
            spaced = spaced or not word.startswith(_SIZES)
        elif kind == "DELIMITER":
            spaced, inside = True, word in ("\\(", "\\[")
        elif word != "}" or not braces or not braces.pop():
            braces += [""] if word == "{" else []
            depth += (kind in ("(", "[", "{{")) - (kind in (")", "]", "}}"))
            mode = next((font for font in reversed(braces) if font), "")
            here = Token(kind, word, start, at, spaced, mode, inside)
            found += _script(here) if kind in ("SUPER", "SUB") else [here]
            spaced = False
    return found


def _script(token: Token) -> list[Token]:
    """Raised or lowered characters as what TeX makes of them: x² is x^{2}."""
    sign = "^" if token.kind == "SUPER" else "_"
    plain = f"{sign}{{{''.join(SCRIPTS[c] for c in token.text)}}}"
    return [token._replace(kind=t.kind, text=t.text, spaced=False) for t in tokens(plain)]


def _next(text: str, at: int, *, split: bool, in_brackets: bool) -> tuple[str, str]:
    """The kind and text of the next token. split: 1,5 is two; in brackets (12,345) is a pair."""
    match = TABLE.match(text, at)
    assert match  # OTHER matches anything
    kind, word = match.lastgroup or "", match.group()
    kind = NOTATION["kinds"].get(kind, kind)
    if kind in ("SIGN", "OTHER"):
        plain = word[1:] if word.startswith("\\\\") else word
        kind = SIGNS.get(plain, plain)
    is_pair = (kind == "EUROPEAN" and split) or (kind == "GROUPED" and in_brackets)
    return ("NUMBER", word.partition(",")[0]) if is_pair and "{" not in word else (kind, word)


def currency(text: str) -> set[int]:
    """Return where a dollar sign is money: no sign of a pair around what reads like a formula."""
    return {match.start() for match in _DOLLARS.finditer(text) if match[0] == "$"}


def number_of(token: Token) -> Fraction:
    """Return the number that a token is. Raises TooLarge."""
    kind, text = token.kind, token.text
    if len(text) > MAX_DIGITS:
        raise TooLarge("digits")
    if kind == "REPEATING":
        return _repeating(text)
    if kind == "SCALED":  # 1.5 million
        digits, scale = text.lower().split()
        return Fraction(digits) * _SCALES[scale]
    plain = unicodedata.normalize("NFKC", " ".join(PIECES.findall(text)))
    if kind == "MIXED":  # 2 1/2, 2½, 2\frac12
        whole, *rest = PIECES.findall(plain)
        top, bottom = rest if len(rest) > 1 else rest[0]
        return int(whole) + Fraction(int(top), int(bottom))
    if kind in ("EUROPEAN", "GROUPED"):
        point = "," if kind == "EUROPEAN" else "."
        text = "".join(c for c in text if c.isdecimal() or c == point).replace(",", ".")
    if abs(int(text.lower().partition("e")[2] or 0)) > 999:
        raise TooLarge("digits")
    return Fraction(text if text.isascii() else plain.replace("\u2044", "/"))


def _repeating(text: str) -> Fraction:
    r"""0.1\overline{6}, 0.1(6), 0.1666..."""
    match = TABLE.match(text)
    *before, cycle = PIECES.findall(text)
    if match and match["cycle"]:
        before, cycle = [text[: match.start("cycle")].replace(".", "")], match["cycle"]
    size = Fraction(10 ** len("".join(before)) // 10 ** text.index("."))
    return (int("".join(before) or 0) + Fraction(int(cycle), 10 ** len(cycle) - 1)) / size


def spelled(words: Sequence[str]) -> Fraction | None:
    """Return the number that these words are, all of them; None if they are none."""
    if words and words[-1] in _PARTS:  # two and two thirds
        split = len(words) - words[::-1].index("and") if "and" in words else 0
        whole = spelled(words[: split - 1]) if split else 0
        top = spelled(words[split:-1] or ["one"])
        return None if whole is None or not top else whole + top / _PARTS[words[-1]]
    total, group, last = 0, 0, ""
    for word in words:
        if word in _SMALL and (last not in _SMALL or _SMALL[last] >= 20 > 10 > _SMALL[word] > 0):
            group += _SMALL[word]
        elif word in _SCALES:
            group = max(group, 1) * _SCALES[word]
            total, group = (total + group, 0) if _SCALES[word] > 100 else (total, group)
        elif word != "and" or last not in _SCALES:
            return None
        last = word
    return Fraction(total + group) if last not in ("", "and") else None


def fold(found: Sequence[Token]) -> list[Token]:
    """Return tokens with each longest run of words that is a number as one NUMBER."""
    folded: list[Token] = []
    at = 0
    while at < len(found):
        texts = [token.text.lower() for token in found[at : at + MAX_NUMBER_WORDS]]
        words = list(takewhile(lambda text: _NUMBER_WORDS.issuperset(text.split("-")), texts))
        while words and (number := spelled("-".join(words).split("-"))) is None:
            words.pop()
        token, last = found[at], found[at + max(len(words), 1) - 1]
        if words and words != ["a"]:
            token = token._replace(kind="NUMBER", text=str(number), end=last.end)
        folded.append(token)
        at += max(len(words), 1)
    return folded
