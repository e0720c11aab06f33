"""`tts-vllm`, and `tts-openai` on a real `vllm serve`, beside `tts-hf` on the same checkpoint.

float32 and a random Llama, whose greedy choices are far apart; one engine for all tests but those
of data and tensor parallelism.
"""

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: make test-vllm")

import threading
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import psutil
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager
from vllm import envs
from vllm_helpers import loaded

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.models import vllm
from lm_eval_tts.models.chat import ChatPrompt
from lm_eval_tts.models.hf import TTSHF
from lm_eval_tts.models.openai import TTSOpenAI
from lm_eval_tts.models.vllm import TTSVLLM

pytestmark = pytest.mark.vllm

FORCED = {
    "prompt_style": "r1",
    "strategy": "progressive",
    "num_waits": 2,
    "max_thinking_tokens": 60,
    "max_answer_tokens": 10,
}
HOT = {"temperature": 1.0, "top_p": 0.9, "do_sample": True, "max_gen_toks": 16, "seed": 5}
QUESTIONS = [f"Question {i}: what is {i} plus {i * i}?" for i in range(12)]


def instances(**kwargs) -> list[Instance]:
    return [
        Instance("generate_until", {"id": str(i)}, (question, kwargs), 0, ("task", 0, 1))
        for i, question in enumerate(QUESTIONS)
    ]


def answers(lm, **kwargs) -> list[str]:
    return lm.generate_until(instances(**kwargs), disable_tqdm=True)


def points(responses) -> list:
    return [{label: str(p) for label, p in r.details.points.items()} for r in responses]


@pytest.fixture(scope="module")
def forced(wide_checkpoint):
    """What `tts-hf` answers when it is forced."""
    return answers(TTSHF(pretrained=str(wide_checkpoint), device="cpu", batch_size=8), **FORCED)


@pytest.fixture(scope="module")
def adapted(vllm_lm):
    """What `tts-hf` answers with the adapter in its weights."""
    merged = Path(vllm_lm.adapter) / "merged"
    return answers(TTSHF(pretrained=str(merged), device="cpu", batch_size=8), **FORCED)


@pytest.fixture(scope="module")
def served(vllm_url, wide_checkpoint):
    return TTSOpenAI(base_url=vllm_url, tokenizer=str(wide_checkpoint))


def test_forced_greedy_texts_are_those_of_transformers(vllm_lm, forced):
    have = answers(vllm_lm, **FORCED)
    assert have == forced
    assert points(have) == points(forced)
    assert [r.details.usage for r in have] == [r.details.usage for r in forced]
    assert len(set(have)) > 6
    assert any(r.details.usage.waits for r in have)


def test_forced_greedy_texts_are_the_same_through_a_server(served, forced):
    have = answers(served, **FORCED)
    assert have == forced
    assert points(have) == points(forced)
    info = served.get_model_info()
    assert info["token_exact"]
    assert info["prompt_tokens_cached"] > 0.5 * info["prompt_tokens_sent"]


def test_sampled_texts_are_the_same_here_and_through_a_server(vllm_lm, served):
    want = answers(vllm_lm, **HOT)
    assert len(set(want)) == len(want)
    assert answers(served, **HOT) == want
    assert answers(vllm_lm, **{**HOT, "seed": 6}) != want


def test_continuations_find_their_prefix_in_the_cache(vllm_lm):
    before = vllm_lm.get_model_info()
    answers(vllm_lm, **FORCED)
    after = vllm_lm.get_model_info()
    sent, cached = (
        after[name] - before[name] for name in ("prompt_tokens_sent", "prompt_tokens_cached")
    )
    assert cached > 0.5 * sent > 0


def test_an_adapter_answers_as_its_merged_model_does(vllm_lm, forced, adapted):
    assert adapted != forced
    vllm_lm.use_adapter(vllm_lm.adapter)
    have = answers(vllm_lm, **FORCED)
    assert vllm_lm.get_model_info()["lora_local_path"] == vllm_lm.adapter
    vllm_lm.use_adapter(None)
    assert have == adapted
    assert answers(vllm_lm, **FORCED) == forced


def test_a_task_runs_through_lm_eval_and_log_likelihoods_as_with_the_stock_model(
    vllm_lm, wide_checkpoint
):
    requests = [
        Instance("loglikelihood", {}, (question, text), 0, ("t", 0, 1))
        for question in QUESTIONS[:4]
        for text in (" is", "x")
    ]
    have = vllm_lm.loglikelihood(requests)
    want = TTSHF(pretrained=str(wide_checkpoint), device="cpu").loglikelihood(requests)
    assert [value for value, _ in have] == pytest.approx([value for value, _ in want], abs=1e-3)
    results = simple_evaluate(
        model=vllm_lm,
        tasks=["arith_budget"],
        gen_kwargs="max_thinking_tokens=24,max_answer_tokens=8",
        task_manager=TaskManager(include_path=task_configs(), include_defaults=False),
        limit=3,
        bootstrap_iters=0,
    )
    assert results["results"]["arith_budget"]["failed,none"] == 0
    assert results["config"]["prompt_tokens_sent"] > 0


def test_a_chat_template_and_its_arguments_are_applied_once(vllm_lm):
    prompt = vllm_lm.session.chat.render([{"role": "user", "content": "2+2?"}])
    assert (prompt, type(prompt)) == ("<|user|>2+2?<|end|>\n<|assistant|>", ChatPrompt)


def test_a_prompt_that_does_not_fit_is_a_failure_and_the_others_go_on(vllm_lm):
    long = Instance("generate_until", {"id": "x"}, ("word " * 600, FORCED), 0, ("task", 0, 1))
    failed, fine = vllm_lm.generate_until([long, instances(**FORCED)[0]], disable_tqdm=True)
    assert failed.details.failure
    assert fine.details.failure is None


def test_two_replicas_answer_the_same_and_keep_each_problem_with_one(
    wide_checkpoint, vllm_lm, forced, adapted
):
    with loaded(wide_checkpoint, data_parallel_size=2, enable_lora=True) as lm:
        assert answers(lm, **FORCED) == forced
        info = lm.get_model_info()
        assert info["prompt_tokens_cached"] > 0.5 * info["prompt_tokens_sent"] > 0
        requests = [
            Instance("loglikelihood", {}, (text, " is"), 0, ("t", 0, 1)) for text in QUESTIONS[:4]
        ]
        have, want = (dict(model.loglikelihood(requests)) for model in (lm, vllm_lm))
        assert list(have) == pytest.approx(list(want), abs=1e-3)
        lm.use_adapter(vllm_lm.adapter)
        assert answers(lm, **FORCED) == adapted


def test_two_shards_answer_the_same_until_they_are_killed(wide_checkpoint, forced):
    """In the middle of a call, which vLLM would wait in for ever."""
    others = psutil.Process().children(recursive=True)
    with loaded(wide_checkpoint, tensor_parallel_size=2) as lm:
        assert answers(lm, **FORCED) == forced
        processes = set(psutil.Process().children(recursive=True)) - set(others)
        for process in processes:
            process.suspend()
        killing = threading.Timer(1.0, lambda: [process.kill() for process in processes])
        killing.start()
        failed = in_time(lambda: [r.details.failure for r in answers(lm, **FORCED)])
    assert set(failed) == {"vLLM's engine process has died, see its messages"}


def in_time(call, seconds: float = 120):
    """What a call returns; it fails where the call does not come back."""
    results = SimpleQueue()
    threading.Thread(target=lambda: results.put(call()), daemon=True).start()
    return results.get(timeout=seconds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({}, "needs a checkpoint"), ({"pretrained": "x", "num_wait": 1}, "did you mean 'num_waits'")],
)
def test_wrong_model_arguments_are_named_before_anything_is_loaded(arguments, message):
    with pytest.raises(SettingsError, match=message):
        TTSVLLM(**arguments)


def test_an_adapter_needs_a_model_that_was_made_for_adapters(vllm_lm, monkeypatch):
    monkeypatch.setitem(vllm_lm.model_args, "enable_lora", False)
    with pytest.raises(SettingsError, match="give enable_lora=true, or lora_local_path=, at the s"):
        vllm_lm.use_adapter("elsewhere")


@pytest.fixture
def switch(monkeypatch):
    """A function that sets vLLM's switch, as on a GPU, and returns also what vLLM sees."""
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "0")
    monkeypatch.setattr(vllm, "current_platform", SimpleNamespace(is_cuda_alike=lambda: True))
    seen = envs.environment_variables["VLLM_BATCH_INVARIANT"]
    return lambda wanted: (vllm.switch_batch_invariance(wanted), seen())


def test_batch_invariance_is_vllms_own_switch_and_stays_as_it_is_where_nothing_is_said(switch):
    assert switch(None) == (False, False)
    assert switch(True) == (True, True)
    assert switch(None) == (True, True)
    assert switch(False) == (False, False)


def test_batch_invariance_is_refused_where_vllm_has_no_kernels_for_it(vllm_lm, monkeypatch):
    """vLLM says nothing on a CPU, whoever asks."""
    assert vllm_lm.get_model_info()["batch_invariant"] is False
    with pytest.raises(SettingsError, match="CUDA, ROCm and XPU, this is cpu: leave it out"):
        TTSVLLM("any", batch_invariant=True)
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    with pytest.raises(SettingsError, match="CUDA, ROCm and XPU, this is cpu: leave it out"):
        TTSVLLM("any")
    with pytest.raises(SettingsError, match="batch_invariant='yes': allowed are true and false"):
        TTSVLLM("any", batch_invariant="yes")


def test_batch_invariance_is_part_of_what_a_journal_is_tied_to(vllm_lm, monkeypatch):
    without = vllm_lm.session.facts()
    monkeypatch.setattr(vllm_lm, "batch_invariant", True)
    assert vllm_lm.session.facts() == {**without, "batch_invariant": "True"}
