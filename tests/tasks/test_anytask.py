"""Stock-style tasks under our strategies: their own filters and metrics, on answers alone."""

import json
import math
from pathlib import Path

import pytest
from helpers import write_stock_task
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.filters.extraction import RegexFilter
from lm_eval.tasks import TaskManager

from lm_eval_tts.harness.run_state import watched
from lm_eval_tts.models.scripted import ScriptedLM

TWO_POINTS = {"strategy": "budget", "max_thinking_tokens": [4, 40], "delimiters": "think"}
DRAWN = {"strategy": "self_consistency", "n": 4, "do_sample": True, "temperature": 1.0}


@pytest.fixture
def task(tmp_path: Path):
    """Writes a stock-style task; returns its name and a manager that knows it."""

    def make(*docs: dict, **changes) -> dict:
        rows = docs or ({"q": "2+2?", "a": "4"}, {"q": "3+4?", "a": "7"})
        config = {
            "doc_to_text": "Question: {{q}}\nAnswer:",
            "generation_kwargs": {"until": ["\n\n"], "do_sample": False},
            "filter_list": [
                {
                    "name": "first",
                    "filter": [
                        {"function": "regex", "regex_pattern": "(\\d+)"},
                        {"function": "take_first"},
                    ],
                }
            ],
            **changes,
        }
        write_stock_task(tmp_path, "sums", rows, **config)
        manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
        return {"tasks": ["sums"], "task_manager": manager}

    return make


def evaluate(lm: LM, task: dict, **gen_kwargs) -> tuple[dict, list[dict]]:
    """Metrics by name, and the samples in their order."""
    found = simple_evaluate(lm, **task, gen_kwargs=gen_kwargs, bootstrap_iters=0)
    return found["results"]["sums"], found["samples"]["sums"]


def writes(text: str):
    """A model that writes this text, from wherever it is in it."""

    def write(prompt: str, seed: int | None) -> str:
        begun = max((k for k in range(len(text) + 1) if prompt.endswith(text[:k])), default=0)
        return text[begun:]

    return write


def answers_in_time(prompt: str, seed: int | None) -> str:
    """Right where it has thought to the end, wrong where it was cut."""
    if "<think>" not in prompt:
        return "<think>\n" + answers_in_time("<think>\n", seed)
    if "</think>" not in prompt:
        return "1) Not yet. 2) Now</think>"
    return "4" if "Now</think>" in prompt else "9"


class Stock(LM):
    """Any other model."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def generate_until(self, requests, disable_tqdm=False):
        return [self.text for _ in requests]

    loglikelihood = loglikelihood_rolling = None


@pytest.mark.parametrize("settings", [{"delimiters": "think"}, {"thinking_end": "</think>"}])
def test_a_tasks_filter_sees_what_follows_the_thinking(task, settings):
    text = "<think>\n1) Gets 99.</think>\n<answer>4</answer>"
    results, samples = evaluate(ScriptedLM(writes(text), **settings), task())
    assert results["exact_match,first"] == 0.5
    assert [sample["filtered_resps"] for sample in samples] == [["4"], ["4"]]
    assert str(samples[0]["resps"][0][0]).startswith("<think>\n1) Gets 99.")
    assert "Gets" not in samples[0]["answered"]["answer"]


def test_a_thought_that_was_cut_is_an_empty_answer_and_counts_as_truncated(task):
    lm = ScriptedLM(writes("<think>\n1) Gets 4 and" + " so on" * 99), delimiters="qwen3")
    results, samples = evaluate(lm, task(), max_gen_toks=50)
    assert (results["exact_match,first"], results["truncated,first"]) == (0, 1)
    assert samples[0]["filtered_resps"] == ["[invalid]"]
    assert results["answered,first"] == 0


def test_code_keeps_the_indentation_of_its_first_line(task):
    plain = [{"name": "none", "filter": [{"function": "take_first"}]}]
    lm = ScriptedLM(writes("<think>\nx</think>\n\n    return 4"), delimiters="qwen3")
    _, samples = evaluate(lm, task(filter_list=plain))
    assert samples[0]["filtered_resps"] == ["    return 4"]


@pytest.mark.parametrize("strategy", ["single", "budget", "self_consistency", "deepconf"])
def test_stop_strings_act_after_the_thinking_only(task, strategy):
    sampled = {"n": 2, "do_sample": True, "temperature": 1.0}
    sampled = {} if strategy in ("single", "budget") else sampled
    lm = ScriptedLM(writes("<think>\nI try 9.\n\nNo.</think>\n\n4\n\nNext: 5"), delimiters="qwen3")
    task_ = task(generation_kwargs={"until": ["\n\n"]})
    _, samples = evaluate(lm, task_, strategy=strategy, **sampled)
    assert samples[0]["resps"][0][0] == "<think>\nI try 9.\n\nNo.</think>\n\n4"
    assert samples[0]["filtered_resps"] == ["4"]


def test_a_task_that_makes_its_own_requests_has_the_settings_too(task, monkeypatch):
    # as swde, scrolls or fda of lm_eval do: of the settings they say only these two
    def construct(self, doc, ctx, **kwargs):
        for name in ("apply_chat_template", "chat_template"):
            kwargs.pop(name, None)
        arguments = (ctx, {"until": ["\n\n"], "max_gen_toks": 8})
        return Instance("generate_until", doc, arguments, 0, **kwargs)

    monkeypatch.setattr(ConfigurableTask, "construct_requests", construct)
    lm = ScriptedLM(writes("<think>\nI try 9.\n\nNo.</think>\n\n4\n\nNext: 5"))
    settings = {"strategy": "single", "delimiters": "qwen3", "max_gen_toks": 400}
    results, samples = evaluate(lm, task(), **settings)
    assert samples[0]["resps"][0][0] == "<think>\nI try 9.\n\nNo.</think>\n\n4"
    assert results["exact_match,first"] == 0.5
    # Where nothing is said, lm_eval's own defaults are not laid over what the task asks for.
    _, samples = evaluate(lm, task(generation_kwargs=None))
    _, asked = samples[0]["arguments"][0]
    assert asked == {"until": ["\n\n"], "max_gen_toks": 8}


def test_a_task_grades_samples_as_a_list_as_lm_eval_gives_them(task, tmp_path):
    (tmp_path / "grading.py").write_text(
        "def grade(doc, results):\n"
        "    return {'exact_match': results[0] == doc['a'] if isinstance(results, list) else 0}"
    )
    made = task()
    path = tmp_path / "sums.yaml"
    path.write_text(path.read_text()[:-1] + ', "process_results": !function grading.grade}')
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    results, _ = evaluate(
        ScriptedLM(lambda prompt, seed: "4"), {**made, "task_manager": manager}, **DRAWN
    )
    assert results["pass@4,first"] == 0.5


def test_without_delimiters_stop_strings_act_as_in_stock(task):
    _, samples = evaluate(ScriptedLM(writes("I try 9.\n\n4")), task())
    assert samples[0]["resps"][0][0] == "I try 9."


def test_the_metric_is_told_at_each_point_and_the_last_is_the_tasks_own(task):
    results, samples = evaluate(ScriptedLM(answers_in_time), task(), **TWO_POINTS)
    assert (results["exact_match@4,first"], results["exact_match@40,first"]) == (0, 0.5)
    assert results["exact_match,first"] == 0.5
    assert results["thinking_tokens@4,first"] == 4
    assert samples[0]["answered"]["points"] == {"4": "9", "40": "4"}


def test_samples_are_told_as_pass_maj_and_avg_by_the_filters_own_equality(task):
    lm = ScriptedLM(lambda prompt, seed: f"I say {4 if seed % 4 else 5}. {seed}")
    results, samples = evaluate(lm, task({"q": "2+2?", "a": "4"}), **DRAWN)
    candidates = samples[0]["answered"]["candidates"]
    right = [candidate["correct"] for candidate in candidates]
    assert results["avg@4,first"] == sum(right) / 4 == results["pass@1,first"]
    assert results["pass@4,first"] == max(right)
    assert len({candidate["class"] for candidate in candidates}) == len(set(right))
    assert results["exact_match,first"] == (sum(right) > 2) or sum(right) == 2


def test_repeats_are_samples_too(task):
    lm = ScriptedLM(lambda prompt, seed: str(4 + seed % 2))
    results, _ = evaluate(lm, task(repeats=4), do_sample=True, temperature=1.0)
    assert {"pass@1,first", "pass@4,first", "maj@4,first", "avg@4,first"} <= results.keys()


def test_a_task_may_name_what_counts_as_equal_in_a_vote(task, tmp_path):
    (tmp_path / "equal.py").write_text(
        "def parity(doc, values): return [int(v) % 2 for v in values]"
    )
    made = task(repeats=1)
    path = tmp_path / "sums.yaml"
    path.write_text(
        path.read_text()[:-1] + ', "metadata": {"vote_classes": !function equal.parity}}'
    )
    lm = ScriptedLM(lambda prompt, seed: str(2 * (seed % 50)))
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    _, samples = evaluate(lm, {**made, "task_manager": manager}, **DRAWN)
    assert {candidate["class"] for candidate in samples[0]["answered"]["candidates"]} == {0}


def test_a_task_may_ask_for_the_thinking(task):
    lm = ScriptedLM(writes("<think>\n1) 99</think>4"), delimiters="qwen3")
    _, samples = evaluate(lm, task(metadata={"whole_response": True}))
    assert samples[0]["filtered_resps"] == ["1"]


def test_a_request_that_failed_is_neither_right_nor_wrong(task):
    long = {"q": "x" * 500, "a": "4"}
    lm = ScriptedLM(writes("4"), max_length=200)
    results, _ = evaluate(lm, task({"q": "2+2?", "a": "4"}, long))
    assert (results["exact_match,first"], results["failed,first"]) == (1, 0.5)


@pytest.mark.parametrize("where", ["filter", "metrics"])
def test_a_document_that_a_tasks_own_grading_raises_on_is_a_failure(task, monkeypatch, where):
    def fragile(original, is_bad):
        def call(self, *args):
            if is_bad(*args):
                raise ZeroDivisionError("division by zero")
            return original(self, *args)

        return call

    if where == "filter":
        bad = fragile(RegexFilter.apply, lambda resps, docs: any(d["q"] == "2+2?" for d in docs))
        monkeypatch.setattr(RegexFilter, "apply", bad)
    else:
        bad = fragile(ConfigurableTask.process_results, lambda doc, _: doc["q"] == "2+2?")
        monkeypatch.setattr(ConfigurableTask, "process_results", bad)
    results, samples = evaluate(ScriptedLM(writes("7")), task())
    assert (results["exact_match,first"], results["failed,first"]) == (1, 0.5)
    assert "ZeroDivisionError: division by zero" in samples[0]["answered"]["failure"]
    assert samples[0]["resps"] == [["7"]]
    assert samples[1]["exact_match"] == 1


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "0.5", [1], 10**400], ids=str)
def test_a_metric_that_is_no_number_is_a_failure_and_costs_no_other_document(
    task, monkeypatch, value
):
    process = ConfigurableTask.process_results

    def odd(self, doc, results):
        return {"exact_match": value} if doc["q"] == "2+2?" else process(self, doc, results)

    monkeypatch.setattr(ConfigurableTask, "process_results", odd)
    results, samples = evaluate(ScriptedLM(writes("7")), task())
    assert results["exact_match,first"] == 1
    assert results["failed,first"] == 0.5
    assert "the metric exact_match is " in samples[0]["answered"]["failure"]


@pytest.mark.parametrize("settings", [{}, TWO_POINTS])
def test_an_aggregation_that_raises_is_a_figure_that_is_missing(task, tmp_path, settings):
    (tmp_path / "own.py").write_text("def share(items):\n    raise ZeroDivisionError('of none')\n")
    metrics = [{"metric": "exact_match", "aggregation": "SHARE"}]
    made = task(metric_list=metrics)
    path = tmp_path / "sums.yaml"
    path.write_text(path.read_text().replace('"SHARE"', "!function own.share"))
    with watched() as states:
        results, samples = evaluate(ScriptedLM(writes("7")), made, **settings)
    named = [name for name in results if name.startswith("exact_match") and "stderr" not in name]
    assert all(math.isnan(results[name]) for name in named)
    assert len(named) == (3 if settings else 1)
    assert [sample["exact_match"] for sample in samples] == [0, 1]
    assert "cannot be aggregated (ZeroDivisionError: of none)" in states[0].complaint()
    with pytest.raises(ZeroDivisionError):
        evaluate(Stock("7"), made)


def test_other_models_are_left_alone(task):
    results, samples = evaluate(Stock("<think>1) 99</think>4"), task())
    assert set(results) == {
        "name", "alias", "sample_len", "exact_match,first", "exact_match_stderr,first"
    }  # fmt: skip
    assert samples[0]["filtered_resps"] == ["1"]


def test_the_prompt_is_in_the_samples_once_for_a_document(task):
    _, samples = evaluate(ScriptedLM(writes("4"), prompt_style="cot"), task())
    prompt = samples[0]["answered"]["prompt"]
    assert prompt["text"].startswith("Solve the problem step by step.")
    assert prompt["text"].endswith("Question: 2+2?\nAnswer:\n\n")
    assert prompt["num_tokens"] == len(prompt["text"])
    assert prompt["ids_hash"] != samples[1]["answered"]["prompt"]["ids_hash"]


def test_a_group_aggregates_its_metric_at_each_point_too(task, tmp_path):
    made = task()
    group = {"group": "all", "task": ["sums"], "aggregate_metric_list": [{"metric": "exact_match"}]}
    group["aggregate_metric_list"][0]["filter_list"] = ["first"]
    (tmp_path / "all.yaml").write_text(json.dumps(group))
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    found = simple_evaluate(
        ScriptedLM(answers_in_time), tasks=["all"], task_manager=manager, gen_kwargs=TWO_POINTS
    )
    assert made["tasks"] == ["sums"]
    assert found["groups"]["all"]["exact_match@40,first"] == 0.5
    assert found["groups"]["all"]["exact_match@4,first"] == 0
    assert found["groups"]["all"]["exact_match,first"] == 0.5


def test_arith_as_a_stock_style_task_gives_what_arith_budget_gives(tmp_path):
    from lm_eval_tts.harness.names import task_configs
    from lm_eval_tts.models.hf import TTSHF

    budgets = [16, 32, 64, 128, 256]
    (tmp_path / "plain.yaml").write_text(
        f"""
task: plain_arith
output_type: generate_until
custom_dataset: !function lm_eval_tts.tasks.data.load_generated
dataset_kwargs: {{benchmark: arith}}
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{prompt_style: r1, strategy: budget, max_thinking_tokens: {budgets},
                    max_answer_tokens: 32, do_sample: false, until: []}}
filter_list: [{{name: number, filter: [{{function: regex, regex_pattern: "(-?[0-9]+)"}},
                                      {{function: take_first}}]}}]
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""
    )
    folders = [str(tmp_path), f"{task_configs()}/arith"]
    manager = TaskManager(include_path=folders, include_defaults=False)
    names = ["plain_arith", "arith_budget"]
    found = simple_evaluate(
        TTSHF(device="cpu", batch_size=8),
        tasks=names,
        task_manager=manager,
        limit=8,
        bootstrap_iters=0,
    )["results"]
    for name in ("exact_match", *(f"exact_match@{budget}" for budget in budgets)):
        assert found["plain_arith"][f"{name},number"] == found["arith_budget"][f"{name},none"]
    assert (
        found["plain_arith"]["exact_match@16,number"] < found["plain_arith"]["exact_match,number"]
    )


def test_beams_that_a_stock_task_sets_do_not_stop_it(task):
    made = task(generation_kwargs={"until": [], "num_beams": 1})
    assert evaluate(ScriptedLM(writes("4")), made)[0]["exact_match,first"] == 0.5
