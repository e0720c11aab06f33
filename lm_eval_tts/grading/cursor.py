"""A place in the tokens of an answer, and what may start a factor there."""

from __future__ import annotations

from collections.abc import Sequence

from lm_eval_tts.grading.functions import FUNCTIONS
from lm_eval_tts.grading.lexicon import words_of
from lm_eval_tts.grading.tokens import GREEK, NUMBERS, Token
from lm_eval_tts.grading.units import unit_of
from lm_eval_tts.grading.values import NotAFormula

BRACKETS = {"(": ")", "[": "]", "{": "}", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil"}
GREEK_NAMES = frozenset(GREEK.values())
FUNCTION_NAMES = frozenset([*FUNCTIONS, "sqrt", "pi", "infinity", "oo"])
SHORT = words_of("short_words")
_STARTS = (*BRACKETS, "\\infty", "\\sqrt", "\\cbrt", "\\frac", "\\binom")
FIRST_IDEOGRAM = "\u2e80"  # Chinese and Japanese words are no variables
END = Token("END", "")


def spelled_name(token: Token) -> str:
    """Return the name of a word or command, Greek letters spelled out."""
    name = (token.kind if token.kind.startswith("\\") else token.text).lstrip("\\")
    return GREEK.get(name, name)


class Cursor:
    """A place in tokens. sign: what ± means."""

    def __init__(self, found: Sequence[Token], sign: int = 1) -> None:
        self.tokens, self.at, self.depth, self.sign = list(found), 0, 0, sign

    def peek(self, ahead: int = 0) -> Token:
        """Return the token some places ahead."""
        at = self.at + ahead
        return self.tokens[at] if 0 <= at < len(self.tokens) else END

    def take(self, *kinds: str) -> str | None:
        """Pass a token of one of these kinds, and return it; None if there is another."""
        token = self.peek()
        if token.kind in kinds or (token.kind == "WORD" and token.text in kinds):
            self.at += 1
            return token.text if token.kind == "WORD" else token.kind
        return None

    def take_all(self, *kinds: str) -> bool:
        """Pass tokens of these kinds or texts, if they are the next ones."""
        following = [self.peek(ahead) for ahead in range(len(kinds))]
        if any(kind not in (t.kind, t.text) for kind, t in zip(kinds, following, strict=True)):
            return False
        self.at += len(kinds)
        return True

    def expect(self, *kinds: str) -> str:
        """Pass a token of one of these kinds. Raises NotAFormula."""
        if not (found := self.take(*kinds)):
            raise NotAFormula(self.peek().text)
        return found

    def split(self) -> None:
        """Take the first letter or digit of a token as one of its own."""
        token = self.peek()
        kind = "NUMBER" if token.text[0].isdigit() else "WORD"
        self.tokens[self.at : self.at + 1] = [
            token._replace(kind=kind, text=token.text[0]),
            token._replace(text=token.text[1:], spaced=False),
        ]

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
        return token.kind in _STARTS or (not self.unit_at(0) and self.is_symbolic())

    def is_symbolic(self) -> bool:
        """Whether a word is a function, a letter or a product of letters rather than prose."""
        token = self.peek()
        name = spelled_name(token)
        if name in FUNCTION_NAMES or name in GREEK_NAMES:
            return True
        if token.kind != "WORD" or len(name) == 1:
            return token.kind == "WORD" and name < FIRST_IDEOGRAM
        is_prose = token.mode == "text" or not name.isalpha() or name.lower() in SHORT
        has_vowel = any(c in "aeiouy" for c in name.lower())
        return not is_prose and (len(name) == 2 or (len(name) <= 4 and not has_vowel))
