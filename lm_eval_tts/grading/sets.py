"""Sets of numbers: ℝ, ℝ without some points, all positive numbers and zero."""

from __future__ import annotations

from lm_eval_tts.grading.formulas import FormulaReader
from lm_eval_tts.grading.lexicon import words_of
from lm_eval_tts.grading.trees import ALL_REALS, Node, complement, node_of

REALS = ("\\R", "\\Reals", "\\reals")
SPOKEN = {"positive": (0, None, "()"), "negative": (None, 0, "()")}
SPOKEN |= {"nonnegative": (0, None, "[)"), "nonpositive": (None, 0, "(]")}
SET_WORDS = words_of("set_words")
EXCEPT = ("except", "but", "than", "to", "for")


class SetReader(FormulaReader):
    """Reads a set of numbers; None where it is not there."""

    def number_set(self) -> Node | None:
        """Read ℝ or another set of numbers, with what is taken out of it."""
        if self.peek().kind not in (*REALS, "\\mathbb"):
            return None
        self.at += 1
        name = self.peek(-1).text[1:2]
        if self.peek(-1).kind not in REALS:
            braced = self.take("{")
            name, self.at = self.peek().text, self.at + 1
            if braced:
                self.expect("}")
        if name.upper() != "R" or self.peek().kind == "^":
            return Node("opaque", f"\\mathbb{name}")
        return complement(self.points()) if self.take("\\setminus", "-") else ALL_REALS

    def spoken_set(self) -> Node | None:
        """All (positive, nonnegative ...) real numbers (and zero), except some."""
        words: list[str] = []
        while self.peek(len(words)).kind == "WORD":
            word = self.peek(len(words)).text.lower().replace("-", "")
            if word not in SET_WORDS:
                break
            words.append(word)
        if not {"numbers", "number", "reals"} & set(words):
            return None
        self.at += len(words)
        with_zero = (words[-1] == "and" or bool(self.take(","))) and self.peek().text == "0"
        self.at += with_zero
        if words[-1] in EXCEPT and self.peek().kind != "END":
            return complement(self.points())
        low, high, mark = next((SPOKEN[w] for w in words if w in SPOKEN), (None, None, "()"))
        if with_zero:
            mark = mark.replace("(", "[") if low == 0 else mark.replace(")", "]")
        ends = [
            whole if end is None else node_of(end)
            for whole, end in zip(ALL_REALS.parts, (low, high), strict=True)
        ]
        return Node("tuple", mark, tuple(ends))

    def points(self) -> list[Node]:
        """Read the numbers that are taken out of a set."""
        braced = self.take("{{")
        points = [node_of(self.sum())]
        while self.take("and", "or", ","):
            points.append(node_of(self.sum()))
        if braced:
            self.expect("}}")
        return points
