"""Reading in slots gives the scores of reading anew, whatever shares a prefix with whatever."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModel, LlamaConfig, MistralConfig, Phi3Config

from lm_eval_tts.reward_models import checkpoint
from lm_eval_tts.reward_models.hf import PaddedReader, Scorer, SlotReader, fit_reader
from lm_eval_tts.reward_models.inputs import Input

SMALL = {
    "vocab_size": 16,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "initializer_range": 0.4,
    "pad_token_id": None,
}
ROPE = {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [3.0] * 8}
CONFIGS = {
    "llama": LlamaConfig(**SMALL, max_position_embeddings=256),
    "sliding window": MistralConfig(**SMALL, max_position_embeddings=256, sliding_window=6),
    "longrope": Phi3Config(
        **SMALL,
        max_position_embeddings=256,
        original_max_position_embeddings=24,
        rope_parameters={**ROPE, "rope_theta": 10000.0, "original_max_position_embeddings": 24},
    ),
}


def random_scorer(name: str) -> Scorer:
    torch.manual_seed(0)
    head = torch.randn(32) * 0.3
    model = AutoModel.from_config(CONFIGS[name]).eval()
    return Scorer(model, lambda hidden: (hidden @ head).sigmoid())


SCORERS = {name: random_scorer(name) for name in CONFIGS}


def path(*steps: list[int]) -> Input:
    ids = [token for step in steps for token in step]
    ends = [sum(map(len, steps[: i + 1])) - 1 for i in range(len(steps))]
    return Input(tuple(ids), tuple(ends))


# Few tokens and few lengths, so that prefixes are shared by chance, with and without the positions.
step = st.lists(st.sampled_from([1, 2]), min_size=1, max_size=12).map(lambda ids: [*ids, 3])
calls = st.lists(st.lists(st.lists(step, min_size=1, max_size=4), max_size=5), max_size=4)


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(calls=calls, batch_size=st.integers(1, 3))
@pytest.mark.parametrize("name", CONFIGS)
def test_scores_in_slots_are_those_of_whole_inputs(name, calls, batch_size):
    scorer = SCORERS[name]
    reader = fit_reader(scorer, batch_size, 256)
    assert isinstance(reader, SlotReader)
    anew = PaddedReader(scorer, 1)
    with torch.inference_mode():
        for call in calls:
            items = [path(*steps) for steps in call]
            for have, want in zip(reader.read(items), anew.read(items), strict=True):
                assert have.scores == pytest.approx(want.scores, abs=1e-4)
                assert 0 <= have.num_tokens <= want.num_tokens


def test_the_same_ids_cut_into_other_steps_are_read_again_where_scores_are_missing():
    reader = fit_reader(SCORERS["llama"], 2, 256)
    whole, cut = path([1] * 20), path([1] * 12, [1] * 8)
    with torch.inference_mode():
        reader.read([whole])
        (result,) = reader.read([cut])
    assert result.num_tokens == 9  # from the position of the first step on
    assert len(result.scores) == 2


def test_inputs_of_one_question_wait_for_its_first_and_copy_what_it_read():
    reader = fit_reader(SCORERS["llama"], 8, 256)
    question = [1, 2] * 25
    with torch.inference_mode():
        results = reader.read([path([*question, token, 3]) for token in (4, 5, 6, 7)])
    assert sorted(result.num_tokens for result in results) == [2, 2, 2, 52]


def test_paths_that_go_on_are_not_overwritten_by_new_ones():
    """Of slots for two batches, those that a call asks for are the last ones to be given away."""
    reader = fit_reader(SCORERS["llama"], 4, 256)
    parents = [path([token] * 30 + [3]) for token in (4, 5, 6, 7)]
    others = [path([token] * 30 + [3]) for token in (12, 13, 14, 15)]
    children = [path([*p.token_ids], [t] * 5) for p in parents for t in (8, 9)]
    with torch.inference_mode():
        reader.read(parents)
        reader.read(others)
        assert {result.num_tokens for result in reader.read(children)} == {5}


def test_a_path_that_outgrows_the_short_factors_of_its_rope_is_read_again():
    scorer = SCORERS["longrope"]
    reader = fit_reader(scorer, 2, 256)
    short, long = path([1] * 20), path([1] * 20, [2] * 20)
    with torch.inference_mode():
        reader.read([short])
        (have,) = reader.read([long])
        (want,) = PaddedReader(scorer, 1).read([long])
    assert have.num_tokens == 40
    assert have.scores == pytest.approx(want.scores, abs=1e-4)


def test_scores_outlive_the_slots_that_they_were_read_in():
    reader = fit_reader(SCORERS["llama"], 1, 256)
    first = path([1] * 20, [2] * 9)
    with torch.inference_mode():
        (want,) = reader.read([first])
        for token in (4, 5, 6):
            reader.read([path([token] * 30)])  # of two slots, none is left to the first
        (have,) = reader.read([first])
    assert (have.scores, have.num_tokens) == (want.scores, 0)


def test_scores_that_were_forgotten_are_read_again(monkeypatch):
    monkeypatch.setattr(checkpoint, "MOST_KNOWN", 1)
    reader = fit_reader(SCORERS["llama"], 2, 256)
    item = path([1] * 20, [2] * 9)
    with torch.inference_mode():
        (want,) = reader.read([item])
        (have,) = reader.read([item])
    assert have.scores == pytest.approx(want.scores, abs=1e-4)
    assert have.num_tokens == 10  # from the position of the first step on


def test_a_forward_that_breaks_leaves_nothing_wrong_behind(monkeypatch):
    reader = fit_reader(SCORERS["llama"], 2, 256)
    items = [path([1] * 20), path([1] * 20, [2] * 9)]
    forward = reader._model.forward

    def broken(feeds):
        raise ValueError("a model's own code")

    with torch.inference_mode():
        monkeypatch.setattr(reader._model, "forward", broken)
        with pytest.raises(ValueError, match="own code"):
            reader.read(items)
        monkeypatch.setattr(reader._model, "forward", forward)
        have, want = reader.read(items), PaddedReader(SCORERS["llama"], 1).read(items)
    for a, b in zip(have, want, strict=True):
        assert a.scores == pytest.approx(b.scores, abs=1e-4)
