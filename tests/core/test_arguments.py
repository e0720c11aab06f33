"""Every argument of a model says whether it decides what is answered."""

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from lm_eval_tts.core.identity import DECIDES, decides
from lm_eval_tts.models.arguments import OWN

PACKAGE = Path(__file__).parents[2] / "lm_eval_tts"
LM_EVAL = Path(find_spec("lm_eval").origin).parent
CLASSES = {
    LM_EVAL / "models" / "huggingface.py": "HFLM",
    LM_EVAL / "models" / "vllm_causallms.py": "VLLM",
    LM_EVAL / "models" / "api_models.py": "TemplateAPI",
    LM_EVAL / "models" / "openai_completions.py": "LocalCompletionsAPI",
    PACKAGE / "models" / "hf.py": "TTSHF",
    PACKAGE / "models" / "vllm.py": "TTSVLLM",
    PACKAGE / "models" / "openai.py": "TTSOpenAI",
    PACKAGE / "models" / "replay.py": "TTSReplay",
}


def arguments_of(path: Path, name: str) -> set[str]:
    """What a class is made of; read, for not every library is installed everywhere."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (kind,) = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name]
    (init,) = [n for n in kind.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    return {arg.arg for arg in [*init.args.args, *init.args.kwonlyargs]} - {"self"}


@pytest.mark.parametrize(("path", "name"), CLASSES.items(), ids=CLASSES.values())
def test_every_argument_of_a_model_is_listed(path, name):
    assert arguments_of(path, name) <= DECIDES.keys()


def test_every_argument_that_is_the_same_for_all_our_models_is_listed():
    assert DECIDES.keys() >= OWN


def test_an_argument_that_nobody_listed_decides():
    assert decides("something_new")
