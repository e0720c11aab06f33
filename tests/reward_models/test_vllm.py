"""Reward models in vLLM: scores are those of the checkpoint read one step at a time.

Tiny random checkpoints, with heads of 32, which vLLM needs on CPUs. The packaged reward model is
run beside a policy in tests/models/test_vllm_reasoner.py.
"""

import json

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: make test-vllm")

import vllm_helpers  # noqa: F401  # vLLM's environment, before it is imported
from reward_checkpoints import load_reward_model, outcome, qwen, rlhflow, trl
from vllm.v1.engine.exceptions import EngineDeadError

from lm_eval_tts.core.program import Score, StepScores
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.reward_models import checkpoint as checkpoint_model
from lm_eval_tts.reward_models.inputs import Input, Reading

pytestmark = pytest.mark.vllm

QUESTION = "What is 3 + 4 - 2?"
STEPS = ["Step 1: 3 + 4 = 7.", "Step 2: 7 - 2 = 5.", "So it is 5.", "The answer is: 5"]
RESPONSES = [STEPS[:1], STEPS, ["Step 1: 3 + 4 = 8."], STEPS[:3], [*STEPS[:2], "No."], STEPS[:1]]
ITEMS = [Score(QUESTION, tuple(steps)) for steps in RESPONSES]


@pytest.fixture(scope="module", params=[qwen, rlhflow, outcome])
def pair(request, tmp_path_factory):
    """A checkpoint of a family, and its reward model in vLLM."""
    shape = {"num_attention_heads": 1, "num_key_value_heads": 1}
    checkpoint = request.param(tmp_path_factory.mktemp("reward"), **shape)
    model = load_reward_model(str(checkpoint.path), backend="vllm", batch_size=3)
    yield checkpoint, model
    model._llm.llm_engine.shutdown()


def flat(results: list) -> list[float]:
    return [score for result in results for score in result.scores]


def test_scores_are_those_of_one_step_at_a_time_and_read_once(pair):
    checkpoint, model = pair
    want = [score for steps in RESPONSES for score in checkpoint.reference(QUESTION, steps)]
    assert max(want) - min(want) > 0.01  # random weights tell responses apart
    have, read = model.score(ITEMS), model.spent.num_tokens
    assert flat(have) == pytest.approx(want, abs=1e-4)
    again, read_again = model.score(ITEMS[::-1])[::-1], model.spent.num_tokens - read
    assert flat(again) == flat([model.score([item])[0] for item in ITEMS])
    assert flat(again) == pytest.approx(want, abs=1e-4)
    assert read_again < 0.7 * read


def test_scores_that_were_forgotten_are_read_again(pair, monkeypatch):
    checkpoint, model = pair
    want = checkpoint.reference(QUESTION, STEPS)
    model.score(ITEMS)
    monkeypatch.setattr(checkpoint_model, "MOST_KNOWN", 0)
    (have,) = model.score([ITEMS[1]])
    assert have.scores == pytest.approx(want, abs=1e-4)


def test_what_cannot_be_scored_is_told_and_leaves_the_rest_alone(pair):
    _, model = pair
    empty, long, good = model.score(
        [Score(QUESTION, ("", " ")), Score(QUESTION, ("+ " * 600,)), ITEMS[0]]
    )
    assert isinstance(empty, RequestError)
    assert isinstance(long, RequestError)
    assert "at most 512 tokens" in str(long)
    assert isinstance(good, StepScores)
    refused, read = model._read([Input((10**6, 1), (1,)), Input((1, 2), (1,))])
    assert "vLLM refused a request" in str(refused)
    assert isinstance(read, Reading)


def test_a_dead_engine_is_the_reason_of_every_failure(pair, monkeypatch):
    _, model = pair

    async def die(*args, **kwargs):
        raise EngineDeadError

    monkeypatch.setattr(model._llm, "encode", die)
    for result in model.score(ITEMS[:2]):
        assert "reward model: vLLM's engine process has died" in str(result)


def test_a_checkpoint_of_another_family_is_refused_before_it_is_loaded(tmp_path):
    path = str(rlhflow(tmp_path).path)
    with pytest.raises(SettingsError, match="is a LlamaForCausalLM; vLLM reads type trl"):
        load_reward_model(path, type="trl", backend="vllm")


def test_a_head_with_many_labels_is_not_a_score(tmp_path):
    path = trl(tmp_path).path
    settings = json.loads((path / "config.json").read_text())
    settings["id2label"] = {str(i): f"LABEL_{i}" for i in range(5)}
    (path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(SettingsError, match=r"^reward model .* has 5 labels"):
        load_reward_model(str(path), backend="vllm")
