"""Who may import whom, what a bare import costs, and that no stock task name is taken."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

from lm_eval_tts.harness.names import task_configs

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lm_eval_tts"
# A part imports itself and the parts of the layers above it in this table, nothing else.
LAYERS = [
    {"errors", ""},  # "" is the package itself, of which only the version is imported
    {"core"},
    {"checkpoints", "engines", "grading", "prompts", "strategies"},
    {"results", "reward_models", "settings"},
    {"harness"},
    {"models", "tasks"},
    {"cli", "program", "scheduler"},  # the last two are old names of parts of core
    {"__main__"},
]
LAYER_OF = {part: number for number, parts in enumerate(LAYERS) for part in parts}
SCORERS = {f"reward_models/{name}.py" for name in ("hf", "qwen2", "vllm")}
LOADING = {"reward_models/families.py", "reward_models/loading.py"}  # within their functions
# Who may import what is slow to import, by part or by file.
HEAVY = {
    "torch": {
        "core/identity.py",
        "engines",
        "harness/doctor.py",
        "models",
        *SCORERS,
        *LOADING,
    },
    "transformers": {"engines", "models", *SCORERS, *LOADING},
    "vllm": {"engines", "models", "reward_models/vllm.py"},
    "aiohttp": {"engines"},
    "lm_eval": {"models", "tasks", "cli", "harness/extensions.py"},
}
FILES = sorted(PACKAGE.glob("**/*.py"))


def part_of(module: str) -> str:
    """The part of the package that a module is in."""
    return module.split(".")[1] if "." in module else ""


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & MODULES.keys() or {node.module}
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_from_a_layer_to_those_below_it(module: str):
    part = part_of(module)
    for other in imports_of(MODULES[module]):
        if other.split(".")[0] == "lm_eval_tts" and part_of(other) != part:
            assert LAYER_OF[part_of(other)] < LAYER_OF[part], f"{module} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_what_is_slow_to_import_is_imported_where_it_is_needed(path: Path):
    file = str(path.relative_to(PACKAGE))
    for heavy in HEAVY.keys() & {name.split(".")[0] for name in imports_of(path)}:
        assert HEAVY[heavy] & {file, part_of(module_of(path))}, f"{file} imports {heavy}"


def test_no_two_modules_import_each_other():
    graph = {module: imports_of(path) & MODULES.keys() for module, path in MODULES.items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def test_every_part_is_in_a_layer():
    assert {part_of(module) for module in MODULES} == set(LAYER_OF)


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, lm_eval_tts, lm_eval_tts.harness.autoload; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {"torch", "transformers", "lm_eval", "yaml", "typing"} & set(loaded.split())


def test_no_task_or_group_of_ours_takes_a_name_that_lm_eval_has():
    """A stock name must keep its stock meaning on a machine that has this package."""
    ours = {path.stem for path in Path(task_configs()).glob("**/*.yaml")}
    assert len(ours) >= 95
    stock = Path(find_spec("lm_eval").origin).parent / "tasks"
    taken = set()
    for folder in ("aime", "gpqa", "gsm8k", "gsm8k_platinum", "hendrycks_math", "minerva_math"):
        for path in (stock / folder).glob("**/*.yaml"):
            text = path.read_text(encoding="utf-8")
            taken |= {
                name for name in ours for key in ("task", "group") if f"{key}: {name}\n" in text
            }
    assert not taken
