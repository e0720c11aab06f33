"""Writes what in docs/ follows from the code: settings.md, and tables in other pages.

python scripts/reference_docs.py
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from lm_eval_tts.cli import app
from lm_eval_tts.core.metrics import METRICS
from lm_eval_tts.engines.server.dialects import OFF, SERVERS, Dialect
from lm_eval_tts.grading.equality import READINGS
from lm_eval_tts.harness.run_state import RunState
from lm_eval_tts.prompts import load_prompts
from lm_eval_tts.reward_models.loading import RewardModelSettings
from lm_eval_tts.settings import Common
from lm_eval_tts.strategies import BUILT_IN, find_strategy

DOCS = Path(__file__).resolve().parents[1] / "docs"


def said_of_fields(kind: type[Any]) -> dict[str, str]:
    """What the code says of each field: the string below it, or the comment beside or above it."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        source = textwrap.dedent(inspect.getsource(base))
        body, lines = ast.parse(source).body[0].body, source.splitlines()
        for node, after in zip(body, [*body[1:], None], strict=True):
            if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
                continue
            below = isinstance(after, ast.Expr) and ast.get_docstring(ast.Module([after], []))
            said = below or _comment(lines, node.lineno - 1)
            if said or node.target.id not in found:
                found[node.target.id] = said
    return found


def _comment(lines: list[str], number: int) -> str:
    beside = lines[number].partition("  # ")[2]
    above = []
    while number and lines[number - 1].strip().startswith("# "):
        number -= 1
        above.insert(0, lines[number].strip().removeprefix("# "))
    return beside or " ".join(above)


def default_of(field: Field[Any]) -> str:
    value = field.default
    if value is MISSING:
        return "" if field.default_factory is MISSING else repr(field.default_factory())
    return repr(value)


def table(kind: type[Any], skip: frozenset[str] = frozenset()) -> Iterator[str]:
    said = said_of_fields(kind)
    yield "| name | default | |\n|---|---|---|"
    for field in fields(kind):
        if field.init and field.name not in skip:
            allowed = getattr(field.metadata.get("allowed"), "words", "").replace("is a", "A")
            words = " ".join((said.get(field.name) or allowed).split()).replace("|", "\\|")
            default = default_of(field).replace("|", "\\|")
            yield f"| `{field.name}` | `{default}` | {words} |"


def settings_page() -> str:
    common = frozenset(field.name for field in fields(Common))
    prompts = load_prompts()
    parts = [
        "# Every setting\n",
        "Generated from the code by `python scripts/reference_docs.py`; a test keeps it current.\n",
        "Settings are given by `--gen_kwargs`, by a task's `generation_kwargs`, or, as defaults of "
        "all tasks, by `--model_args`. [Strategies](strategies.md) says how they combine.\n",
        "## For every strategy\n",
        *table(Common),
        "\n`prompt_style`: " + ", ".join(f"`{name}`" for name in prompts.styles) + ".",
        "`delimiters`: " + ", ".join(f"`{name}`" for name in prompts.delimiters) + ".",
        "`preset`: " + ", ".join(f"`{name}`" for name in prompts.methods) + ".\n",
    ]
    for name in BUILT_IN:
        kind = find_strategy(name)
        parts += [f"## `strategy={name}`\n", f"{inspect.getdoc(kind)}\n", *table(kind, common), ""]
    parts += ["## Reward models, in `--model_args`\n", *table(RewardModelSettings), ""]
    parts += ["## Long runs, in `--model_args`\n"]
    skip = frozenset(field.name for field in fields(RunState)) - {"journal", "max_failures"}
    parts += [*table(RunState, skip), "", "## Commands\n", "| `lm-eval-tts` | |", "|---|---|"]
    for command in app.registered_commands:
        doc = (inspect.getdoc(command.callback) or "").splitlines()[0]
        parts.append(f"| `{command.name}` | {doc} |")
    return "\n".join(parts) + "\n"


def metrics_table() -> str:
    rows = ["| column | in files | better | |", "|---|---|---|---|"]
    for metric in METRICS:
        better = "more" if metric.higher_is_better else "less"
        if metric.meaning:
            rows.append(f"| {metric.heading} | `{metric.name}` | {better} | {metric.meaning} |")
    return "\n".join(rows)


def readings_table() -> str:
    rows = ["| reading | of | why | answer | reference |", "|---|---|---|---|---|"]
    for reading in READINGS:
        answer, reference = (
            f"`{reading[side]}`".replace("|", "\\|") for side in ("answer", "reference")
        )
        said = " | ".join(reading[part] for part in ("name", "of", "why"))
        rows.append(f"| {said} | {answer} | {reference} |")
    return "\n".join(rows)


def exactness(way: Dialect) -> str:
    """Say what goes in and comes back."""
    if way.prompt == "messages":
        return "messages to text: nothing is continued"
    return f"{way.prompt} to {'ids: exact' if way.returns_ids else 'text: exact in the text'}"


def server_row(server: str, way: Dialect) -> str:
    names = {ours: way.settings.get(ours) for ours in (*OFF, "seed", "logit_bias")}
    other = ", ".join(f"`{a}` as `{b}`" for a, b in names.items() if b and a != b)
    refused = ", ".join(f"`{name}`" for name, theirs in names.items() if theirs is None)
    path = way.path if way.native else f"/v1{way.path}"
    cells = (server, f"`{path}`", exactness(way), other, way.estimated, refused)
    return "| " + " | ".join(cells) + " |"


def servers_table() -> str:
    head = ("server", "asked by", "what is exact", "other names", "estimated", "refused")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(server_row(s, way) for s, ways in SERVERS.items() for way in ways)])


# Pages with a table between two marks, <!-- name --> and <!-- end of name -->.
TABLES = {
    "figures.md": ("metrics", metrics_table),
    "grading.md": ("readings", readings_table),
    "servers.md": ("servers", servers_table),
}


def with_table(text: str, name: str, table: str) -> str:
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    head, _, rest = text.partition(start)
    return f"{head}{start}\n{table}\n{end}{rest.partition(end)[2]}"


def pages() -> dict[Path, str]:
    """Every page with its text as it should be."""
    found = {DOCS / "settings.md": settings_page()}
    for page, (name, table) in TABLES.items():
        text = (DOCS / page).read_text(encoding="utf-8")
        found[DOCS / page] = with_table(text, name, table())
    return found


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
