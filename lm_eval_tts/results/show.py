"""A prompt and a response in a terminal: what was sent, and every phase of what came back."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from lm_eval_tts.core.identity import mapping_in
from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.results.formats import MISSING, printable
from lm_eval_tts.results.runs import Run
from lm_eval_tts.results.samples import SampleTexts

# Of the pieces that a response consists of; `forced` and `wait` are what the strategy put in.
STYLES = {"thinking": "cyan", "answer": "bold", "tag": "dim", "wait": "bold magenta"}
STYLES["forced"] = "yellow"
STATES = {"chosen": "bold", "dropped": "dim"}  # of the steps of a search


def prompt_report(
    prompt: str, settings: Mapping[str, Any], reference: str, marks: Delimiters | None = None
) -> RenderableType:
    """Return the exact prompt, with the settings and delimiters that go with it."""
    told = dict(settings) | ({k: v for k, v in asdict(marks).items() if v} if marks else {})
    return Group(
        Rule("prompt", align="left"),
        Text(printable(prompt)),
        Rule("settings", align="left"),
        *(Text(printable(f"{name} = {value!r}")) for name, value in told.items()),
        Rule("reference", align="left"),
        Text(printable(reference)),
    )


def sample_report(run: Run, sample: SampleTexts, marks: Delimiters | None = None) -> RenderableType:
    """Return all that is known about a document of a run: prompt, responses, choices, cost."""
    # Figures that are not 0 and of no point; a stock model has none.
    cost = [f"{n} {v:g}" for n, v in sample.figures.items() if v and "@" not in n]
    return Group(
        Rule(printable(f"{run.name}: {sample.label}"), characters="="),
        prompt_report(sample.prompt, sample.settings, sample.reference, marks),
        *_responses(sample),
        *_table("answers at budgets", sample.answers_at_points),
        *_table("candidates", _candidates(sample)),
        *_search(sample),
        *((Rule("cost", align="left"), Text(", ".join(cost))) if cost else ()),
    )


def _responses(sample: SampleTexts) -> Iterator[RenderableType]:
    legend = Text.assemble(*((f" {kind} ", style) for kind, style in STYLES.items()))
    score = MISSING if sample.score is None else f"{sample.score:g}"
    pieces, extracted = dict(enumerate(sample.pieces)), dict(enumerate(sample.extracted))
    for number, (thinking, answer) in enumerate(sample.responses):
        yield Rule(Text.assemble("response", legend), align="left")
        yield coloured(thinking, answer, pieces.get(number, []))
        graded = f"graded: {extracted.get(number, MISSING)} (score {score})"
        yield Text(printable(graded), style="bold")


def coloured(thinking: str, answer: str, pieces: Sequence[tuple[str, int]]) -> Text:
    """Return a response with its phases in colours; by its tags where nothing more is known."""
    text, shown = thinking + answer, Text()
    known = pieces if len(pieces) > 1 else [("thinking", len(thinking)), ("answer", len(answer))]
    for kind, length in [*known, ("", len(text))]:
        shown.append(printable(text[:length]), STYLES.get(kind))
        text = text[length:]
    return shown


def _candidates(sample: SampleTexts) -> list[dict[str, Any]]:
    votes = Counter(str(candidate.get("class")) for candidate in sample.candidates)
    texts = list(map("".join, sample.responses))
    return [
        {
            "chosen": "*" if candidate.get("text") in texts else "",
            "answer": candidate.get("answer"),
            "votes": votes[str(candidate.get("class"))],
            "right": candidate.get("correct"),
            **mapping_in(candidate, "scores"),
            "tokens": candidate.get("total_tokens"),
        }
        for candidate in sample.candidates
    ]


def _search(sample: SampleTexts) -> Iterator[RenderableType]:
    """Yield the tree of a search: of each step the score of its path, and what became of it."""
    if not sample.tree:
        return
    yield Rule("search", align="left")
    branches = {-1: Tree("", hide_root=True)}
    for place, step in enumerate(sample.tree):
        score, text = _cell(step.score), printable(" ".join(step.text.split()))
        line = Text(f"{score} {step.state}: {text}", STATES.get(step.state, ""))
        branches[place] = branches[step.parent].add(line)
    yield branches[-1]


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    if not rows:
        return
    table = Table(*rows[0], title_justify="left", box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(_cell(row.get(name))) for name in rows[0]))
    yield Rule(title, align="left")
    yield table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return MISSING if value is None else printable(str(value))
