"""Checkpoints to scorers: a decoder, and a head that makes a score of a hidden state.

Skywork-o1-Open-PRM and Qwen2.5-Math-PRM are a plain Qwen2 decoder with a small head, so they are
loaded without the code in their repositories, which does not run on transformers 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    Qwen2Config,
    Qwen2Model,
    Qwen2PreTrainedModel,
)

from lm_eval_tts.core.digests import weights_digest
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.reward_models.families import Family, cannot_load, check_labels


class Scorer(NamedTuple):
    """A loaded reward model in two parts.

    backbone: a decoder, token ids to hidden states. head: hidden states [n, size] to scores [n].
    weights: a digest of those of both.
    """

    backbone: Any
    head: Callable[[torch.Tensor], torch.Tensor]
    weights: str = ""


class QwenPRM(Qwen2PreTrainedModel):
    """Qwen2ForProcessRewardModel: two classes behind a hidden layer with ReLU, on each token.

    Names and shapes of the weights as in `modeling_qwen2_rm.py` of Qwen/Qwen2.5-Math-PRM-7B.
    """

    _keys_to_ignore_on_load_unexpected: ClassVar = ["lm_head"]

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.model = Qwen2Model(config)
        self.score = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, 2))
        self.post_init()


class SkyworkPRM(Qwen2PreTrainedModel):
    """Qwen2ForPrmModel: one value on each token, computed in float32.

    Names and shapes as in `model_utils/prm_model.py` of SkyworkAI/skywork-o1-prm-inference.
    """

    _keep_in_fp32_modules_strict: ClassVar = ["v_head"]
    _keys_to_ignore_on_load_unexpected: ClassVar = ["lm_head"]

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        self.v_head = nn.ModuleDict({"summary": nn.Linear(config.hidden_size, 1)})
        self.post_init()


def load_scorer(name: str, family: Family, tokenizer: Any, **kwargs: Any) -> Scorer:
    """Load a checkpoint as a scorer of a family; kwargs go to `from_pretrained`.

    Raises SettingsError if it cannot be loaded or has no trained head of this kind.
    """
    if family.head == "sign":
        model = _load(AutoModelForCausalLM, name, **kwargs)
        head = _sign_head(model, tokenizer, name)
        return Scorer(model.base_model, head, weights_digest(model))
    if family.head in ("deep_label", "value"):
        kwargs.pop("trust_remote_code")
        config = Qwen2Config.from_pretrained(name, revision=kwargs.get("revision"))
        if family.head == "value":
            model = _load(SkyworkPRM, name, config=config, **kwargs)
            head = _value_head(model.v_head["summary"])
            return Scorer(model.model, head, weights_digest(model))
        model = _load(QwenPRM, name, config=config, **kwargs)
        return Scorer(model.model, _label_head(model.score), weights_digest(model))
    kind = AutoModelForSequenceClassification if family.outcome else AutoModelForTokenClassification
    model = _load(kind, name, **kwargs)
    layer = _classifier(model, name, family)
    check_labels(name, family, model.config.num_labels)
    head = _raw_head(layer) if family.head == "raw" else _label_head(layer)
    return Scorer(model.base_model, head, weights_digest(model))


def _load(kind: Any, name: str, **kwargs: Any) -> Any:
    """Return a checkpoint's model. Raises SettingsError, also for weights that are not in it."""
    try:
        model, info = kind.from_pretrained(name, output_loading_info=True, **kwargs)
    except (OSError, ValueError, RuntimeError) as error:
        raise cannot_load(name, error) from error
    if missing := sorted(info["missing_keys"]):
        raise SettingsError(
            f"{name} lacks weights of a {type(model).__name__} ({', '.join(missing[:3])}): it is "
            "no reward model of this type; reward_model_type= names another"
        )
    return model.eval()


def _classifier(model: Any, name: str, family: Family) -> nn.Module:
    """Return the layer on top; an encoder's pooled output is no hidden state of a token."""
    layer = getattr(model, "score", None)
    if layer is None and not family.outcome:
        layer = getattr(model, "classifier", None)
    if not isinstance(layer, nn.Module):
        raise SettingsError(
            f"reward model {name} is a {type(model).__name__}, whose head is not on a token: "
            "outcome reward models need a decoder with a `score` layer"
        )
    return layer


def sign_ids(tokenizer: Any, name: str) -> tuple[int, int]:
    """Return the tokens "+" and "-". Raises SettingsError if they are not two."""
    plus, minus = (tokenizer.encode(sign)[-1] for sign in "+-")
    if plus == minus:
        raise SettingsError(f"the tokenizer of reward model {name} has no tokens + and -")
    return plus, minus


def label_scores(logits: torch.Tensor) -> torch.Tensor:
    """Return P(the last label) of two, or the sigmoid of one: logits [n, labels] to scores [n]."""
    logits = logits.double()
    return logits[:, 0].sigmoid() if logits.shape[1] == 1 else logits.softmax(-1)[:, -1]


def _sign_head(model: Any, tokenizer: Any, name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """P("+") against P("-") of the language head; other tokens are not computed."""
    plus, minus = sign_ids(tokenizer, name)
    weight = model.get_output_embeddings().weight[[minus, plus]].detach()
    return lambda hidden: label_scores(hidden.to(weight) @ weight.T)


def _label_head(layer: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda hidden: label_scores(layer(hidden))


def _value_head(layer: nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda hidden: layer(hidden.to(layer.weight))[:, 0].double().sigmoid()


def _raw_head(layer: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda hidden: layer(hidden)[:, 0].double()
