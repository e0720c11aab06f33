"""Who may import whom, what a bare import costs, and that no stock task name is taken."""

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from lm_eval_tts.autoload import task_configs

PACKAGE = Path(__file__).resolve().parents[1] / "lm_eval_tts"
# What each part may import of the package; the rest of the rules are HEAVY below.
MAY_IMPORT = {
    "program": set(),
    "checkpoints": set(),
    "errors": set(),
    "prompts": {"errors", "program"},
    "progress": set(),
    "response": set(),
    "voting": set(),
    "difficulty": set(),
    "outcome": set(),
    "credentials": {"errors"},
    "digests": set(),
    "disk": {"errors"},
    "journal": {"disk", "errors"},
    "guard": {"autoload", "credentials", "disk", "errors", "outcome"},
    "doctor": {"autoload", "disk", "errors"},
    "strategies": {"difficulty", "errors", "program", "strategies", "voting"},
    "engines": {"errors", "journal", "program", "engines"},
    "scheduler": {"errors", "program", "engines", "reward_models"},
    "results": {"difficulty", "errors", "results"},
    "reward_models": {
        "digests",
        "engines",
        "errors",
        "grading",
        "journal",
        "program",
        "reward_models",
    },
    "settings": {"errors", "program", "prompts", "strategies"},
    "grading": {"errors", "grading"},
    "tasks": {"autoload", "errors", "grading", "progress", "response", "tasks", "voting"},
    "models": {
        "",  # the version
        "checkpoints",
        "credentials",
        "digests",
        "disk",
        "engines",
        "errors",
        "grading",
        "journal",
        "models",
        "outcome",
        "program",
        "progress",
        "prompts",
        "response",
        "results",
        "reward_models",
        "scheduler",
        "settings",
        "strategies",
    },
}
SCORERS = {f"reward_models/{name}.py" for name in ("heads", "hf", "padded", "prefixes", "vllm")}
LOADING = {"reward_models/loading.py"}  # within its functions
HEAVY = {
    "torch": {"digests", "doctor", "engines", "models", *SCORERS, *LOADING},
    "transformers": {"engines", "models", *SCORERS, *LOADING},
    "vllm": {"engines", "models", "reward_models/vllm.py"},
    "aiohttp": {"engines"},
    "lm_eval": {"models", "tasks", "cli"},
}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


FILES = [
    (part, path) for part in MAY_IMPORT for path in sorted(PACKAGE.glob(f"{part}/**/*.py"))
] + [(part, PACKAGE / f"{part}.py") for part in MAY_IMPORT if (PACKAGE / f"{part}.py").exists()]


@pytest.mark.parametrize(
    ("part", "path"), FILES, ids=[str(p.relative_to(PACKAGE)) for _, p in FILES]
)
def test_imports_point_one_way(part: str, path: Path):
    for module in imports_of(path):
        top, _, rest = module.partition(".")
        if top == "lm_eval_tts":
            assert rest.split(".")[0] in MAY_IMPORT[part], f"{part} imports {module}"
        if top in HEAVY:
            file = str(path.relative_to(PACKAGE))
            assert HEAVY[top] & {part, file}, f"{file} imports {module}"


def test_every_module_is_under_the_rules():
    ruled = {path for _, path in FILES}
    free = {PACKAGE / name for name in ("__init__.py", "autoload.py", "cli.py")}
    assert set(PACKAGE.glob("**/*.py")) == ruled | free


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, lm_eval_tts, lm_eval_tts.autoload; print(*sys.modules)"
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
