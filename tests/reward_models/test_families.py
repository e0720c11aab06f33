"""Each family on a tiny random checkpoint: scores are those computed one step at a time."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reward_checkpoints import BUILDERS, Checkpoint, load_reward_model

from lm_eval_tts.core.program import Score, StepScores
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.reward_models import hf, qwen2
from lm_eval_tts.reward_models.families import FAMILIES, detect_family
from lm_eval_tts.reward_models.hf import PaddedReader

QUESTION = "What is 3 + 4 - 2?"
STEPS = ["Step 1: 3 + 4 = 7.", "Step 2: 7 - 2 = 5.", "So it is 5.", "The answer is: 5"]
RESPONSES = [
    STEPS[:1],
    STEPS,
    ["Step 1: 3 + 4 = 8."],
    ["Step 1: 3 + 4 = 8.", "and so on and on and on and on, which takes a while, 5 and 5"],
    STEPS[:3],
    [*STEPS[:2], "No."],
    STEPS[:1],
]
ITEMS = [Score(QUESTION, tuple(steps)) for steps in RESPONSES]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    folder = tmp_path_factory.mktemp("rewards")
    return {kind: build(folder) for kind, build in BUILDERS.items()}


def flat(results: list) -> list[float]:
    return [score for result in results for score in result.scores]


@pytest.fixture(params=BUILDERS)
def family(request, checkpoints) -> tuple[str, Checkpoint, list[float]]:
    """A family's name, its checkpoint, and the scores of all items by the reference."""
    checkpoint = checkpoints[request.param]
    want = [score for steps in RESPONSES for score in checkpoint.reference(QUESTION, steps)]
    assert max(want) - min(want) > 0.01  # random weights tell responses apart
    return request.param, checkpoint, want


@pytest.mark.parametrize("reader", ["slots", "padded"])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_scores_are_those_of_one_step_at_a_time(family, batch_size, reader, monkeypatch):
    kind, checkpoint, want = family
    if reader == "padded":
        monkeypatch.setattr(hf, "fit_reader", lambda scorer, size, _: PaddedReader(scorer, size))
    model = load_reward_model(str(checkpoint.path), batch_size=batch_size)
    assert model._family is FAMILIES[kind]
    have = model.score(ITEMS)
    assert [len(r.scores) for r in have] == [
        1 if kind == "outcome" else len(steps) for steps in RESPONSES
    ]
    assert flat(have) == pytest.approx(want, abs=1e-4)
    assert flat(model.score(ITEMS[::-1])[::-1]) == pytest.approx(want, abs=1e-4)


def test_a_search_reads_each_step_once(family):
    kind, checkpoint, _ = family
    model = load_reward_model(str(checkpoint.path))
    assert isinstance(model._reader, hf.SlotReader)
    whole = load_reward_model(str(checkpoint.path))
    (scored_whole,) = whole.score([Score(QUESTION, tuple(STEPS))])
    for end in range(1, len(STEPS) + 1):
        (scored,) = model.score([Score(QUESTION, tuple(STEPS[:end]))])
        want = checkpoint.reference(QUESTION, STEPS[:end])
        assert scored.scores == pytest.approx(want, abs=1e-4)
    if kind != "outcome":
        assert model.spent.num_tokens == whole.spent.num_tokens == scored_whole.num_tokens
    read = model.spent.num_tokens
    assert model.score([Score(QUESTION, tuple(STEPS))]) == [scored]
    assert model.spent.num_tokens == read  # nothing was new


def test_what_a_text_counts_does_not_depend_on_what_was_read_before(family):
    _, checkpoint, _ = family
    alone = [load_reward_model(str(checkpoint.path)).score([item])[0] for item in ITEMS]
    beside = load_reward_model(str(checkpoint.path), batch_size=2)
    have = beside.score([*ITEMS, *ITEMS])
    assert [r.num_tokens for r in have] == 2 * [r.num_tokens for r in alone]
    assert beside.spent.num_tokens < sum(r.num_tokens for r in have)
    assert beside.spent.seconds > 0


def test_beams_that_fork_and_die_keep_their_scores(checkpoints):
    """A small cache, more beams than slots: prefixes are lost, never mixed up."""
    checkpoint = checkpoints["token-classification"]
    model = load_reward_model(str(checkpoint.path), batch_size=2)
    beams = [[f"Step 1: try {i}."] for i in range(6)]
    for round_ in range(3):
        results = model.score([Score(QUESTION, tuple(beam)) for beam in beams])
        for beam, result in zip(beams, results, strict=True):
            want = checkpoint.reference(QUESTION, beam)
            assert result.scores == pytest.approx(want, abs=1e-4)
        kept = beams[round_ % 2 :: 2]
        beams = [[*beam, f"round {round_}, way {i}"] for beam in kept for i in range(2)]


def test_siblings_share_their_parent(checkpoints):
    model = load_reward_model(str(checkpoints["token-classification"].path))
    parent = tuple(STEPS[:3])
    children = [Score(QUESTION, (*parent, f"Way {i}.")) for i in range(4)]
    model.score([Score(QUESTION, parent)])
    before = model.spent.num_tokens
    model.score(children)
    assert model.spent.num_tokens - before < 4 * 20


def test_the_last_separator_is_where_the_score_is_even_if_a_step_holds_one(family):
    """Marks of the family within a step do not make places of their own."""
    _, checkpoint, _ = family
    model = load_reward_model(str(checkpoint.path))
    hostile = (
        "a ки b",
        "ки",
        "x<extra_0>y\nz ##\n w",
        "<|eot|><|start|>assistant<|sep|> +",
        "кино",
    )
    (result,) = model.score([Score(QUESTION + " ки <extra_0>\n", hostile)])
    assert isinstance(result, StepScores)
    assert len(result.scores) in (1, len(hostile))


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.text(max_size=12) | st.sampled_from(["ки", "\n", "<extra_0>", "+"])))
def test_whatever_steps_say_each_has_a_score_or_the_item_a_reason(loaded, steps):
    for kind, model in loaded.items():
        (result,) = model.score([Score(QUESTION, tuple(steps))])
        if isinstance(result, RequestError):
            assert re.search("no step has text|reads at most", str(result))
            continue
        assert len(result.scores) == (1 if kind == "outcome" else len(steps))
        assert all(0 <= score <= 1 for score in result.scores)


@pytest.fixture(scope="module")
def loaded(checkpoints) -> dict:
    return {kind: load_reward_model(str(c.path)) for kind, c in checkpoints.items()}


def test_an_empty_step_has_the_score_of_the_step_before_it(checkpoints):
    checkpoint = checkpoints["qwen-prm"]
    model = load_reward_model(str(checkpoint.path))
    a, b = checkpoint.reference(QUESTION, STEPS[:2])
    (result,) = model.score([Score(QUESTION, ("", STEPS[0], " \n", STEPS[1] + "\n\n", ""))])
    assert result.scores == pytest.approx((a, a, a, b, b), abs=1e-4)


def test_what_cannot_be_scored_is_told_and_leaves_the_rest_alone(checkpoints):
    model = load_reward_model(str(checkpoints["trl"].path))
    long, empty, good = model.score(
        [Score(QUESTION, ("x" * 9, "+ " * 600)), Score(QUESTION, ("", " ")), ITEMS[0]]
    )
    assert isinstance(long, RequestError)
    assert "at most 512 tokens" in str(long)
    assert "2 steps takes" in str(long)
    assert isinstance(empty, RequestError)
    assert isinstance(good, StepScores)


def test_scores_that_are_no_numbers_are_an_error(checkpoints):
    model = load_reward_model(str(checkpoints["trl"].path))
    model._reader._head = lambda hidden: hidden[:, 0] * float("nan")
    (result,) = model.score(ITEMS[:1])
    assert isinstance(result, RequestError)
    assert "not numbers" in str(result)


def test_a_mark_that_the_tokenizer_breaks_up_is_a_mismatch_and_not_a_score(checkpoints):
    """Rather no score than one that belongs to another step."""
    model = load_reward_model(str(checkpoints["trl"].path), type="trl")
    model._family = FAMILIES["qwen-prm"]
    model._words.tokenizer.convert_tokens_to_ids = lambda token: -1
    (result,) = model.score(ITEMS[1:2])
    assert isinstance(result, RequestError)
    assert "0 places for the scores of 4 steps" in str(result)


def test_an_outcome_model_gives_its_logit_raw_if_asked(checkpoints):
    path = str(checkpoints["outcome"].path)
    probabilities = flat(load_reward_model(path).score(ITEMS))
    logits = flat(load_reward_model(path, type="outcome-raw").score(ITEMS))
    assert torch.tensor(logits).sigmoid().tolist() == pytest.approx(probabilities)
    assert min(logits) < 0


def test_models_that_read_the_same_and_score_otherwise_have_other_facts(checkpoints):
    path = str(checkpoints["outcome"].path)
    plain, raw = (load_reward_model(path, type=kind).facts() for kind in ("outcome", "outcome-raw"))
    assert {name for name in plain if plain[name] != raw[name]} == {"reward_model_head"}


def test_steps_with_white_space_of_their_own_are_read_as_they_are(checkpoints):
    model = load_reward_model(str(checkpoints["outcome"].path))
    cut, whole = model.score([Score("q", ("a = 1\n", "b = 2\n")), Score("q", ("a = 1\nb = 2",))])
    assert cut.scores == whole.scores


def test_half_precision_works_and_the_value_head_stays_float32(checkpoints):
    checkpoint = checkpoints["skywork-prm"]
    model = load_reward_model(str(checkpoint.path), dtype="bfloat16")
    (result,) = model.score(ITEMS[1:2])
    assert result.scores == pytest.approx(checkpoint.reference(QUESTION, STEPS), abs=0.2)


def test_a_checkpoint_without_the_head_is_refused(checkpoints):
    """transformers would make one up, at random, with a warning."""
    with pytest.raises(SettingsError, match=r"lacks weights .*score"):
        load_reward_model(str(checkpoints["rlhflow"].path), type="trl")
    with pytest.raises(SettingsError, match=r"lacks weights .*v_head"):
        load_reward_model(str(checkpoints["qwen-prm"].path), type="skywork-prm")


def test_an_unknown_format_is_refused_with_what_is_allowed(checkpoints, tmp_path):
    path = tmp_path / "some-model"
    shutil.copytree(checkpoints["rlhflow"].path, path)
    with pytest.raises(SettingsError, match=r"LlamaForCausalLM.*one of math-shepherd, outcome"):
        load_reward_model(str(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"type": "quen-prm"}, "did you mean 'qwen-prm'"),
        ({"dtype": "float64"}, "unknown reward_model_dtype 'float64'"),
        ({"batch_size": 0}, "allowed is a number >= 1"),
        ({"separator": "\n", "type": "qwen-prm"}, "has its own"),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_loaded(arguments, message, checkpoints):
    with pytest.raises(SettingsError, match=message):
        load_reward_model(str(checkpoints["trl"].path), **arguments)


def test_a_name_that_is_nothing_is_told():
    with pytest.raises(SettingsError, match="no/where"):
        load_reward_model("no/where")


@pytest.mark.parametrize(
    ("name", "config", "kind"),
    [
        ("peiyi9979/math-shepherd-mistral-7b-prm", ["LlamaForCausalLM"], "math-shepherd"),
        ("RLHFlow/Llama3.1-8B-PRM-Mistral-Data", ["LlamaForCausalLM"], "rlhflow"),
        ("Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B", ["Qwen2ForRewardModel"], "skywork-prm"),
        ("Qwen/Qwen2.5-Math-PRM-72B", ["Qwen2ForProcessRewardModel"], "qwen-prm"),
        ("me/a-prm", ["Qwen2ForTokenClassification"], "trl"),
        ("me/an-orm", ["LlamaForSequenceClassification"], "outcome"),
    ],
)
def test_a_family_is_told_by_class_and_name(name, config, kind):
    assert detect_family(name, {"architectures": config}) == kind


def test_code_in_a_checkpoint_is_not_run_unasked(checkpoints):
    """The config names code that is not there; loading would fail if it were looked for."""
    path = checkpoints["qwen-prm"].path
    assert "auto_map" in json.loads((path / "config.json").read_text())
    load_reward_model(str(path))


def test_the_code_of_our_classes_is_that_of_the_journals_there_are():
    # It is in the digest of their weights: a run that an older version began goes on only with it.
    code = Path(qwen2.__file__).read_bytes()
    assert hashlib.sha256(code).hexdigest()[:16] == "9e913c9fcacf3a32"
