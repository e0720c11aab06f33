"""Heads: what turns the hidden state at a position into a score. One small class for each kind.

Imports nothing heavy before something is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lm_eval_tts.core.digests import config_digest, weights_digest
from lm_eval_tts.errors import SettingsError

if TYPE_CHECKING:
    from torch import Tensor

Layer = Callable[["Tensor"], "Tensor"]  # hidden states [n, size] to logits [n, labels]


class Scorer(NamedTuple):
    """A loaded reward model in two parts."""

    backbone: Any  # a decoder: token ids to hidden states
    head: Layer  # hidden states [n, size] to scores [n]
    weights: str = ""  # a digest of those of both, and of the config


class Head:
    """What every head says about itself."""

    # The classes that vLLM reads as this head, by their endings; None: it has no such class.
    vllm_class: str | None = None

    def load(self, name: str, tokenizer: Any, **kwargs: Any) -> tuple[Any, Layer]:
        """Return a checkpoint's model and, of it, the layer; kwargs go to `from_pretrained`. Raises
        SettingsError if it cannot be loaded or has no trained head of this kind."""
        raise NotImplementedError

    def scores(self, logits: Tensor) -> Tensor:
        """Return P(the last label) of two, or the sigmoid of one: [n, labels] to [n], float64."""
        logits = logits.double()
        return logits[:, 0].sigmoid() if logits.shape[1] == 1 else logits.softmax(-1)[:, -1]

    def check_labels(self, name: str, config: Any) -> None:
        """Raise SettingsError for a classifier whose labels are not a score."""

    def vllm_arguments(self, name: str, tokenizer: Any) -> dict[str, Any]:
        """Return what makes vLLM turn the checkpoint into a classifier, where it is not one."""
        return {}


@dataclass(frozen=True)
class SignHead(Head):
    """The language head of a causal model: P("+") against P("-")."""

    vllm_class = "ForCausalLM"

    def load(self, name: str, tokenizer: Any, **kwargs: Any) -> tuple[Any, Layer]:
        """Return the model and the two rows of its head; other tokens are not computed."""
        from transformers import AutoModelForCausalLM

        model = _load(AutoModelForCausalLM, name, **kwargs)
        weight = model.get_output_embeddings().weight[self._ids(name, tokenizer)].detach()
        return model, lambda hidden: hidden.to(weight) @ weight.T

    def vllm_arguments(self, name: str, tokenizer: Any) -> dict[str, Any]:
        """Make vLLM keep the rows of "-" and "+" as a classifier of two labels."""
        tokens = tokenizer.convert_ids_to_tokens(self._ids(name, tokenizer))
        overrides = {"classifier_from_token": tokens, "method": "no_post_processing"}
        return {"convert": "classify", "hf_overrides": overrides}

    def _ids(self, name: str, tokenizer: Any) -> list[int]:
        """Return the tokens "-" and "+". Raises SettingsError unless they are two."""
        minus, plus = (tokenizer.encode(sign)[-1] for sign in "-+")
        if plus == minus:
            raise SettingsError(f"the tokenizer of reward model {name} has no tokens + and -")
        return [minus, plus]


@dataclass(frozen=True)
class ClassifierHead(Head):
    """The layer on top of one of transformers' classifiers."""

    vllm_class = "Classification"

    model_class: str  # of transformers
    layers: tuple[str, ...]  # attributes that the layer may be
    raw: bool = False  # the score is the logit

    def load(self, name: str, tokenizer: Any, **kwargs: Any) -> tuple[Any, Layer]:
        """Return the model and its layer; an encoder's pooled output is not a token's state."""
        import transformers
        from torch.nn import Module

        model = _load(getattr(transformers, self.model_class), name, **kwargs)
        found = (getattr(model, layer, None) for layer in self.layers)
        layer = next((layer for layer in found if isinstance(layer, Module)), None)
        if layer is None:
            raise SettingsError(
                f"reward model {name} is a {type(model).__name__}, whose head is not on a token: "
                "outcome reward models need a decoder with a `score` layer"
            )
        self.check_labels(name, model.config)
        return model, layer

    def scores(self, logits: Tensor) -> Tensor:
        """Return the logits as they are if they are asked for."""
        return logits[:, 0].double() if self.raw else super().scores(logits)

    def check_labels(self, name: str, config: Any) -> None:
        """Raise SettingsError unless there are one or two; a raw logit is one."""
        if config.num_labels > (1 if self.raw else 2):
            many = f"{config.num_labels} labels, which is not one score"
            raise SettingsError(f"reward model {name} has {many}")


@dataclass(frozen=True)
class Qwen2Head(Head):
    """One of our classes for a plain Qwen2 decoder with a small head (`qwen2`)."""

    model_class: str
    vllm_class: str | None = None

    def load(self, name: str, tokenizer: Any, **kwargs: Any) -> tuple[Any, Layer]:
        """Return the model by its published weights, without the code in its repository."""
        from transformers import Qwen2Config

        from lm_eval_tts.reward_models import qwen2

        kwargs.pop("trust_remote_code")
        config = Qwen2Config.from_pretrained(name, revision=kwargs.get("revision"))
        model = _load(getattr(qwen2, self.model_class), name, config=config, **kwargs)
        return model, model.logits


def load_scorer(name: str, head: Head, tokenizer: Any, **kwargs: Any) -> Scorer:
    """Load a checkpoint as a scorer; arguments and errors as of `Head.load`."""
    model, layer = head.load(name, tokenizer, **kwargs)
    return Scorer(
        model.base_model,
        lambda hidden: head.scores(layer(hidden)),
        f"{weights_digest(model)}-{config_digest(model)}",
    )


def cannot_load(name: str, error: Exception) -> SettingsError:
    """Return the error for a checkpoint that transformers could not load."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return SettingsError(f"reward model {name} cannot be loaded: {reason}")


def _load(kind: Any, name: str, **kwargs: Any) -> Any:
    """Return a checkpoint's model. Raises SettingsError, also for weights that are not in it."""
    try:
        model, info = kind.from_pretrained(name, output_loading_info=True, **kwargs)
    except (OSError, ValueError, RuntimeError) as error:
        raise cannot_load(name, error) from error
    if missing := sorted(info["missing_keys"]):
        raise SettingsError(
            f"{name} lacks weights of a {type(model).__name__} ({', '.join(missing[:3])}): it is "
            "not a reward model of this type; reward_model_type= names another"
        )
    return model.eval()
