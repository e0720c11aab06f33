"""Writes the table of docs/servers.md from the package's own (dialects.yaml).

python scripts/make_server_table.py
"""

from pathlib import Path

from lm_eval_tts.engines.server.dialects import OFF, SERVERS, Dialect

PAGE = Path(__file__).parents[1] / "docs" / "servers.md"
START, END = "<!-- the table -->\n", "<!-- its end -->\n"
OURS = (*OFF, "seed", "logit_bias")


def exactness(way: Dialect) -> str:
    """Say what goes in and comes back."""
    if way.prompt == "messages":
        return "messages to text: nothing is continued"
    return f"{way.prompt} to {'ids: exact' if way.returns_ids else 'text: exact in the text'}"


def row(server: str, way: Dialect) -> str:
    """Return one line of the table."""
    names = {ours: way.settings.get(ours) for ours in OURS}
    other = ", ".join(f"`{a}` as `{b}`" for a, b in names.items() if b and a != b)
    refused = ", ".join(f"`{name}`" for name, theirs in names.items() if theirs is None)
    path = way.path if way.native else f"/v1{way.path}"
    cells = (server, f"`{path}`", exactness(way), other, way.estimated, refused)
    return "| " + " | ".join(cells) + " |"


def table() -> str:
    """Return the table in Markdown."""
    head = ("server", "asked by", "what is exact", "other names", "estimated", "refused")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for server, ways in SERVERS.items():
        lines += [row(server, way) for way in ways]
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return the page with the table as it is now."""
    before, rest = text.split(START)
    return before + START + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
