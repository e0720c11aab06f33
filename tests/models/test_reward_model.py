"""`tts-hf` with a process reward model of its own, both tiny and random."""

import shutil
from pathlib import Path

import pytest
import torch
from lm_eval.api.instance import Instance
from reward_checkpoints import Checkpoint, token_classification
from safetensors.torch import load_file, save_file

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.models.hf import TTSHF

SEARCH = {
    **{"do_sample": True, "temperature": 1.0, "step_delimiter": "e", "max_gen_toks": 60},
    **{"n": 4, "until": []},
}


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return token_classification(tmp_path_factory.mktemp("prm"))


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path, scorer: Checkpoint) -> TTSHF:
    arguments = {"reward_model": str(scorer.path), "reward_model_batch_size": 3}
    return TTSHF(pretrained=str(tiny_checkpoint), device="cpu", batch_size=8, **arguments)


def solve(model: TTSHF, **kwargs):
    arguments = ("What is 2 plus 2?", {**SEARCH, **kwargs})
    instance = Instance("generate_until", {"id": "7"}, arguments, 0, ("task", 0, 1))
    (response,) = model.generate_until([instance], disable_tqdm=True)
    return response


def test_candidates_have_the_scores_that_the_checkpoint_gives_step_by_step(model, scorer):
    response = solve(model, strategy="best_of_n", aggregation="min")
    scores = [candidate.details.scores["reward"] for candidate in response.details.candidates]
    for candidate, score in zip(response.details.candidates, scores, strict=True):
        steps = [step.strip() for step in candidate.split("e") if step.strip()]
        assert score == pytest.approx(min(scorer.reference("What is 2 plus 2?", steps)), abs=1e-4)
    best = max(response.details.candidates, key=lambda c: c.details.scores["reward"])
    assert response == best
    assert response.details.usage.scorer_calls == 4
    assert response.details.usage.scorer_tokens > 0


@pytest.mark.parametrize("strategy", ["beam", "dvts", "rebase", "particle", "compute_optimal"])
def test_searches_run_with_it(model, strategy):
    width = {} if strategy in ("rebase", "particle") else {"beam_width": 2}
    response = solve(model, strategy=strategy, num_iterations=4, **width)
    assert response.details.failure is None
    assert response in response.details.candidates
    for candidate in response.details.candidates:
        text, place = "", candidate.details.last_step
        while place is not None and place >= 0:
            place, step, score = response.details.tree[place]
            assert score is None or 0 <= score <= 1
            text = step + text
        assert text in ("", candidate)
        assert text or strategy == "compute_optimal"
    assert response.details.usage.scorer_calls >= len(response.details.candidates)


def test_results_name_the_reward_model_and_what_it_cost(model, scorer):
    solve(model, strategy="best_of_n")
    info = model.get_model_info()
    assert info["reward_model"] == str(scorer.path)
    assert info["scorer_seconds"] > 0
    assert info["scorer_tokens_read"] > 0


def test_a_reward_model_that_is_not_there_is_told_before_the_policy_is_loaded(tiny_checkpoint):
    with pytest.raises(SettingsError, match="reward model /nowhere"):
        TTSHF(pretrained=str(tiny_checkpoint), device="cpu", reward_model="/nowhere")


@pytest.fixture
def keeping(tiny_checkpoint: Path, scorer: Checkpoint, tmp_path: Path):
    """A function that makes a model with a journal, and a reward model in a folder of its own."""
    shutil.copytree(scorer.path, tmp_path / "prm")

    def make(**changes) -> TTSHF:
        arguments = {"reward_model": str(tmp_path / "prm"), "journal": str(tmp_path / "journal")}
        arguments |= {"pretrained": str(tiny_checkpoint), "device": "cpu", "batch_size": 4}
        arguments |= changes
        return TTSHF(**{name: value for name, value in arguments.items() if value is not None})

    return make


@pytest.mark.parametrize("strategy", ["best_of_n", "beam"])
def test_a_second_run_with_a_journal_asks_neither_policy_nor_reward_model(keeping, strategy):
    settings = {"strategy": strategy} | ({"num_iterations": 3} if strategy == "beam" else {})
    first = keeping()
    want = solve(first, **settings)
    again = keeping()
    again.session.reward_model.score = again.session.engine.step = None  # not even once
    have = solve(again, **settings)
    assert (have, have.details) == (want, want.details)
    assert again.get_model_info()["scorer_seconds"] == first.get_model_info()["scorer_seconds"]
    assert have == solve(keeping(journal=None), **settings)


def test_a_journal_is_refused_where_other_weights_lie_in_the_reward_models_place(keeping, tmp_path):
    solve(keeping(), strategy="best_of_n")
    with pytest.raises(SettingsError, match=r"reward_model_weights was \w+-\w+, is None,"):
        solve(keeping(reward_model=None), strategy="self_consistency")
    path = tmp_path / "prm" / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.startswith(("score", "classifier")))
    weights[name] = weights[name] + torch.ones(())  # the head alone
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(SettingsError, match="of another run: reward_model_weights was") as caught:
        solve(keeping(), strategy="best_of_n")
    assert "reward_model_dtype" not in str(caught.value)
