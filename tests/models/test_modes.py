"""Reasoning modes as an axis of a run, and the sampling that a checkpoint's makers recommend."""

import json
import shutil
from types import SimpleNamespace

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.harness.response import Details, Response, Usage
from lm_eval_tts.models.answering import in_all_modes
from lm_eval_tts.models.checkpoint import recommended_sampling
from lm_eval_tts.models.hf import TTSHF
from lm_eval_tts.models.scripted import ScriptedLM
from lm_eval_tts.settings import parse_settings

TEMPLATE = (
    "{% for m in messages %}{{ m.content }}{% endfor %}"
    "[{{ reasoning_effort|default('any') }} {{ enable_thinking|default('any') }}]"
)
RECOMMENDED = {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20}
EFFORTS = {"reasoning_effort": ["low", "medium", "high"]}


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint, tmp_path_factory):
    """The tiny Llama with a template that reads switches, and a recommendation."""
    folder = tmp_path_factory.mktemp("switched") / "model"
    shutil.copytree(tiny_checkpoint, folder)
    for path in folder.glob("chat_template*"):
        path.unlink()
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(config | RECOMMENDED))
    return str(folder)


@pytest.fixture(scope="module")
def lm(checkpoint):
    return TTSHF(pretrained=checkpoint, device="cpu", batch_size=8)


def answered(lm, context="2+2?", **kwargs) -> Response:
    kwargs = {"prompt_style": "zeroshot", "max_gen_toks": 6, **kwargs}
    instance = SimpleNamespace(
        args=(context, kwargs), doc={"id": "a"}, doc_id=0, task_name=None, repeats=1
    )
    return lm.generate_until([instance], disable_tqdm=True)[0]


@pytest.mark.parametrize("sampled", [{}, {"do_sample": True, "temperature": 1.0}])
def test_each_effort_is_a_point_that_a_run_of_its_own_would_have(lm, sampled):
    whole = answered(lm, **EFFORTS, **sampled)
    points = whole.details.points
    assert list(points) == ["low", "medium", "high"]
    alone = {effort: answered(lm, reasoning_effort=effort, **sampled) for effort in points}
    assert points == alone
    assert {p.details.prompt for p in points.values()} == {r.details.prompt for r in alone.values()}
    assert "[low any]" in points["low"].details.prompt.text
    assert whole == points["high"]
    assert whole.details.usage.sampled == sum(p.details.usage.sampled for p in points.values())


def test_thinking_is_switched_in_a_chat_that_lm_eval_has_rendered(lm):
    context = lm.apply_chat_template([{"role": "user", "content": "2+2?"}])
    points = answered(lm, context, prompt_style=None, enable_thinking="[false,true]").details.points
    prompts = {label: point.details.prompt.text for label, point in points.items()}
    assert prompts == {"no_thinking": "2+2?[any False]", "thinking": "2+2?[any True]"}


def test_modes_and_budgets_are_points_together(lm):
    budgets = {"strategy": "budget", "max_thinking_tokens": [2, 4], "delimiters": "think"}
    points = answered(lm, max_answer_tokens=2, **budgets, **EFFORTS).details.points
    assert {"low", "low-2", "low-4", "high-4"} < set(points)
    assert points["low"] == points["low-4"]


def test_metrics_are_told_for_each_mode(lm):
    manager = TaskManager(include_path=f"{task_configs()}/arith", include_defaults=False)
    found = simple_evaluate(
        lm, tasks=["arith_zeroshot"], task_manager=manager, limit=2, bootstrap_iters=0,
        gen_kwargs={"max_gen_toks": 4, **EFFORTS},
    )["results"]["arith_zeroshot"]  # fmt: skip
    assert {f"exact_match@{effort},none" for effort in ("low", "medium", "high")} < set(found)
    assert found["exact_match@high,none"] == found["exact_match,none"]
    assert found["sampled_tokens@low,none"] < found["sampled_tokens,none"]


def test_modes_may_be_those_of_all_tasks(checkpoint):
    lm = TTSHF(pretrained=checkpoint, device="cpu", reasoning_effort="[low,high]")
    assert list(answered(lm).details.points) == ["low", "high"]
    lm = TTSHF(pretrained=checkpoint, device="cpu", reasoning_effort="low")
    assert answered(lm).details.prompt.text.endswith("[low any]")
    assert "[low any]" in lm.apply_chat_template([{"role": "user", "content": "2+2?"}])


def test_a_mode_that_would_change_nothing_is_refused(lm, tiny_checkpoint):
    with pytest.raises(SettingsError, match="--apply_chat_template or prompt_style="):
        answered(lm, prompt_style=None, **EFFORTS)
    with pytest.raises(SettingsError, match="template does not read"):
        answered(TTSHF(pretrained=str(tiny_checkpoint), device="cpu"), **EFFORTS)
    with pytest.raises(SettingsError, match="one value for all"):
        answered(ScriptedLM(lambda prompt, seed: "4"), **EFFORTS)
    with pytest.raises(SettingsError, match="enable_thinking='maybe'"):
        parse_settings({"enable_thinking": ["maybe", True]})


def test_a_request_that_failed_in_one_mode_has_failed():
    bad = Response("", Details(Usage(), failure="too long"))
    whole = in_all_modes(["low", "high"], iter([bad, Response("4", Details(Usage()))]))
    assert whole.details.failure == "too long"


def test_sampling_is_as_the_checkpoint_recommends_and_recorded(lm):
    settings = lm.session.settings_reader()({"sampling": "model", "do_sample": False})
    sampling = settings.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.6, 0.95, 20)
    wanted = {name: value for name, value in RECOMMENDED.items() if name != "do_sample"}
    assert lm.get_model_info()["recommended_sampling"] == wanted


def test_greedy_against_a_recommendation_is_told_once_with_both(lm, caplog):
    answered(lm)
    (line,) = [r.getMessage() for r in caplog.records if "greedy" in r.getMessage()]
    assert "temperature=0)" in line
    assert "temperature=0.6, top_p=0.95, top_k=20" in line
    caplog.clear()
    answered(lm, sampling="model")
    assert "greedy" not in caplog.text


def test_without_a_recommendation_sampling_model_is_refused(tiny_checkpoint, caplog):
    lm = TTSHF(pretrained=str(tiny_checkpoint), device="cpu")
    with pytest.raises(SettingsError, match="recommends no sampling"):
        answered(lm, sampling="model")
    answered(lm)
    assert "greedy" not in caplog.text
    assert recommended_sampling(None) == {}
    with pytest.raises(SettingsError, match="sampling='best': allowed is 'model'"):
        parse_settings({"sampling": "best"})


def test_settings_of_sampling_model_pass_before_a_model_is_loaded():
    wanted = {"strategy": "self_consistency", "sampling": "model", "do_sample": False}
    assert parse_settings(wanted).sampling.temperature > 0
