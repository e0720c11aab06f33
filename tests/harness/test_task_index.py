"""A command that asks for our tasks alone does not read lm_eval's nearly 14,000 task files."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from lm_eval.tasks import TaskManager

from lm_eval_tts.harness.guard import guarded
from lm_eval_tts.harness.names import own_tasks, task_configs
from lm_eval_tts.harness.run_state import stock_tasks


@pytest.fixture
def without_stock_tasks():
    token = stock_tasks.set(False)
    yield
    stock_tasks.reset(token)


@pytest.mark.parametrize(
    ("tasks", "may_need_them"),
    [
        ("arith_budget", False),
        ("arith_budget,tts_arith", False),
        (["dial_maj", "aime24_cot"], False),
        ("gsm8k", True),
        ("arith_budget,gsm8k", True),
        ("arith_*", True),
        ("arith_budgt", True),  # for "did you mean"
        ("my/task.yaml", True),
        (None, True),
        ("", True),
    ],
)
def test_they_are_read_where_the_command_may_ask_for_one(tasks, may_need_them):
    seen = []
    command = SimpleNamespace(model="hf", model_args={"pretrained": "x"}, tasks=tasks)
    guarded(lambda args: seen.append(stock_tasks.get()), command)
    assert seen == [may_need_them]


def test_our_tasks_and_groups_are_found_without_them(without_stock_tasks):
    found = set(TaskManager().all_tasks)
    assert own_tasks() <= found
    assert "gsm8k" not in found


def test_no_group_of_ours_has_a_stock_task_in_it():
    texts = (path.read_text() for path in Path(task_configs()).glob("*/*.yaml"))
    groups = [yaml.safe_load(text) for text in texts if "\ngroup: " in text]
    members = {task for group in groups for task in group["task"]}
    assert members
    assert members <= own_tasks()


def test_a_folder_of_the_user_may_refer_to_them(without_stock_tasks, tmp_path):
    assert "gsm8k" in TaskManager(include_path=str(tmp_path)).all_tasks
