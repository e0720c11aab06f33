"""Reward models by model arguments, on models that cannot keep prefixes, and out of memory."""

import subprocess
import sys

import pytest
import torch
from reward_checkpoints import byte_tokenizer, config, outcome, save, trl
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
)

from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.program import Score, StepScores
from lm_eval_tts.reward_models.loading import (
    RewardModelSettings,
    load_reward_model,
    take_reward_model,
)
from lm_eval_tts.reward_models.padded import PaddedReader

ITEMS = [Score("2+2?", ("so", "4" * n)) for n in (1, 9, 4)]


def bert(path, auto, num_labels=2):
    tokenizer = byte_tokenizer()
    kwargs = {"num_labels": num_labels, "type_vocab_size": 1}
    save(path, auto, config(BertConfig, tokenizer, **kwargs), tokenizer)
    return str(path)


def test_a_model_that_looks_ahead_is_read_whole(tmp_path, caplog):
    path = bert(tmp_path / "bert", AutoModelForTokenClassification)
    model = load_reward_model(path, kind="trl", batch_size=2)
    assert isinstance(model._reader, PaddedReader)
    assert "reads every response anew" in caplog.text
    together = model.score(ITEMS)
    alone = [model.score([item])[0] for item in ITEMS]
    for a, b in zip(together, alone, strict=True):
        assert a.scores == pytest.approx(b.scores, abs=1e-5)
        assert a.num_tokens == b.num_tokens > 0


def test_a_pooled_output_is_not_taken_for_a_token(tmp_path):
    path = bert(tmp_path / "bert", AutoModelForSequenceClassification, num_labels=1)
    with pytest.raises(SettingsError, match="decoder with a `score` layer"):
        load_reward_model(path)


def test_a_head_with_many_labels_is_not_a_score(tmp_path):
    path = bert(tmp_path / "bert", AutoModelForTokenClassification, num_labels=5)
    with pytest.raises(SettingsError, match="has 5 labels"):
        load_reward_model(path)


def test_the_separator_is_the_config_s_or_the_user_s(tmp_path):
    path = str(trl(tmp_path).path)
    by_default = load_reward_model(path)._ask(ITEMS[0]).input
    given = load_reward_model(path, step_separator="\n\n\n")._ask(ITEMS[0]).input
    assert len(given.token_ids) > len(by_default.token_ids)


def test_out_of_memory_halves_what_is_read_at_once(tmp_path):
    model = load_reward_model(str(outcome(tmp_path).path), batch_size=4)
    want = model.score(ITEMS)
    read = model._reader.read

    def short_of_memory(inputs):
        raise torch.OutOfMemoryError

    model._reader.read = short_of_memory
    have = model.score(ITEMS)
    assert model._batch_size == 2
    assert model._reader.read.__func__ is read.__func__
    assert sum((r.scores for r in have), ()) == pytest.approx(sum((r.scores for r in want), ()))


def test_what_does_not_fit_even_alone_is_an_error_of_its_own(tmp_path):
    model = load_reward_model(str(outcome(tmp_path).path), batch_size=1)
    read = model._reader.read

    def short_of_memory(inputs):
        if max(len(x.token_ids) for x in inputs) > 40:
            raise torch.OutOfMemoryError
        return read(inputs)

    model._reader.read = short_of_memory
    short, long = model.score([ITEMS[0], Score("2+2?", ("4 " * 60,))])
    assert isinstance(short, StepScores)
    assert isinstance(long, RequestError)
    assert "does not fit into memory" in str(long)


def test_model_arguments_name_a_reward_model():
    arguments = {"pretrained": "x", "reward_model": "y", "reward_model_batch_size": 3}
    assert take_reward_model(arguments) == RewardModelSettings("y", reward_model_batch_size=3)
    assert arguments == {"pretrained": "x"}
    assert take_reward_model(arguments) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reward_model_type": "trl"}, "reward_model_type needs reward_model="),
        ({"reward_model": "x", "reward_model_batch_size": "auto"}, "must be a whole number"),
    ],
)
def test_wrong_model_arguments_are_told(arguments, message):
    with pytest.raises(SettingsError, match=message):
        take_reward_model(arguments)


def test_settings_load_what_they_name(tmp_path):
    settings = RewardModelSettings(str(trl(tmp_path).path), reward_model_dtype="bfloat16")
    model = settings.load()
    assert model._scorer.backbone.dtype == torch.bfloat16


def test_naming_a_reward_model_imports_nothing_heavy():
    code = "import sys, lm_eval_tts.reward_models.loading as l, lm_eval_tts.reward_models.scripted"
    code += "; l.take_reward_model({'reward_model': 'x'}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "lm_eval_tts.reward_models.loading" in loaded.split()
    assert not {"torch", "transformers"} & set(loaded.split())
