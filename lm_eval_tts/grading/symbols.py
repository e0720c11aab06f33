"""What a name in a formula is: a symbol, a function of its argument, a root, a sum or an integral.

The upper half of `formulas`, whose reader these functions are given.
"""

from __future__ import annotations

from lm_eval_tts.grading import values
from lm_eval_tts.grading.binders import bound
from lm_eval_tts.grading.cursor import (
    BINDERS,
    BRACKETS,
    FUNCTION_NAMES,
    NO_SYMBOLS,
    Cursor,
    script,
    spelled_name,
    whole,
)
from lm_eval_tts.grading.functions import (
    FUNCTIONS,
    NotAFormula,
    apply,
    binomial,
    logarithm,
    rounded,
)
from lm_eval_tts.grading.powers import power
from lm_eval_tts.grading.tokens import GREEK, Token
from lm_eval_tts.grading.values import Value


def symbol(reader: Cursor, token: Token) -> Value:
    """Read what a word or command stands for."""
    reader.at += 1
    name = spelled_name(token)
    if name in ("frac", "binom") and token.kind != "WORD":
        return _stacked(reader, name)
    if name in ("sqrt", "cbrt"):
        return _root(reader, token)
    if token.kind in BINDERS:
        return bound(reader, BINDERS[token.kind])
    if name in ("lfloor", "lceil"):
        value = reader.sum()
        reader.expect(f"\\r{name[1:]}")
        return rounded(name[1:], value)
    if name in ("pi", "infty", "infinity", "oo"):
        return values.PI if name == "pi" else values.INFINITY
    if name in FUNCTIONS:
        return _applied(reader, name)
    if token.kind != "WORD" and name in GREEK.values():
        return _symbol(reader, name)
    if token.kind == "WORD" and (len(name) == 1 or name in GREEK.values()):
        return _symbol(reader, name)
    if (
        token.kind != "WORD"
        and reader.peek().kind != "{"
        and token.kind[1:].isalpha()
        and token.kind not in NO_SYMBOLS
    ):
        return _symbol(reader, name)  # \hbar, \ell and what else there is
    reader.at -= 1
    if token.kind != "WORD" or not reader.is_symbolic():
        raise NotAFormula(name)
    known = next(
        (n for n in FUNCTION_NAMES if name.startswith(n) and len(n) > 2 and n.islower()), name[0]
    )
    reader.tokens[reader.at : reader.at + 1] = [
        token._replace(text=known),
        token._replace(text=name[len(known) :], spaced=False),
    ]
    return symbol(reader, reader.peek())


def _stacked(reader: Cursor, name: str) -> Value:
    if name == "frac" and (symbol := _derivative(reader)):
        return symbol
    top = reader.argument()
    bottom = reader.argument()
    return values.divide(top, bottom) if name == "frac" else binomial(top, bottom)


def _derivative(reader: Cursor) -> Value | None:
    """dy/dx is one symbol, not a quotient."""
    end = reader.at
    closed = 0
    while closed < 2 and end < len(reader.tokens):
        closed += reader.tokens[end].kind == "}"
        end += 1
    texts = [t.text for t in reader.tokens[reader.at : end]]
    if "}" not in texts[:-1] or texts[:1] != ["{"]:
        return None
    bottom = texts[texts.index("}") + 1 :]
    letters = "".join(t for t in bottom if t not in "{}")
    marks = ("d", "\\partial")
    if (
        not texts[1].startswith(marks)
        or not letters.startswith(marks)
        or not 2 <= len(letters.removeprefix("\\partial")) + 1 <= 6
    ):
        return None
    if (
        len(letters) < 2
        or any(c in letters for c in "+*/")
        or (len(texts[1]) > 2 and texts[1] != "\\partial")
    ):
        return None
    reader.at = end
    return values.free("derivative " + "".join(texts))


def _root(reader: Cursor, token: Token) -> Value:
    degree = reader.group("[", "]") if reader.peek().kind == "[" else values.rational(2)
    degree = values.rational(3) if spelled_name(token) == "cbrt" or token.text == "∛" else degree
    radicand = reader.argument() if token.text.startswith("\\") else reader.factor()
    return power(radicand, values.divide(values.rational(1), degree))


def _symbol(reader: Cursor, name: str) -> Value:
    while True:
        if reader.peek().kind == "'":
            reader.at += 1
        elif reader.peek().kind == "^" and reader.peek(1).kind == "'":
            reader.at += 2
        elif reader.peek().kind == "^" and [reader.peek(k).kind for k in (1, 2, 3)] == [
            "{",
            "'",
            "}",
        ]:
            reader.at += 4
        else:
            break
        name += "'"
    if reader.peek().kind == "SUB":
        name += "_" + script(reader.peek().text)
        reader.at += 1
    elif reader.take("_"):
        name += f"_{_subscript(reader)}"
    if name in reader.known:
        return reader.known[name]
    if _is_function(reader, name):
        return _called(reader, name)
    if name == "i":
        return values.IMAGINARY_UNIT
    return values.E if name == "e" else values.free(name)


def _subscript(reader: Cursor) -> str:
    start = reader.at
    if reader.peek().kind == "{" and reader.peek(2).kind == "}":
        reader.at += 3
        name = reader.peek(-2).text
        return str(reader.known[name].key) if name in reader.known else name
    if reader.peek().kind == "{" and reader.peek(1).mode != "text" and len(reader.peek(1).text) < 2:
        try:
            key = reader.group("{", "}").key
            return str(key)
        except NotAFormula:
            reader.at = start
    if reader.peek().kind != "{":
        reader.at += 1
        name = reader.peek(-1).text
        return str(reader.known[name].key) if name in reader.known else name
    end = next(
        (k for k in range(start, len(reader.tokens)) if reader.tokens[k].kind == "}"),
        len(reader.tokens),
    )
    reader.at = end + 1
    return "".join(t.text for t in reader.tokens[start + 1 : end])


def _is_function(reader: Cursor, name: str) -> bool:
    """Whether a letter before a parenthesis is a function: f(0), P(x), but not x(x+1)."""
    inverse = [reader.peek(k).text for k in range(5)] == ["^", "{", "-", "1", "}"] and reader.peek(
        5
    ).kind == "("
    if inverse and name[0] in "fghFGH":
        return True
    if reader.peek().kind != "(" or reader.peek().spaced:
        return False
    inner, closing = reader.peek(1), reader.peek(2)
    single = closing.kind == ")" and len(inner.text) == 1
    if len(name) > 2 and name not in GREEK.values() and name.isalpha():
        return True  # an unknown command
    return (
        name[0] in "fghFGH"
        or (single and inner.text.isalpha())
        or (single and name.isupper())
        or (inner.text in ("f", "g", "h") and closing.kind == "(")
    )


def _called(reader: Cursor, name: str) -> Value:
    if reader.take("^"):
        reader.at += 4
        name += "^-1"
    reader.expect("(")
    if name == "C" and reader.peek(1).kind == ",":
        raise NotAFormula("a binomial")
    keys = [reader.sum().key]
    while reader.take(","):
        keys.append(reader.sum().key)
    reader.expect(")")
    return values.free(f"{name}({', '.join(map(str, keys))})")


def _applied(reader: Cursor, name: str) -> Value:
    base = exponent = None
    for _ in range(2):
        if reader.peek().kind == "SUB":
            base = values.rational(whole(script(reader.peek().text)))
            reader.at += 1
        elif reader.take("_"):
            base = reader.argument()
        elif reader.take("^"):
            exponent = reader.exponent()
        elif reader.peek().kind == "SUPER":
            exponent = values.rational(whole(script(reader.peek().text)))
            reader.at += 1
    if exponent is not None and exponent.constant == -1:
        name, exponent = f"arc{name}", None
        if name not in FUNCTIONS:
            raise NotAFormula(name)
    argument = (
        reader.bracketed(reader.peek().kind)
        if reader.peek().kind in BRACKETS
        else _bare_argument(reader)
    )
    result = apply(name, argument) if base is None else logarithm(argument, base)
    return result if exponent is None else power(result, exponent)


def _bare_argument(reader: Cursor) -> Value:
    """The argument of a function without brackets: factors up to an operator or function."""
    value = reader.signed()
    while (
        reader.starts_factor()
        and reader.peek().kind != "("
        and spelled_name(reader.peek()) not in FUNCTIONS
    ):
        value = values.multiply(value, reader.power())
    return value
