"""Six layers inside of grading: a module imports those of its own and of lower ones, no others."""

from pathlib import Path

import pytest
from test_architecture import PACKAGE, imports_of

LAYERS = [
    {"notation", "values"},
    {"formulas"},
    {"trees", "grammar"},
    {"equality"},
    {"parts", "claims", "extraction", "choices"},
    {"verdicts", "__init__"},
]
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
FOLDER = PACKAGE / "grading"
FILES = sorted(FOLDER.glob("*.py"))


def test_every_module_is_in_one_of_six_layers():
    assert {path.stem for path in FILES} == set(LAYER_OF)
    assert len(LAYERS) <= 6


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_module_imports_no_higher_layer(path: Path):
    inner = (name.split(".")[2:] for name in imports_of(path) if ".grading." in name)
    higher = {name for name, *_ in inner if LAYER_OF[name] > LAYER_OF[path.stem]}
    assert not higher
