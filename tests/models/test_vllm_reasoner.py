"""The packaged reasoner on vLLM, with the packaged reward model in a second engine beside it.

float32, one pair of engines for all tests, and a `vllm serve` for those of servers.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: make test-vllm")

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from reward_checkpoints import load_reward_model
from vllm_helpers import VLLM_ARGUMENTS, serve

from lm_eval_tts.checkpoints import find_checkpoint
from lm_eval_tts.core.program import Score
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.models.hf import TTSHF
from lm_eval_tts.models.openai import TTSOpenAI
from lm_eval_tts.models.vllm import TTSVLLM

pytestmark = pytest.mark.vllm

REASONER = {"pretrained": "arith-base", "dtype": "float32"}
REWARD_MODEL = "arith-prm"
ADAPTER = "arith-grpo"
LIMIT = 8
TELLING = (19, 21)  # documents on which the two adapters write different texts


@pytest.fixture(scope="module")
def loaded():
    lm = TTSVLLM(
        lora_local_path=ADAPTER,
        reward_model=REWARD_MODEL,
        reward_model_backend="vllm",
        **{**VLLM_ARGUMENTS, **REASONER},
    )
    yield lm
    for llm in (lm.model, lm.session.reward_model._llm):
        llm.llm_engine.shutdown()


@pytest.fixture
def reasoner(loaded):
    """The model with the adapter that it was loaded with, whatever the test before has used."""
    loaded.use_adapter(ADAPTER)
    return loaded


@pytest.fixture(scope="module")
def on_transformers():
    return TTSHF(peft=ADAPTER, device="cpu", batch_size=LIMIT, **REASONER)


@pytest.fixture(scope="module")
def on_hf():
    """The packaged reward model on transformers."""
    return load_reward_model(find_checkpoint(REWARD_MODEL), device="cpu")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A `vllm serve` of the base with the adapter, each under its name."""
    base, adapter = (Path(find_checkpoint(name)) for name in (REASONER["pretrained"], ADAPTER))
    options = ("--enable-lora", "--lora-modules", f"{ADAPTER}={adapter}")
    with serve(base, base.name, tmp_path_factory.mktemp("server"), *options) as url:
        yield url


def samples(model, task: str, documents: Sequence[int] = range(LIMIT), **gen_kwargs) -> list[dict]:
    """The samples of some of a task's documents, by lm_eval."""
    results = simple_evaluate(
        model=model,
        tasks=[task],
        samples={task: list(documents)},
        gen_kwargs=gen_kwargs or None,
        task_manager=TaskManager(include_path=task_configs(), include_defaults=False),
        bootstrap_iters=0,
    )
    return sorted(results["samples"][task], key=lambda sample: sample["doc_id"])


def texts(found: list[dict]) -> list[str]:
    return [str(text) for sample in found for text in sample["resps"][0]]


def test_greedy_thinking_is_the_same_text_as_on_transformers(reasoner, on_transformers):
    """At every budget: the grades of the curve's points are those of the texts."""
    have = samples(reasoner, "arith_budget")
    on_transformers.use_adapter(ADAPTER)
    want = samples(on_transformers, "arith_budget")
    assert texts(have) == texts(want)
    metrics = [name for name in want[0] if name.startswith("exact_match")]
    assert len(metrics) > 4
    assert [[s[m] for m in metrics] for s in have] == [[s[m] for m in metrics] for s in want]
    assert sum(s["exact_match"] for s in have) > LIMIT / 2  # the adapter is at work


def test_base_and_adapters_share_one_engine_and_write_what_they_write_on_transformers(
    reasoner, on_transformers
):
    found = []
    for adapter in (None, "arith-sft", "arith-grpo"):
        for model in (reasoner, on_transformers):
            model.use_adapter(adapter)
        have, want = (
            texts(samples(model, "arith_budget", TELLING)) for model in (reasoner, on_transformers)
        )
        assert have == want
        assert reasoner.get_model_info()["lora_local_path"] == adapter
        found.append(have)
    assert found[0] != found[1] != found[2] != found[0]


def test_new_weights_in_a_folder_are_a_new_adapter(reasoner, tmp_path):
    folder, found = tmp_path / "adapter", []
    for name in ("arith-sft", "arith-grpo"):
        shutil.copytree(find_checkpoint(name), folder, copy_function=shutil.copyfile)
        reasoner.use_adapter(str(folder))
        found.append(texts(samples(reasoner, "arith_budget", TELLING)))
        shutil.rmtree(folder)
    assert found[0] != found[1]
    reasoner.use_adapter("arith-grpo")
    assert texts(samples(reasoner, "arith_budget", TELLING)) == found[1]


def test_an_adapter_that_cannot_be_loaded_is_one_line_and_the_one_before_answers_on(
    reasoner, tmp_path
):
    want = texts(samples(reasoner, "arith_budget", TELLING))
    large = shutil.copytree(find_checkpoint("arith-sft"), tmp_path / "large")
    config = large / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "r": 1024}))
    for folder, reason in ((tmp_path / "none", "No adapter found"), (large, "rank 1024")):
        with pytest.raises(SettingsError, match=f"loaded with lora_local_path='.*{reason}"):
            reasoner.use_adapter(str(folder))
    assert texts(samples(reasoner, "arith_budget", TELLING)) == want
    assert reasoner.get_model_info()["lora_local_path"] == ADAPTER


def test_a_journal_is_that_of_one_adapter(reasoner, tmp_path, monkeypatch):
    monkeypatch.setattr(reasoner.session.state, "journal", str(tmp_path))
    samples(reasoner, "arith_budget", TELLING)
    reasoner.use_adapter("arith-sft")
    with pytest.raises(SettingsError, match="lora_local_path"):
        samples(reasoner, "arith_budget", TELLING)


@pytest.mark.parametrize("task", ["arith_budget", "arith_beam"])
def test_most_of_what_a_strategy_sends_again_is_in_the_cache(reasoner, task):
    """Answers at budgets of one thought, steps of a search: the last prompt and some more."""
    sent, cached = (f"prompt_tokens_{kind}" for kind in ("sent", "cached"))
    before = reasoner.get_model_info()
    samples(reasoner, task, range(3))
    after = reasoner.get_model_info()
    assert after[cached] - before[cached] > 0.6 * (after[sent] - before[sent]) > 0


def test_a_server_writes_what_transformers_writes_under_the_name_of_each_adapter(
    url, on_transformers
):
    for name, adapter in (("arith-base", None), (ADAPTER, ADAPTER)):
        served = TTSOpenAI(url, name, tokenizer=REASONER["pretrained"])
        on_transformers.use_adapter(adapter)
        have, want = (
            texts(samples(model, "arith_budget", TELLING)) for model in (served, on_transformers)
        )
        assert have == want
        assert served.get_model_info()["served_model"] == name
        assert served.get_model_info()["token_exact"]


def test_a_server_samples_what_is_sampled_here_for_self_consistency(url, reasoner):
    served = TTSOpenAI(url, ADAPTER, tokenizer=REASONER["pretrained"])
    have, want = (samples(model, "arith_maj", range(3)) for model in (served, reasoner))
    assert texts(have) == texts(want)
    assert [votes(sample) for sample in have] == [votes(sample) for sample in want]
    assert len({vote for sample in have for vote in votes(sample)}) > 1


def votes(sample: dict) -> list[str]:
    """What was sampled for a sample's vote."""
    (response,) = sample["resps"][0]
    return [str(candidate) for candidate in response.details.candidates]


def test_the_packaged_reward_model_scores_as_on_transformers_whatever_the_batch(reasoner, on_hf):
    """Workings of every length; each is a prefix of another."""
    question = "Tom has 12 apples. He buys 30 more and gives 7 away. How many apples are left?"
    steps = ("12+30=42", "42-7=35", "so 35 are left", "35-1=34", "7+12=20")
    items = [Score(question, steps[:n]) for n in range(1, 6)] + [Score("1+1?", steps[::-1])]
    want = on_hf.score(items)
    for batch in (items, items[::-1], *([item] for item in items)):
        for item, have in zip(batch, reasoner.session.reward_model.score(batch), strict=True):
            assert have.scores == pytest.approx(want[items.index(item)].scores, abs=1e-4)


def test_best_of_n_chooses_as_with_the_reward_model_on_transformers(reasoner, on_hf, monkeypatch):
    def run() -> list:
        found = samples(reasoner, "arith_bon", range(5))
        return [response for sample in found for response in sample["resps"][0]]

    have = run()
    monkeypatch.setattr(reasoner.session, "reward_model", on_hf)
    want = run()
    assert have == want
    for response, other in zip(have, want, strict=True):
        assert response.details.usage.scorer_calls == 8
        assert response.details.usage.scorer_tokens > 0
        assert rewards(response) == pytest.approx(rewards(other), abs=1e-4)
    scores = [score for response in want for score in rewards(response)]
    assert max(scores) - min(scores) > 1e-3  # it tells responses apart


def rewards(response) -> list[float]:
    return [candidate.details.scores["reward"] for candidate in response.details.candidates]


def test_a_second_run_with_the_journal_asks_vllm_for_nothing_that_was_finished(
    reasoner, tmp_path, monkeypatch
):
    def run(limit: int) -> tuple[list[str], int]:
        before = reasoner.model.prompt_tokens["sent"]
        found = texts(samples(reasoner, "arith_budget", range(limit)))
        return found, reasoner.model.prompt_tokens["sent"] - before

    alone, sent_alone = run(6)
    monkeypatch.setattr(reasoner.session.state, "journal", str(tmp_path))
    first, sent_first = run(4)
    second, sent_second = run(6)
    third, sent_third = run(6)
    assert (first, second, third) == (alone[:4], alone, alone)
    assert sent_first + sent_second == sent_alone
    assert 0 < sent_second < sent_first
    assert sent_third == 0
