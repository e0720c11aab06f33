"""Small things that many tests use."""

import json
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from lm_eval_tts.core.program import Completion, Generate, Program, TokenIds
from lm_eval_tts.core.scheduler import Job, Result, run
from lm_eval_tts.core.trace import Delimiters, Request
from lm_eval_tts.reward_models.scripted import ScriptedRewardModel

THINK = Delimiters("<think>\n", "</think>", "\n<answer>", "</answer>")
BUDGET = {  # settings of a small budget-forced request
    "prompt_style": "r1",
    "strategy": "budget",
    "max_thinking_tokens": 24,
    "num_waits": 1,
    "max_answer_tokens": 8,
}


def write_stock_task(folder: Path, name: str, docs: Sequence[dict], **changes) -> None:
    """Write a task as lm_eval's own are, and its documents, of which `a` is the answer."""
    data = folder / "docs.jsonl"
    data.write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    config = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_target": "{{a}}",
        "metric_list": [{"metric": "exact_match"}],
        **changes,
    }
    (folder / f"{name}.yaml").write_text(json.dumps(config))  # JSON is YAML


def ids(text: str) -> TokenIds:
    return tuple(text.encode())


def text_of(token_ids: TokenIds) -> str:
    return bytes(token_ids).decode()


def byte_request(prompt: str = "2+2?", max_tokens: int = 1000, **changes) -> Request:
    """A request whose token ids are bytes, so that tests can read them."""
    return Request(ids(prompt), max_tokens, ids, text_of, **{"delimiters": THINK, **changes})


def run_one(program: Program, engine, seed: int = 0, reward_model=None) -> Result:
    (result,) = run([Job(program, seed)], engine, reward_model)
    return result


def completed(op: Generate, text: str, ending: str = "eos") -> tuple[Completion, ...]:
    """What an engine would send for text that ends by itself or runs into its limit."""
    if ending == "length":
        kept = ids(text)[: op.max_tokens]
        return (Completion(kept, kept, "length"),)
    if ending == "eos":
        return (Completion(ids(text), (*ids(text), 256), "eos"),)
    return (Completion(ids(text), ids(text + ending), "stop", ending),)


class Tree:
    """What a scripted engine writes: the k-th request behind a text gets the k-th child there.

    children: text of the response so far to the texts that may follow it. A child that ends with
    a line break is a step, any other ends the turn.
    """

    def __init__(self, children: dict[str, list[str]], prompt: str = "2+2?") -> None:
        self.children = children
        self.prompt = prompt
        self.asked: list[str] = []

    def __call__(self, text: str, seed: int | None) -> str:
        so_far = text.removeprefix(self.prompt)
        turn = self.asked.count(so_far)
        self.asked.append(so_far)
        return self.children[so_far][turn]


def rated(table: dict[str, float]) -> ScriptedRewardModel:
    """A reward model that knows the score of each step by its text."""
    return ScriptedRewardModel(lambda question, steps: table[steps[-1]])


@contextmanager
def no_model_and_one_index(load):
    """Have `load` called where a checkpoint would be, and lm_eval's index of tasks made once."""
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import _index

    with pytest.MonkeyPatch.context() as patch:
        build, built = _index.TaskIndex.build, {}

        def build_once(paths, **options):
            key = tuple(paths)
            if key not in built:
                built[key] = build(key, **options)
            return dict(built[key])

        patch.setattr(_index.TaskIndex, "build", staticmethod(build_once))
        patch.setattr(HFLM, "__init__", load)
        yield
