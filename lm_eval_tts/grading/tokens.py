r"""The one tokenizer: spelling of formulas and words, in LaTeX, plain text or a mix of both.

`tidy` makes characters plain without changing how many there are, `tokens` reads a text once, from
left to right; the first kind of the table that matches wins. What only dresses a formula (spacing,
sizes, fonts, delimiters) is no token. Knows notation only, not what a formula means.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

MAX_LENGTH = 2_000


def words_of(text: str) -> list[str]:
    """Return the words of a table that is written as text."""
    return text.split()


# Characters of one meaning with several shapes. One for one, so that places stay what they are.
PLAIN = str.maketrans(
    "−–—‐‑﹣－∗＊∕⁄’‘´“”„«»，；：？！（）［］【】「」％＝＋＜＞＄。、．∧｜～‖∶⟨⟩〈〉ℝ☐ﬁ",
    '-------**//\'\'\'""""",;:?!()[][]""%=+<>$.,.^|~|:<><>R f',
)
SIGNS = {
    "×": "*", "·": "*", "⋅": "*", "∙": "*", "•": "*", "÷": "/", "≤": "<=", "⩽": "<=", "≥": ">=",
    "⩾": ">=",
    "≠": "!=", "≈": "~", "≃": "~", "∼": "~", "∞": "\\infty", "√": "\\sqrt", "∛": "\\cbrt",
    "∪": "\\cup",
    "∩": "\\cap", "∈": "\\in", "°": "°", "º": "°", "±": "\\pm", "∓": "\\pm", "∅": "\\emptyset",
    "→": "\\to", "⇒": "\\to", "∖": "\\setminus", "∫": "\\int", "∑": "\\sum",
    "\\cdot": "*", "\\times": "*", "\\ast": "*", "**": "^", "\\div": "/", "\\%": "%",
    "\\mp": "\\pm",
    "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "\\ge": ">=", "\\geq": ">=",
    "\\geqslant": ">=",
    "\\lt": "<", "\\gt": ">", "\\ne": "!=", "\\neq": "!=", "/=": "!=", "\\approx": "~",
    "~=": "~", "\\sim": "~",
    "\\simeq": "~", "\\doteq": "~", "\\langle": "(", "\\rangle": ")", "\\lvert": "|",
    "\\rvert": "|",
    "\\vert": "|", "\\mid": "|", "\\degree": "°", "\\circ": "°", "\\{": "{{", "\\}": "}}",
    "\\lbrace": "{{",
    "\\rbrace": "}}", "\\Rightarrow": "\\to", "\\implies": "\\to", "\\Longrightarrow": "\\to",
    "\\iff": "\\to", "\\rightarrow": "\\to", "\\therefore": "\\to", "=>": "\\to", "->": "\\to",
    "\\varnothing": "\\emptyset", "\\backslash": "\\setminus", "\\colon": ":", "\\prime": "'",
    "\\bigcup": "\\cup", "\\$": "MONEY", "€": "MONEY", "£": "MONEY", "¥": "MONEY",
    "\\pounds": "MONEY",
    "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cfrac": "\\frac", "\\dbinom": "\\binom",
    "\\tbinom": "\\binom", "\\arrow": "\\to", "\\lbrack": "[", "\\rbrack": "]",
}  # fmt: skip
GREEK = dict(zip("αβγδεζηθικλμµνξρστυφϕχψωΓΔΘΛΞΣΦΨΩπℏ", words_of(
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu mu nu xi rho "
        "sigma tau upsilon phi phi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi "
        "Omega pi hbar"
    ), strict=True))  # fmt: skip
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n", strict=True))
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))

_DRESS = (
    "(?:displaystyle|textstyle|limits|nolimits|q?quad|left|right|middle|[bB]igg?[lrm]?|hfill|par)(?![A-Za-z])\\.?"
    "|[,;:!> ()\\[\\]]"
)
_FONT = (
    "text(?:bf|it|rm|sf|tt|normal)?|mbox|hbox|math(?:rm|bf|it|sf|cal|tt)|operatorname|emph|boldsymbol|bm|"
    "underline|overrightarrow|vec|hat|begin?boxed|f?boxed?|displaystyle|tilde|widehat|underbrace"
)
_TRANSPOSED = r"\^\s*\{?(?:\\top|\\mathrm\{T\}|T)\}?(?=\s*$)"
_HALF_DAY = r"(?:\\text\{\s*)?[AaPp]\.?\s?[Mm]\b\.?\}?"
_MORE = r"(?:(?P=gap)\s?\d{3})*(?:\.\d+)?(?![\d,/]|\s\d)"
_GAP = r"(?:,|\{,\}|\\,|,?\\!,?|\s)"
TABLE = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in (
    ("MATRIX", r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[lcr|]*\})?(.*?)\\end\{\2\}"),
    # a command that was escaped once too often, as in JSON, is a command
    ("FONT", rf"\\(?:{_FONT})\s*\*?\s*\{{|\\phantom\{{[^{{}}]*\}}"),
    ("SKIP", rf"(?:\s|~(?!=)|\\(?:{_DRESS})|`|[ᵀ]|{_TRANSPOSED})+"),
    ("TIME", rf"\d{{1,2}}(?::|\{{:\}})[0-5]\d(?::[0-5]\d)?(?:\s*{_HALF_DAY})"),
    ("REPEATING", r"\d*\.\d*\\overline\s*\{?\d+\}?|\d*\.\d*\(\d+\)(?!\w)"),
    ("GROUPED", rf"[1-9]\d{{0,2}}(?:(?P<gap>{_GAP})\s?\d{{3}}){_MORE}"),
    ("EUROPEAN", r"(?:\d{1,3}(?:\.\d{3})+|\d+),\d+(?![\d,])"),
    ("DOTS", r"\.\.\.|…|\\[lc]?dots(?![a-z])"),
    ("FRACTION", "[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]"),
    ("NUMBER", r"\d+(?:\.\d+)?(?:[eE][+-]?\d{1,4}(?![\d.A-Za-z\\]))?|\.\d+"),
    ("SIGN", r"<=|>=|=>|->|!=|/=|~=|\*\*|\\[$%{}]|\\[A-Za-z]+|\\\\[A-Za-z]{2,}"),
    ("SUPER", f"[{''.join(RAISED)}]+"),
    ("SUB", f"[{''.join(LOWERED)}]+"),
    ("GREEK", f"[{''.join(GREEK)}]"),
    ("WORD", r"[A-Za-zÀ-ÖØ-öø-ɏ]+(?:[-'][A-Za-zÀ-ÖØ-öø-ɏ]{2,})*"),
    ("OTHERWORD", r"(?:[^\W\d_A-Za-zÀ-ÖØ-öø-ɏ](?<!["+ "".join(GREEK) + "]))+"),
    ("OTHER", r"."),
)), re.S)  # fmt: skip
_DOLLAR = re.compile(r"(?<!\\)\$")
_COMMAND = re.compile(rf"\\(?:{_FONT})\s*\*?\{{[^{{}}]*\}}|\\[A-Za-z]+|\{{[a-z]{{4,}}\}}")
_LETTERS = re.compile(r"[A-Za-z]+")
PROSE = frozenset(
    words_of("and or to for the is are per in of on at by so we it was has if as per each")
)
_DIGITS = re.compile(r"\d+(?:\.\d+)?")
_INVISIBLE = ("Cf", "Cc", "Cs", "Co", "Cn", "Mn")


class Token(NamedTuple):
    """kind: of the table, or the sign itself. start, end: where it stands in the text.

    spaced: white space comes before. mode: "math" or "text" by the command around it, else "".
    formula: whether it stands between the delimiters of a formula, as in $x$.
    """

    kind: str
    text: str
    start: int
    end: int
    spaced: bool
    mode: str
    formula: bool = False


def tidy(text: str) -> str:
    """Return the text in plain characters; invisible ones become spaces."""
    return text if text.isascii() and text.isprintable() else text.translate(_TIDY)


class _Tidy(dict[int, str]):
    """A table for `str.translate` that fills itself."""

    def __missing__(self, code: int) -> str:
        plain = PLAIN.get(code)
        self[code] = _tidy_one(chr(plain if plain is not None else code))
        return self[code]


_TIDY = _Tidy()


def _tidy_one(character: str) -> str:
    if character.isascii() or character in SIGNS or character in RAISED or character in LOWERED:
        return character if character.isprintable() or character in "\t\n" else " "
    if character.isspace() or unicodedata.category(character) in _INVISIBLE:
        return " "
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 else character


def tokens(text: str, *, comma: bool = False) -> list[Token]:
    """Read a tidied text. comma: 1,5 is one number (in Europe), not two."""
    found: list[Token] = []
    braces: list[str] = []  # what each open brace is: a font, or "" for a group
    at, spaced, depth, inside = 0, False, 0, False
    money = currency(text) if "$" in text else set()
    while at < len(text):
        match = TABLE.match(text, at)
        assert match  # OTHER matches anything
        kind, word, start = str(match.lastgroup), match.group(), at
        kind = "GROUPED" if kind == "gap" else kind
        if (kind == "EUROPEAN" and not comma) or (kind == "GROUPED" and depth and "," in word):
            # (12,345) is a pair
            match = _DIGITS.match(text, at)
            assert match
            kind, word = "NUMBER", match.group()
        at = match.end()
        if kind == "FONT":
            if word.endswith("{"):
                braces.append(
                    "text"
                    if word.startswith(("\\text", "\\mbox", "\\mathrm", "\\hbox"))
                    else "math"
                )
            spaced = spaced or word.startswith("\\text")
            continue
        if word == "$" and start not in money:
            inside, spaced = not inside, True
            at += text.startswith("$", at) and at not in money
            continue
        if kind == "SKIP":
            spaced, inside = True, _in_math(word, inside)
            continue
        if word == "}" and braces:
            if braces.pop():
                continue
        elif word == "{":
            braces.append("")
        kind = _kind(kind, word)
        depth += (kind in ("(", "[", "{{")) - (kind in (")", "]", "}}"))
        mode = next((font for font in reversed(braces) if font), "math" if inside else "")
        found.append(Token(kind, word, start, at, spaced, mode, inside))
        spaced = False
    return found


def _in_math(skipped: str, inside: bool) -> bool:
    r"""Whether a formula goes on after its delimiters, \( \) \[ \]."""
    opened = max(skipped.rfind("\\("), skipped.rfind("\\["))
    closed = max(skipped.rfind("\\)"), skipped.rfind("\\]"))
    return inside if opened == closed else opened > closed


def _kind(kind: str, word: str) -> str:
    if word.startswith("\\\\"):
        word = word[1:]
    if word == "$":
        return "MONEY"
    if kind == "FRACTION":
        return "NUMBER"
    if kind in ("GREEK", "OTHERWORD"):
        return "WORD"
    return SIGNS.get(word, word) if kind in ("SIGN", "OTHER") else kind


def currency(text: str) -> set[int]:
    r"""Return where a dollar sign is money, and no end of a formula: in "$5 and $3 x$", the first.

    A sign opens a formula if the next one closes something that reads like a formula.
    """
    found: set[int] = set()
    places = [match.start() for match in _DOLLAR.finditer(text)]
    at = 0
    while at < len(places):
        here = places[at]
        double = places[at + 1 : at + 2] == [here + 1]
        following = at + 1 + double
        if following >= len(places):
            found |= {here} if not double else set()
            break
        inside = text[here + 1 + double : places[following]]
        if double or _is_formula(inside):
            at = following + 1 + double
        else:
            found.add(here)
            at += 1
    return found


def _is_formula(inside: str) -> bool:
    if (
        not inside.strip()
        or "\n\n" in inside
        or inside.rstrip()[-1] in "+-*/=<>(^"
        or inside.endswith(", ")
    ):
        return False
    bare = _COMMAND.sub(" ", inside)
    return not any(len(word) > 3 or word in PROSE for word in _LETTERS.findall(bare))
