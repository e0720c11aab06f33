"""One name, one thing: what is public, or a constant, is defined in one module of the package."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "lm_eval_tts"
ANYWHERE = {"logger", "T"}  # a logger is its module's, and a type variable stands for anything


def names_of(module: ast.Module) -> Iterator[str]:
    """Every class, function and constant of a module, private functions left out."""
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from [] if node.name.startswith("_") else [node.name]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [
                t.id for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)
            ]
            yield from (n for n in names if not n.startswith("_") or n.lstrip("_").isupper())


def test_no_name_is_defined_in_two_modules():
    places = defaultdict(set)
    for path in PACKAGE.glob("**/*.py"):
        for name in names_of(ast.parse(path.read_text(encoding="utf-8"))):
            places[name].add(str(path.relative_to(PACKAGE)))
    twice = {name: files for name, files in places.items() if len(files) > 1}
    found = {name: sorted(files) for name, files in twice.items() if name not in ANYWHERE}
    assert found == {}
