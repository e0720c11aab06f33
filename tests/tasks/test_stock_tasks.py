"""Tasks of lm_eval itself, on made-up documents: their own metrics at two budgets."""

import importlib.metadata
from importlib.util import find_spec
from pathlib import Path

import datasets
import evaluate
import nltk
import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lm_eval_tts.models.scripted import ScriptedLM

TASKS = Path(find_spec("lm_eval").origin).parent / "tasks"
BUDGETS = {"strategy": "budget", "max_thinking_tokens": [4, 60], "delimiters": "deepseek-r1"}
BIOLOGY = {
    "category": "biology", "question": "Which one?", "options": ["ant", "bee"], "answer": "B",
    "cot_content": "A: Let's think step by step. The answer is (B).",
}  # fmt: skip
CODE = {
    "prompt": "def four():\n", "test": "def check(f):\n    assert f() == 4", "entry_point": "four",
}  # fmt: skip
LETTER = {"key": 1, "prompt": "No commas.", "kwargs": [{}]}
PLUS = {"task_id": 1, "prompt": "Four.", "test_list": ["assert four() == 4"] * 3, "code": "4"}
CASES = {
    "humaneval+": (
        "humaneval_plus", "pass@1,create_test", "    return 4", "    return 5",
        {**CODE, "task_id": "x/1", "canonical_solution": "    return 4"},
    ),
    "mbpp+": (
        "mbpp_plus", "pass_at_1,none", "def four():\n    return 4", "def four(): return 5", PLUS,
    ),
    "ifeval": (
        "ifeval", "prompt_level_strict_acc,none", "a and b", "a, b",
        {**LETTER, "instruction_id_list": ["punctuation:no_comma"]},
    ),
    "bbh": (
        "bbh_cot_zeroshot_navigate", "exact_match,flexible-extract", "So the answer is Yes.",
        "So the answer is No.", {"input": "Walk on?\nOptions:\n- Yes\n- No", "target": "Yes"},
    ),
    "minerva_math": (
        "minerva_math_algebra", "exact_match,none",
        "Final Answer: The final answer is $4$. I hope it is correct.",
        "Final Answer: The final answer is $5$. I hope it is correct.",
        {"problem": "2+2?", "solution": "It is \\boxed{4}.", "level": "1", "type": "Algebra"},
    ),
    "mmlu_pro": (
        "mmlu_pro_biology", "exact_match,custom-extract", "The answer is (B).",
        "The answer is (A).", BIOLOGY,
    ),
    "humaneval": (
        "humaneval", "pass@1,create_test", "    return 4", "    return 5",
        {**CODE, "task_id": "x/1", "canonical_solution": "    return 4"},
    ),
    "triviaqa": (
        "triviaqa", "exact_match,remove_whitespace", "Paris\nand more", "Rome\nor so",
        {"question": "Which city", "answer": {"aliases": ["Paris", "City of Light"]}},
    ),
}  # fmt: skip


class Executed:
    """As the metric code_eval of the Hub: runs a program with its test."""

    def compute(self, references: list[str], predictions: list[list[str]], k: list[int]):
        passed = 0
        for program in predictions[0]:
            try:
                exec(f"{program}\n{references[0]}", {})  # as written above
                passed += 1
            except (AssertionError, SyntaxError):
                continue
        return {f"pass@{size}": passed / len(predictions[0]) for size in k}, {}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch):
    """Takes documents from here, and no metric from the Hub."""

    def use(doc: dict) -> None:
        rows = datasets.Dataset.from_list([doc] * 7)
        splits = dict.fromkeys(("train", "validation", "test"), rows)
        monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: splits)

    known = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "4.11" if "antlr" in name else known(name)
    )
    monkeypatch.setattr(evaluate, "load", lambda *args: Executed())
    monkeypatch.setattr(nltk.data, "find", lambda name: name)  # ifeval fetches it on import
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
    return use


@pytest.mark.parametrize("folder", CASES)
def test_a_stock_task_tells_its_metric_at_each_budget(folder: str, offline):
    name, metric, right, wrong, doc = CASES[folder]
    offline(doc)

    def write(prompt: str, seed: int | None) -> str:
        if prompt.endswith("</think>\n\n"):
            return right if "7, 8</think>" in prompt else wrong
        return "I count: 1, 2.\n\nThen 7, 8</think>"

    manager = TaskManager(include_path=str(TASKS / folder.strip("+")), include_defaults=False)
    found = simple_evaluate(
        ScriptedLM(write), tasks=[name], task_manager=manager, limit=1, bootstrap_iters=0,
        gen_kwargs=BUDGETS, confirm_run_unsafe_code=True,
    )["results"][name]  # fmt: skip
    own, filter_ = metric.split(",")
    at = [found[f"{own}@{budget},{filter_}"] for budget in BUDGETS["max_thinking_tokens"]]
    assert (*at, found[metric]) == (0, 1, 1)
    assert found[f"thinking_tokens@4,{filter_}"] == 4


def test_programs_that_do_the_same_on_the_inputs_given_are_one_vote(offline):
    example = {"prompt": "def four(n):\n    '''\n    >>> four(1)\n    '''\n"}
    test = "def check(f):\n    assert f(3) == 4"
    offline({**CODE, **example, "test": test, "task_id": "x", "canonical_solution": "    return 4"})
    texts = (
        "    return 5",
        "    return 5",
        "    return 4",
        "    return 2 + 2",
        "    return 8 // 2",
    )
    manager = TaskManager(include_path=str(TASKS / "humaneval"), include_defaults=False)
    found = simple_evaluate(
        ScriptedLM(lambda prompt, seed: texts[seed % 5]), tasks=["humaneval"], limit=1,
        task_manager=manager, bootstrap_iters=0, confirm_run_unsafe_code=True,
        gen_kwargs={"strategy": "self_consistency", "n": 5, "do_sample": True, "temperature": 1.0},
    )  # fmt: skip
    assert found["results"]["humaneval"]["pass@1,create_test"] == 1
    (sample,) = found["samples"]["humaneval"]
    classes = [candidate["class"] for candidate in sample["answered"]["candidates"]]
    assert sorted(map(classes.count, set(classes))) == [2, 3]
