"""Reads formulas, from tokens to an exact value, by recursive descent.

    sum      := product (SIGN product)*
    product  := SIGN* power ((["*"|"/"]) SIGN* power)*
    power    := factor ("!" | "°" | "^" factor)*
    factor   := number | name | FUNCTION factor | "(" sum ")" | "|" sum "|"

It evaluates as it reads and never runs anything; what is not known raises `NotAFormula`."""

import unicodedata
from collections.abc import Sequence
from fractions import Fraction

from lm_eval_tts.grading import notation, values
from lm_eval_tts.grading.notation import GREEK, NUMBERS, Token, unit_of, words_of
from lm_eval_tts.grading.values import FUNCTIONS, NotAFormula, TooLarge, Value, power, rational

BRACKETS = {"(": ")", "[": "]", "{": "}", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil"}
GREEK_NAMES = frozenset(GREEK.values())
FUNCTION_NAMES = frozenset([*FUNCTIONS, "sqrt", "pi", "infinity", "oo"])
SHORT = words_of("short_words")
NO_SYMBOLS = words_of("no_symbols")
_STARTS = (*BRACKETS, "\\infty", "\\sqrt", "\\cbrt", "\\frac", "\\binom")
FIRST_IDEOGRAM = "\u2e80"  # Chinese and Japanese words are no variables
END = Token("END", "")
MAX_DEPTH = 60
MAX_DIGITS = 1_000
EITHER_SIGN = ("\\pm", "\\mp")
CONSTANTS = {"pi": "π", "e": "e", "i": "i", "infty": "∞", "infinity": "∞", "oo": "∞"}
_CLOSING = BRACKETS | {"|": "|"}
_SIGNS = ("+", "-", *EITHER_SIGN, "minus", "negative")
_CALLED = frozenset("fghpqFGHPQ")  # letters that are functions before a parenthesis


def number_of(token: Token) -> Fraction:
    """Return the number that a token is. Raises TooLarge."""
    kind, text = token.kind, token.text
    if len(text) > MAX_DIGITS:
        raise TooLarge("digits")
    if kind == "REPEATING":
        return _repeating(text)
    if kind == "SCALED":  # 1.5 million
        digits, scale = text.lower().split()
        return Fraction(digits) * notation.SCALES[scale]
    plain = unicodedata.normalize("NFKC", " ".join(notation.PIECES.findall(text)))
    if kind == "MIXED":  # 2 1/2, 2½, 2\frac12
        whole, *rest = notation.PIECES.findall(plain)
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
    match = notation.TABLE.match(text)
    *before, cycle = notation.PIECES.findall(text)
    if match and match["cycle"]:
        before, cycle = [text[: match.start("cycle")].replace(".", "")], match["cycle"]
    size = Fraction(10 ** len("".join(before)) // 10 ** text.index("."))
    return (int("".join(before) or 0) + Fraction(int(cycle), 10 ** len(cycle) - 1)) / size


def spelled_name(token: Token) -> str:
    """Return the name of a word or command, Greek letters spelled out."""
    name = (token.kind if token.kind.startswith("\\") else token.text).lstrip("\\")
    return str(GREEK.get(name, name.removeprefix("var")))


class Cursor:
    """A place in tokens. sign: what ± means."""

    def __init__(self, found: Sequence[Token], sign: int = 1) -> None:
        self.tokens, self.at, self.depth, self.sign = list(found), 0, 0, sign

    def peek(self, ahead: int = 0) -> Token:
        """Return the token some places ahead."""
        at = self.at + ahead
        return self.tokens[at] if 0 <= at < len(self.tokens) else END

    def take(self, *kinds: str) -> str | None:
        """Pass a token of one of these kinds or texts, and return it; None if there is another."""
        token = self.peek()
        if token.kind not in kinds and token.text not in kinds:
            return None
        self.at += 1
        return token.text if token.kind == "WORD" else token.kind

    def expect(self, *kinds: str) -> str:
        """Pass a token of one of these kinds. Raises NotAFormula."""
        if not (found := self.take(*kinds)):
            raise NotAFormula(self.peek().text)
        return found

    def split(self) -> None:
        """Take the first letter or digit of a token as one of its own."""
        token = self.peek()
        kind = "NUMBER" if token.text[0].isdigit() else "WORD"
        rest = token._replace(text=token.text[1:], spaced=False)
        self.tokens[self.at : self.at + 1] = [token._replace(kind=kind, text=token.text[0]), rest]

    def unit_at(self, ahead: int) -> bool:
        """Whether a unit of several letters, or in text mode, stands there."""
        token = self.peek(ahead)
        is_word = token.kind == "WORD" and (len(token.text) > 1 or token.mode == "text")
        return is_word and self.depth <= 0 and unit_of(token.text) is not None

    def starts_factor(self) -> bool:
        """Say whether a factor starts here, after another one."""
        token = self.peek()
        if token.kind in NUMBERS:
            return self.peek(-1).kind not in (*NUMBERS, "WORD")
        if token.kind in _STARTS:
            return not self.is_aside()
        return not self.unit_at(0) and self.is_symbolic()

    def is_aside(self) -> bool:
        """Whether the same is said again in parentheses: 12 (twelve), 0.5 (or 1/2)."""
        is_apart = self.peek().kind == "(" and self.peek().spaced and not self.peek().formula
        says_or = self.peek(1).text == "or"
        return is_apart and (says_or or (self.peek(1).kind in NUMBERS and self.peek(2).kind == ")"))

    def is_symbolic(self) -> bool:
        """Whether a word is a function, a letter or a product of letters rather than prose."""
        token, name = self.peek(), spelled_name(self.peek())
        if name in FUNCTION_NAMES or name in GREEK_NAMES:
            return True
        if token.kind != "WORD" or len(name) == 1:
            return token.kind == "WORD" and name < FIRST_IDEOGRAM
        is_glued = self.peek(-1).kind in NUMBERS and not token.spaced  # 8xyz
        is_word = name[1:].islower() and bool(set("aeiouy") & set(name.lower())) and not is_glued
        is_long = len(name) > 4 or (len(name) > 2 and is_word)
        return not (is_long or token.mode == "text" or name.lower() in SHORT)


class FormulaReader(Cursor):
    """Each method raises NotAFormula and TooLarge."""

    def _sum(self) -> Value:
        total = self._product()
        while self.peek().kind in _SIGNS:
            total += self._product()
        return total

    def _product(self) -> Value:
        value = self._signed()
        while True:
            if self.peek(1).kind != "MATRIX" and self.take("*"):
                value *= self._signed()
            elif (not self.unit_at(1) and self.take("/")) or (self.take("out") and self.take("of")):
                value /= self._signed()
            elif self.starts_factor():
                value *= self._power()
            else:
                return value

    def _signed(self) -> Value:
        negative = False
        minus = ("-", "minus", "negative", EITHER_SIGN[self.sign > 0])
        while sign := self.take(*_SIGNS, "MONEY"):
            negative ^= sign in minus
        value = self._power()
        return -value if negative else value

    def _power(self) -> Value:
        base = self._factor()
        while True:
            if self.peek(1).kind != "!" and self.take("!"):
                base = values.apply("!", base)
            elif self.take("°"):
                base *= values.free("°")
            elif self.peek().kind == "^":
                base = power(base, self._exponent())
            else:
                return base

    def _exponent(self) -> Value:
        """Read what is after ^, or 1."""
        return self._signed() if self.take("^") else rational(1)

    def _group(self) -> Value:
        r"""Read a sum in brackets, or two with \choose or \over between them."""
        opening = self.expect(*_CLOSING)
        value = self._sum()
        if self.take("\\choose"):
            value = values.apply("binom", value, self._sum())
        elif self.take("\\over"):
            value /= self._sum()
        self.expect(_CLOSING[opening])
        if opening == "|":
            return values.apply("abs", value)
        return values.apply(opening[2:], value) if opening[0] == "\\" else value

    def _argument(self) -> Value:
        """What a command takes: a group, or as TeX reads it one digit or letter."""
        token = self.peek()
        if token.text[:1].isalnum() and len(token.text) > 1 and "/" not in token.text:  # not half
            self.split()
        return self._factor()

    def _factor(self) -> Value:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge("nested too deep")
        token = self.peek()
        if token.kind in _CLOSING:
            value = self._group()
        elif token.kind in NUMBERS:
            value = rational(number_of(token))
            self.at += 1
        else:
            value = self._name(token)
        self.depth -= 1
        return value

    def _name(self, token: Token) -> Value:
        self.at += 1
        name, is_word = spelled_name(token), token.kind == "WORD"
        if name in ("frac", "binom"):
            top, bottom = self._argument(), self._argument()
            if top.op == "d" and bottom.op == "*" and "d" in bottom.names:
                return values.free(f"d/d {bottom.key}")
            return top / bottom if name == "frac" else values.apply("binom", top, bottom)
        if name in ("sqrt", "cbrt"):
            degree = self._group() if self.peek().kind == "[" else rational(2 + (name == "cbrt"))
            radicand = self._argument() if token.text.startswith("\\") else self._factor()
            return power(radicand, rational(1) / degree)
        if name in FUNCTIONS:
            return self._applied(name)
        is_letter = len(name) == 1 and name < FIRST_IDEOGRAM
        is_command = name.isalpha() and name not in NO_SYMBOLS and self.peek().kind != "{"
        if name in GREEK_NAMES or name in CONSTANTS or (is_letter if is_word else is_command):
            return self._symbol(name)  # \hbar, \ell and what else there is
        self.at -= 1
        if not is_word or not self.is_symbolic():
            raise NotAFormula(name)
        self.split()
        return self._name(self.peek())

    def _symbol(self, name: str) -> Value:
        while self.take("'"):
            name += "'"
        if self.take("_"):
            name += f"_{self._subscript()}"
        # f(0), P(x), g(x, y) are functions, x(x+1) is a product
        is_single = self.peek(2).kind == ")" and self.peek(1).text.isalpha()
        is_called = name[0] in _CALLED or is_single or self.peek(2).kind == ","
        is_bracket = self.peek().kind == "(" and not self.peek().spaced
        if name in CONSTANTS or not (is_called and is_bracket):
            return values.free(CONSTANTS.get(name, name))
        found: list[Value] = []
        while self.take("(", ","):
            found.append(self._sum())
        self.expect(")")
        if name == "C" and len(found) == 2:
            return values.apply("binom", *found)
        return values.free(f"{name}({', '.join(str(value.key) for value in found)})")

    def _subscript(self) -> str:
        if self.take("{"):
            inner = ""
            while not self.take("}"):
                inner += self._subscript()
            return inner
        if self.peek().text.isalpha() and self.peek(1).kind in ("_", "^"):
            self.split()  # as TeX reads F_kF_n
        self.at += 1
        return self.tokens[self.at - 1].text

    def _applied(self, name: str) -> Value:
        base = self._argument() if self.take("_") else None
        rate = self._exponent()
        if rate.constant == -1:
            name, rate = f"arc{name}", rational(1)
        argument = self._group() if self.peek().kind in BRACKETS else self._bare_argument()
        result = values.apply(name, argument)
        return power(result / values.apply("log", base) if base else result, rate)

    def _bare_argument(self) -> Value:
        """The argument of a function without brackets: factors up to an operator or function."""
        value = self._signed()
        while self.starts_factor() and spelled_name(self.peek()) not in ("(", *FUNCTIONS):
            value *= self._power()
        return value
