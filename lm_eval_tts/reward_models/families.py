"""The families of reward models as data: input format, head, and how a checkpoint is recognized.

A head turns the hidden state at a position into a score; there is one small class for each kind.
Imports nothing heavy before something is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.reward_models import inputs

if TYPE_CHECKING:
    from torch import Tensor

Layer = Callable[["Tensor"], "Tensor"]  # hidden states [n, size] to logits [n, labels]
SEPARATOR_KEY = "step_separator"  # in the config.json of what scripts/train_prm.py has trained


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

        model = _load(getattr(transformers, self.model_class), name, **kwargs)
        children = dict(model.named_children())
        found = [children[layer] for layer in self.layers if layer in children]
        if not found:
            raise SettingsError(
                f"reward model {name} is a {type(model).__name__}, whose head is not on a token: "
                "outcome reward models need a decoder with a `score` layer"
            )
        self.check_labels(name, model.config)
        return model, found[0]

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


def _load(kind: Any, name: str, **kwargs: Any) -> Any:
    with loading_reward_model(name):
        model, info = kind.from_pretrained(name, output_loading_info=True, **kwargs)
    if missing := sorted(info["missing_keys"]):
        raise SettingsError(
            f"{name} lacks weights of a {type(model).__name__} ({', '.join(missing[:3])}): it is "
            "not a reward model of this type; reward_model_type= names another"
        )
    return model.eval()


@contextmanager
def loading_reward_model(
    name: str, kinds: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError)
) -> Iterator[None]:
    """Turn what a loader raises into one line of a SettingsError. kinds: of transformers'."""
    try:
        yield
    except kinds as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SettingsError(f"reward model {name} cannot be loaded: {reason}") from error


@dataclass(frozen=True, slots=True)
class Family:
    """A family of checkpoints that are read alike."""

    write: inputs.InputWriter
    head: Head
    architectures: tuple[str, ...] = ()  # endings of the class names in config.json
    names: tuple[str, ...] = ()  # parts of checkpoint names, lower case, where the class is common
    outcome: bool = False  # one score for the whole response
    open_separator: bool = False  # what separates steps is up to the checkpoint


TOKEN_LABELS = ClassifierHead("AutoModelForTokenClassification", ("score", "classifier"))
SEQUENCE_LABELS = ClassifierHead("AutoModelForSequenceClassification", ("score",))
SEQUENCE_LOGIT = ClassifierHead("AutoModelForSequenceClassification", ("score",), raw=True)
QWEN_CLASSES = Qwen2Head("QwenPRM", vllm_class="Qwen2ForProcessRewardModel")
SKYWORK_VALUE = Qwen2Head("SkyworkPRM")
FAMILIES: dict[str, Family] = {
    "math-shepherd": Family(inputs.write_math_shepherd, SignHead(), names=("math-shepherd",)),
    "rlhflow": Family(inputs.write_rlhflow, SignHead(), names=("llama3.1-8b-prm",)),
    "skywork-prm": Family(
        inputs.write_skywork, SKYWORK_VALUE, ("Qwen2ForPrmModel",), ("skywork-o1-open-prm",)
    ),
    "qwen-prm": Family(
        inputs.write_qwen, QWEN_CLASSES, ("ForProcessRewardModel",), ("qwen2.5-math-prm",)
    ),
    "token-classification": Family(inputs.write_labelled, TOKEN_LABELS, open_separator=True),
    "trl": Family(inputs.write_trl, TOKEN_LABELS, ("ForTokenClassification",), open_separator=True),
    "outcome": Family(
        inputs.write_outcome, SEQUENCE_LABELS, ("ForSequenceClassification",), outcome=True
    ),
    "outcome-raw": Family(inputs.write_outcome, SEQUENCE_LOGIT, outcome=True),
}


def detect_family(name: str, config: Mapping[str, Any]) -> str:
    """Return the family of a checkpoint by its config.json, else by its name. Raises SettingsError
    if neither is known."""
    if SEPARATOR_KEY in config:
        return "token-classification"
    classes = config.get("architectures") or []
    for kind, family in FAMILIES.items():
        if any(c.endswith(family.architectures) for c in classes):
            return kind
    names = f"{name} {config.get('_name_or_path') or ''}".lower()
    for kind, family in FAMILIES.items():
        if any(part in names for part in family.names):
            return kind
    raise SettingsError(
        f"the format of reward model {name} ({', '.join(classes) or 'no architecture'}) is not "
        f"known: set reward_model_type to one of {', '.join(sorted(FAMILIES))}"
    )


def check_in_vllm(name: str, kind: str, config: Mapping[str, Any]) -> None:
    """Raise SettingsError unless vLLM has this family, and this checkpoint as one of it."""
    ending = FAMILIES[kind].head.vllm_class
    if ending is None:
        have = sorted(kind for kind, family in FAMILIES.items() if family.head.vllm_class)
        raise SettingsError(
            f"vLLM has no reward models of type {kind}, it has {', '.join(have)}: "
            "set reward_model_backend=hf for this one"
        )
    classes = config.get("architectures") or []
    if not any(c.endswith(ending) for c in classes):
        raise SettingsError(
            f"reward model {name} is a {', '.join(classes) or 'checkpoint of no architecture'}; "
            f"vLLM reads type {kind} from a class that ends in {ending}"
        )
