"""Our tasks, and a user's own on our base, under any model, graded by their own targets."""

import json
from pathlib import Path

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.names import task_configs

OWN = """
include: {base}
task: my_gsm
custom_dataset: null
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
doc_to_target: "{{{{solution.split('####')[-1].strip()}}}}"
generation_kwargs: {{prompt_style: r1, strategy: single, until: []}}
"""


class Recites(LM):
    """A stock model that answers with what it was given: its generation kwargs, or a text."""

    def __init__(self, text: str = "The answer is 7.") -> None:
        super().__init__()
        self.text, self.contexts, self.kwargs = text, [], []

    def generate_until(self, requests, disable_tqdm=False):
        self.contexts += [request.args[0] for request in requests]
        self.kwargs += [request.args[1] for request in requests]
        return [self.text] * len(requests)

    def loglikelihood(self, requests):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


@pytest.fixture(scope="module")
def manager(tmp_path_factory) -> TaskManager:
    folder = tmp_path_factory.mktemp("own")
    rows = [{"question": f"{n}?", "solution": f"3 of 5 #### {n}"} for n in (7, 8)]
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = Path(task_configs()) / "_base"
    (folder / "my_gsm.yaml").write_text(OWN.format(base=base, data=data))
    ours = str(Path(task_configs()) / "arith")
    return TaskManager(include_path=[ours, str(folder)], include_defaults=False)


def evaluate(manager: TaskManager, model: LM, task: str, **more):
    limit = {} if "samples" in more else {"limit": 2}
    return simple_evaluate(
        model, tasks=[task], task_manager=manager, bootstrap_iters=0, **limit | more
    )


def test_an_own_task_is_graded_by_its_doc_to_target(manager):
    results = evaluate(manager, Recites(), "my_gsm")
    assert results["results"]["my_gsm"]["exact_match,none"] == 0.5
    assert [row["target"] for row in results["samples"]["my_gsm"]] == ["7", "8"]


@pytest.mark.parametrize(
    ("task", "kwargs"),
    [
        ("arith_r1", {"do_sample": False, "max_gen_toks": 512, "until": []}),
        ("arith_budget", {"do_sample": False, "max_gen_toks": 256 + 32, "until": []}),
        (
            "arith_maj",
            {"do_sample": True, "temperature": 0.6, "max_gen_toks": 512, "until": []},
        ),
    ],
)
def test_a_stock_model_is_asked_for_one_plain_response_as_the_baseline(
    manager, caplog, task, kwargs
):
    model = Recites()
    results = evaluate(manager, model, task)
    assert model.kwargs == [kwargs] * 2
    assert "strategy" not in results["configs"][task]["generation_kwargs"]
    assert f"{task} runs as a baseline" in caplog.text
    assert 0 <= results["results"][task]["exact_match,none"] <= 1


def test_examples_that_are_asked_for_are_in_the_prompt(manager):
    model = Recites()
    results = evaluate(manager, model, "arith_r1", num_fewshot=2)
    assert results["n-shot"]["arith_r1"] == 2
    assert model.contexts[0].count("How many") == 3


def test_a_problem_is_never_its_own_example(manager):
    model = Recites()
    evaluate(manager, model, "arith_r1", num_fewshot=3, limit=200)
    turns = [[part for part in c.split("\n") if "How many" in part] for c in model.contexts]
    assert {len(turn) for turn in turns} == {4}
    assert not [turn for turn in turns if any(turn[-1].strip() in shown for shown in turn[:-1])]


def test_samples_of_a_task_that_does_not_run_are_refused(manager):
    with pytest.raises(SettingsError, match="unknown task in --samples 'arith_rl': did you mean"):
        evaluate(manager, Recites(), "arith_r1", samples={"arith_rl": [0]})


def test_settings_of_every_task_are_checked_before_a_model_is_loaded(manager):
    for model_args, gen_kwargs, message in (
        ("pretrained=/none", "strategy=maj", "did you mean 'self_consistency'"),
        ("pretrained=/none", "num_waits=x", "num_waits='x'"),
        ("pretrained=/none,strategy=budgt", None, "did you mean 'budget'"),
        ("pretrained=/none", "strategy=best_of_n,temperature=1,do_sample=True", "reward_model="),
    ):
        with pytest.raises(SettingsError, match=message):
            simple_evaluate(
                "tts-hf",
                model_args=model_args,
                gen_kwargs=gen_kwargs,
                tasks=["tts_arith"],
                task_manager=manager,
            )


def test_a_model_without_its_packages_says_how_to_have_them(manager, monkeypatch):
    from lm_eval_tts.harness import preflight

    monkeypatch.setattr(preflight, "find_spec", lambda name: None)
    for model, remedy in (("tts-openai", r"lm-eval\[api\]"), ("tts-vllm", "pip install vllm")):
        with pytest.raises(SettingsError, match=remedy):
            simple_evaluate(model, tasks=["arith_r1"], task_manager=manager)
