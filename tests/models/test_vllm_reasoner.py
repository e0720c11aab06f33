"""The packaged reasoner on vLLM, with the packaged reward model in a second engine beside it.

float32, one pair of engines for all tests.
"""

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: make test-vllm")

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from vllm_helpers import VLLM_ARGUMENTS

from lm_eval_tts.checkpoints import find_checkpoint
from lm_eval_tts.core.program import Score
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.models.hf import TTSHF
from lm_eval_tts.models.vllm import TTSVLLM
from lm_eval_tts.reward_models.loading import load_reward_model

pytestmark = pytest.mark.vllm

REASONER = {"pretrained": "arith-base", "reward_model": "arith-prm", "dtype": "float32"}
LIMIT = 8


@pytest.fixture(scope="module")
def reasoner():
    lm = TTSVLLM(
        lora_local_path="arith-grpo",
        reward_model_backend="vllm",
        **{**VLLM_ARGUMENTS, **REASONER},
    )
    yield lm
    for llm in (lm.model, lm.session.reward_model._llm):
        llm.llm_engine.engine_core.shutdown()


@pytest.fixture(scope="module")
def on_hf():
    """The packaged reward model on transformers."""
    return load_reward_model(find_checkpoint(REASONER["reward_model"]), device="cpu")


def samples(model, task: str, limit: int = LIMIT, **gen_kwargs) -> list[dict]:
    """The samples of a task's first documents, by lm_eval."""
    results = simple_evaluate(
        model=model,
        tasks=[task],
        limit=limit,
        gen_kwargs=gen_kwargs or None,
        task_manager=TaskManager(include_path=task_configs(), include_defaults=False),
        bootstrap_iters=0,
    )
    return sorted(results["samples"][task], key=lambda sample: sample["doc_id"])


def texts(found: list[dict]) -> list[str]:
    return [str(text) for sample in found for text in sample["resps"][0]]


def test_greedy_thinking_is_the_same_text_as_on_transformers(reasoner):
    """At every budget: the grades of the curve's points are those of the texts."""
    have = samples(reasoner, "arith_budget")
    model = TTSHF(peft="arith-grpo", device="cpu", batch_size=LIMIT, **REASONER)
    want = samples(model, "arith_budget")
    assert texts(have) == texts(want)
    metrics = [name for name in want[0] if name.startswith("exact_match")]
    assert len(metrics) > 4
    assert [[s[m] for m in metrics] for s in have] == [[s[m] for m in metrics] for s in want]
    assert sum(s["exact_match"] for s in have) > LIMIT / 2  # the adapter is at work


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
        found = samples(reasoner, "arith_bon", limit=5)
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
        before = reasoner.prompt_tokens.sent
        found = texts(samples(reasoner, "arith_budget", limit))
        return found, reasoner.prompt_tokens.sent - before

    alone, sent_alone = run(6)
    monkeypatch.setattr(reasoner.session.state, "journal", str(tmp_path))
    first, sent_first = run(4)
    second, sent_second = run(6)
    third, sent_third = run(6)
    assert (first, second, third) == (alone[:4], alone, alone)
    assert sent_first + sent_second == sent_alone
    assert 0 < sent_second < sent_first
    assert sent_third == 0
