"""One response against one reference: what was answered, and whether that is right.

Right is an answer of the reference's value that does what the question, or the form of the
reference, asks beyond it: it does not only repeat an expression of the question, nor leave
unevaluated what was to be evaluated.
"""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

from lm_eval_tts.core.texts import has_loop
from lm_eval_tts.grading.choices import find_choice
from lm_eval_tts.grading.equality import Tolerance, answer_classes, equivalent, matches, within
from lm_eval_tts.grading.extraction import Found, find_answer, in_parts
from lm_eval_tts.grading.formulas import spelled_name
from lm_eval_tts.grading.notation import NUMBERS, fold, tidy, tokens
from lm_eval_tts.grading.parts import DEFAULT_TAGS, Parts, State, Tags, split_parts
from lm_eval_tts.grading.values import BINDERS, FUNCTIONS

Kind = Literal["math", "choice"]
MAX_RESPONSE = 500_000  # characters; of a longer response the end is graded

_BLANKS = re.compile(r"\s{40,}")  # so that no pattern meets a long run of white space
_SOLUTION = re.compile(
    r"\\boxed|####|<answer>|[Aa]nswer\s*(?:is|:)|[.!?]\s+(?:Therefore|Thus|Hence|So)\b"
)
_FUNCTIONS = {*FUNCTIONS, *BINDERS, "gcd", "lcm", "max", "min"}
_ARITHMETIC = {*NUMBERS, *"+-*()"}
_ROOT = re.compile(r"(?:\\?sqrt|√)(?:\[(\d)\])?\s{0,2}[({]?\s?(\d{1,9})(?![\d.])\s?[)}]?")
_UNSEEN = str.maketrans("", "", " ${}\n")


class Item(NamedTuple):
    """One response to grade.

    kind: "math" compares by value; of a "choice" the reference is a letter, and `options` maps
    letters to their texts, not necessarily all of them. tags: those asked for ("" for none); the
    usual families are recognised without. question: what was asked, which an answer must not only
    repeat. tolerance: of the task; exact without.
    """

    response: str
    reference: str
    kind: Kind = "math"
    options: Mapping[str, str] | None = None
    tags: Tags = DEFAULT_TAGS
    question: str = ""
    tolerance: Tolerance | None = None


class Verdict(NamedTuple):
    """Whether a response is right (not so where that could not be decided), and by what.

    answer: as extracted, if there is one. source: where it was found (see `extraction`). state:
    which thinking tags are present. loop: the text ends in a repetition. undecided: a sum, limit or
    integral would have to be worked out. reference: what was read from a whole solution.
    """

    correct: bool
    answer: str | None
    source: str | None
    state: State
    loop: bool
    undecided: bool = False
    reference: str | None = None


def grade(
    response: str,
    reference: str,
    kind: Kind = "math",
    options: Mapping[str, str] | None = None,
    tags: Tags = DEFAULT_TAGS,
    question: str = "",
    tolerance: Tolerance | None = None,
) -> Verdict:
    """Grade one response; the arguments are the fields of `Item`."""
    if kind not in ("math", "choice"):
        raise ValueError(f'kind {kind!r} is unknown: it is "math" or "choice"')
    item = Item(response, reference, kind, options, tags, question, tolerance)
    found, parts, loop = _read(item)
    loop = loop or any(map(has_loop, (parts.thinking, *parts.answers)))
    solution = _solved(item.reference) if item.kind == "math" else None
    wanted = item._replace(reference=solution or item.reference)
    correct = _correct(wanted, found, parts) if found else False
    answer, source = found[:2] if found else (None, None)
    return Verdict(bool(correct), answer, source, parts.state, loop, correct is None, solution)


def grade_many(items: Iterable[Item]) -> list[Verdict]:
    """Grade responses, equal items once."""
    known: dict[Hashable, Verdict] = {}
    verdicts = []
    for item in items:
        key = (*item[:3], repr(item[3:]))
        known[key] = known.get(key) or grade(*item)
        verdicts.append(known[key])
    return verdicts


def response_classes(
    responses: Sequence[str], options: Mapping[str, str] | None = None, tags: Tags = DEFAULT_TAGS
) -> list[int | None]:
    """Return the class of each response's answer; with options the answer is a letter."""
    kind: Kind = "choice" if options else "math"
    found = [_read(Item(str(text), "", kind, options, tags))[0] for text in responses]
    return answer_classes([one.answer if one else None for one in found])


@lru_cache(maxsize=20_000)
def _solved(reference: str) -> str | None:
    """The answer of a reference that is a whole solution, by the extraction of responses."""
    found = _read(Item(reference, ""))[0] if _SOLUTION.search(reference) else None
    return found.answer if found else None


def _read(item: Item) -> tuple[Found | None, Parts, bool]:
    """Return what was answered, the parts it was read from, and whether the text ends in a loop."""
    response = _BLANKS.sub("\n\n", str(item.response)[-MAX_RESPONSE:])
    loop = has_loop(response)
    parts = split_parts(tidy(response), item.tags)
    command, _, inner = item.reference.partition("{(")  # \\text{(C)}: the problem lists its options
    is_letter = command.startswith("\\text") and len(inner.strip(" })")) == 1
    is_choice = item.kind == "choice"
    found = find_choice(parts, item.options, loop) if is_choice or is_letter else None
    return found if found or is_choice else find_answer(parts, loop, item.question), parts, loop


def _correct(item: Item, found: Found, parts: Parts) -> bool | None:
    answer, reference, question = found.answer, item.reference, item.question
    if item.kind == "choice":
        return answer == _letter(reference, item.options)
    correct = matches(answer, reference)
    if correct:
        return not leaves_work(answer, reference, question)
    is_asked = bool(question) and in_asked_form(answer, reference, question)
    if is_asked or (item.tolerance and within(answer, reference, item.tolerance)):
        return True
    if correct is None or found.source in ("phrase", "hash"):
        return correct
    return matches(in_parts(reference, parts), reference) is True


def _letter(reference: str, options: Mapping[str, str] | None) -> str:
    """The letter of a reference such as B, (B), "B. Ribosome" or "The correct answer is B."."""
    bare = reference.strip(" ()").upper()
    found = _read(Item(reference, "", "choice", options))[0] if len(bare) > 1 else None
    return found.answer if found else bare


def leaves_work(answer: str, reference: str, question: str = "") -> bool:
    """Say whether an answer of the right value leaves the work that was asked for undone."""
    side = answer.rpartition("=")[2]
    if not _repeats(reference, question) and any(_repeats(a, question) for a in (answer, side)):
        return True
    if _squeezed(side) == _squeezed(reference):
        return False
    given, wanted = tokens(tidy(side)), tokens(tidy(reference))
    named, needed = (
        {spelled_name(t) for t in side if t.mode != "text"} & _FUNCTIONS for side in (given, wanted)
    )
    kinds = [t.kind for t in given]
    is_sum = not {"+", "-", "*"}.isdisjoint(kinds[1:]) and _ARITHMETIC.issuperset(kinds)
    is_sum = is_sum and sum(t.kind in NUMBERS for t in wanted) == 1  # 3 * 4 + 7
    return bool(named and not needed) or is_sum or _is_reducible(side, reference)


def in_asked_form(answer: str, reference: str, question: str) -> bool:
    """Say whether the question makes an answer that of the reference: base b, or lhs = value."""
    digits, asked = answer.strip(" $."), _squeezed(question)
    if "_" in reference and digits[:1].isdigit():
        words = fold(tokens(tidy(question.replace("-", " "))))
        bases = [base.text for name, base in pairwise(words) if name.text.lower() == "base"]
        return any(equivalent(f"{digits}_{{{base}}}", reference) for base in bases)
    left, _, right = map(_squeezed, answer.rpartition("="))
    is_asked = bool(left) and left in asked and f"{left}=" not in asked
    return is_asked and matches(right, reference) is True


def _is_reducible(text: str, reference: str) -> bool:
    """Whether a root is left that the reference has not, or is all there is, as in √242."""
    is_plain = "sqrt" not in reference and "√" not in reference
    roots = [m for m in _ROOT.finditer(text) if is_plain or m[0] == text.strip(" $.")]
    powers = [(int(root[2]), int(root[1] or 2)) for root in roots]
    return any(n % factor**power == 0 for n, power in powers for factor in range(2, 200))


def _repeats(text: str, question: str) -> bool:
    plain = _squeezed(text).strip(".")
    is_long = len(plain) > (4 if "=" in plain else 2)  # x = 2 stands in 2x = 256 too
    return is_long and any(c in plain for c in "^/+*(\\!=-") and plain in _squeezed(question)


def _squeezed(text: str) -> str:
    return text.translate(_UNSEEN)
