"""JSON with something else in one place: what nobody expects of a file or a server."""

from copy import deepcopy
from random import Random
from typing import Any

VALUES = (
    None, True, -1, 10**400, 1e308, float("nan"), float("inf"), "", "x", "\ud83d", "\x1b[31mred",
    "=1+1", "<img src=x>", "a\nb", [], [[1]], {}, {"a": {}}, ["x", None, {"y": []}], "N/A",
)  # fmt: skip


def places(value: Any, prefix: tuple = ()):
    """Every place within a JSON value, the value itself left out."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*prefix, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*prefix, key))


def changed(content: Any, place: tuple, value: Any) -> Any:
    content = inner = deepcopy(content)
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return content


def mutated(content: Any, random: Random) -> Any:
    return changed(content, random.choice(list(places(content))), random.choice(VALUES))
