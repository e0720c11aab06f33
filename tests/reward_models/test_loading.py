"""Reward models by model arguments, on models that cannot keep prefixes, and out of memory."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from reward_checkpoints import (
    byte_tokenizer,
    config,
    load_reward_model,
    outcome,
    save,
    skywork,
    trl,
)
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
)

from lm_eval_tts.core.program import Score, StepScores
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.reward_models.hf import PaddedReader
from lm_eval_tts.reward_models.loading import (
    RewardModelSettings,
    take_reward_model,
)

ITEMS = [Score("2+2?", ("so", "4" * n)) for n in (1, 9, 4)]


def bert(path, auto, num_labels=2):
    tokenizer = byte_tokenizer()
    kwargs = {"num_labels": num_labels, "type_vocab_size": 1}
    save(path, auto, config(BertConfig, tokenizer, **kwargs), tokenizer)
    return str(path)


def test_a_model_that_looks_ahead_is_read_whole(tmp_path, caplog):
    path = bert(tmp_path / "bert", AutoModelForTokenClassification)
    model = load_reward_model(path, type="trl", batch_size=2)
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
    by_default = load_reward_model(path)._ask(ITEMS[0])
    given = load_reward_model(path, separator="\n\n\n")._ask(ITEMS[0])
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
        ({"reward_model": "x", "reward_model_batch_size": "auto"}, "allowed is a whole number"),
    ],
)
def test_wrong_model_arguments_are_told(arguments, message):
    with pytest.raises(SettingsError, match=message):
        take_reward_model(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reward_model_backend": "vlm"}, "did you mean 'vllm'"),
        ({"reward_model_backend": "vllm", "reward_model_device": "cuda:1"}, "CUDA_VISIBLE_DEVICES"),
        ({"reward_model_gpu_memory_utilization": 0.2}, "needs reward_model_backend=vllm"),
        (
            {"reward_model_backend": "vllm", "reward_model_gpu_memory_utilization": 20},
            "above 0, at most 1",
        ),
    ],
)
def test_wrong_arguments_of_the_backend_are_told(arguments, message):
    with pytest.raises(SettingsError, match=message):
        take_reward_model({"reward_model": "x", **arguments}).load()


def test_a_family_that_vllm_does_not_have_is_told_with_those_it_has(tmp_path):
    path = str(skywork(tmp_path).path)
    with pytest.raises(SettingsError, match="no reward models of type skywork-prm, it has"):
        load_reward_model(path, backend="vllm")
    path = str(trl(tmp_path).path)
    with pytest.raises(SettingsError, match=r"is a Qwen2ForTokenClassification; .*ForCausalLM"):
        load_reward_model(path, type="rlhflow", backend="vllm")


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_what_is_missing_for_vllm_is_told(tmp_path):
    with pytest.raises(SettingsError, match=r"needs vLLM .*pip install 'lm_eval_tts\[vllm\]'"):
        load_reward_model(str(trl(tmp_path).path), backend="vllm")


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
