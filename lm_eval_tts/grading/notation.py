"""The words, signs and units that are known, from `notation.yaml` and `phrases.yaml`, and the one
tokenizer: spelling of formulas, words and numbers, in LaTeX, plain text or a mix.

What only dresses a formula (spacing, sizes, fonts, delimiters) is not a token.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

from lm_eval_tts.core.disk import read_yaml

NOTATION = read_yaml("grading/notation.yaml")
_PHRASES = read_yaml("grading/phrases.yaml")
_AS_PATTERN = {" ": r"\s+", "'": "['’]", "\1": r"(?<!\w)", "\2": r"(?!\w)"}
SYNONYMS = {other: word for word, others in _PHRASES["synonyms"].items() for other in others}


@lru_cache
def words_of(name: str) -> frozenset[str]:
    """Return a list of words of `notation.yaml`."""
    return frozenset(NOTATION[name].split())


def _alternatives(named: re.Match[str]) -> str:
    """A pattern of all phrases of some groups, the longest first. Words of alphabets end where
    letters end; Chinese and Japanese have no spaces between words."""
    groups = named[1].split("|")
    every = {str(p) for group in groups for some in _PHRASES[group].values() for p in some}
    ordered = sorted(every, key=lambda phrase: (-len(phrase), phrase))
    ended = [f"\1{p}\2" if "0" <= p[0] < "\u2200" else p for p in ordered]
    return f"(?:{_branches(ended)})"


def _branches(phrases: list[str]) -> str:
    """The phrases as a tree of their letters: no search tries a letter twice."""
    by_first: dict[str, list[str]] = {}
    for phrase in phrases:
        by_first.setdefault(phrase[:1], []).append(phrase[1:])
    ends = by_first.pop("", None)
    branches = [
        (_AS_PATTERN.get(first) or re.escape(first)) + _branches(rest)
        for first, rest in by_first.items()
    ]
    if len(branches) <= 1 and not ends:
        return "".join(branches)
    return f"(?:{'|'.join(branches)}){'?' if ends else ''}" if branches else ""


@lru_cache
def pattern(template: str, flags: int = re.I) -> re.Pattern[str]:
    """Compile a pattern in which `<group>`, or `<group|group>`, is any phrase of these groups."""
    return re.compile(re.sub(r"<([a-z|]+)>", _alternatives, template), flags)


def phrases(group: str) -> re.Pattern[str]:
    """Return the pattern of a group."""
    return pattern(f"<{group}>")


def has(group: str, text: str) -> bool:
    """Say whether a phrase of a group occurs in a text."""
    return bool(phrases(group).search(text))


def end_of(skipped: re.Pattern[str], text: str, at: int = 0) -> int:
    """Return where a pattern's match at a place ends: the place itself, if nothing matches."""
    match = skipped.match(text, at)
    return match.end() if match else at


_ATOMS = rf"(?:{'|'.join(sorted(words_of('elements')))})(?:[2-9]|[1-9]\d)?"
_SUBSTANCE = re.compile(rf"(?=.*\d)(?:{_ATOMS}|\((?:{_ATOMS})+\)\d?){{2,}}")  # H2O, but not O2


def is_substance(word: str) -> bool:
    """Say whether a word is the formula of a substance, as H2SO4, and no product of letters."""
    return bool(_SUBSTANCE.fullmatch(word))


Mark = tuple[tuple[str, int], ...]  # units with their powers, sorted

_TABLE: dict[str, tuple[str, str, str]] = NOTATION["units"]
_PREFIXES: dict[str, str] = NOTATION["prefixes"]
_SPELLINGS = {word: name for name, (_, _, words) in _TABLE.items() for word in words.split()}
_PREFIXED = {
    prefix + word: f"{NOTATION['short_prefixes'].get(prefix, prefix)}-{name}"
    for word, name in _SPELLINGS.items()
    for prefix in _PREFIXES
    if name in words_of("prefixed") and (len(prefix) > 2) == (len(word) > 3)  # km, kilometer
}
_UNIT_NAMES = _PREFIXED | _SPELLINGS
UNIT_LETTERS = frozenset(w for w in _SPELLINGS if w == "Omega" or (len(w) == 1 and w.isalpha()))


def unit_of(word: str) -> str | None:
    """Return the name of the unit that a word stands for, with its prefix; None if it is none."""
    return _UNIT_NAMES.get(word) or (_UNIT_NAMES.get(word.lower()) if len(word) > 2 else None)


def make_mark(powers: Iterable[tuple[str, int]]) -> Mark:
    """Return units with their powers in their one order."""
    total: dict[str, int] = {}
    for whole, power in powers:
        for name, rate in NOTATION["composed"].get(whole, {whole: 1}).items():
            total[name] = total.get(name, 0) + power * rate
    return tuple(sorted((name, rate) for name, rate in total.items() if rate))


def size(mark: Mark) -> tuple[Fraction, Mark]:
    """Return how large a unit is in base units, and its dimensions."""
    factor, dimensions = Fraction(1), []
    for name, rate in mark:
        prefix, _, base = name.rpartition("-")
        base_size, dimension, _ = _TABLE[base]
        factor *= (Fraction(base_size) * Fraction(_PREFIXES[prefix] if prefix else 1)) ** rate
        if dimension == "volume":  # a litre is 1,000 cm³
            factor, dimension, rate = factor / 1000**rate, "length", 3 * rate
        dimensions.append((dimension, rate))
    return factor, make_mark(dimensions)


MAX_LENGTH = 2_000
NUMBERS = ("NUMBER", "GROUPED", "REPEATING", "EUROPEAN", "MIXED", "SCALED")
PLAIN = str.maketrans(NOTATION["plain"]["from"], NOTATION["plain"]["to"])
SIGNS = {word: sign for sign, words in NOTATION["signs"].items() for word in words.split()}
GREEK = dict(zip(NOTATION["greek"]["letters"], NOTATION["greek"]["names"].split(), strict=True))
SCRIPTS = dict(zip(NOTATION["scripts"]["from"], NOTATION["scripts"]["to"], strict=True))
_FORMS = "|".join(f"(?P<{kind}>{form})" for kind, form in NOTATION["tokens"].items())
_FONTS = "|".join(sorted(words_of("fonts"), key=lambda name: (-len(name), name)))
TABLE = re.compile(_FORMS.replace("<greek>", "".join(GREEK)).replace("<fonts>", _FONTS), re.S)
_KINDS: dict[str, str] = NOTATION["kinds"]
_INVISIBLE = ("Cf", "Cc", "Cs", "Co", "Cn", "Mn")  # categories of Unicode
_SIZES = ("\\left", "\\right", "\\middle", "\\big", "\\Big")  # no space
_DOLLARS = re.compile(  # a formula in dollars has no long words, and no operator at its end
    r"(?s)\\.|\$\$(?:[^$]*\$\$)?|\$(?:[^\w\\$]|[\d_]|\\[^A-Za-z]"
    r"|\\[A-Za-z]+(?:\s*\{[^{}$]*\}|(?!\s*\{[^{}$]*\}))"
    r"|(?<![^\W\d_])[^\W\d_]{1,3}(?![^\W\d_]))+(?<![-+*/=<>(^])(?<![-+*/=<>(^]\s)\$|\$"
)
MAX_NUMBER_WORDS = 16  # of a number
PIECES = re.compile(r"\d+|[¼-¾⅐-⅞]")
_SMALL: dict[str, int] = NOTATION["numbers"]
SCALES: dict[str, int] = NOTATION["scales"]
_PARTS = {word: number for number, words in NOTATION["parts"].items() for word in words.split()}
_NUMBER_WORDS = {*_SMALL, *SCALES, *_PARTS, "and"}


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
    kind = _KINDS.get(kind, kind)
    if kind in ("SIGN", "OTHER"):
        plain = word[1:] if word.startswith("\\\\") else word
        kind = SIGNS.get(plain, plain)
    is_pair = (kind == "EUROPEAN" and split) or (kind == "GROUPED" and in_brackets)
    return ("NUMBER", word.partition(",")[0]) if is_pair and "{" not in word else (kind, word)


def currency(text: str) -> set[int]:
    """Return where a dollar sign is money: no sign of a pair around what reads like a formula."""
    return {match.start() for match in _DOLLARS.finditer(text) if match[0] == "$"}


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
        elif word in SCALES:
            group = max(group, 1) * SCALES[word]
            total, group = (total + group, 0) if SCALES[word] > 100 else (total, group)
        elif word != "and" or last not in SCALES:
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
