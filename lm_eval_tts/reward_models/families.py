"""The families of reward models as data: input format, head, and how a checkpoint is recognized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.reward_models import inputs

# What turns the hidden state at a position into a score:
# sign: language head, P("+") against P("-"). label: classes, P(the last) or, of one, its sigmoid.
# deep_label: the same behind one hidden layer. value: sigmoid of a value head. raw: the logit.
Head = Literal["sign", "label", "deep_label", "value", "raw"]


@dataclass(frozen=True, slots=True)
class Family:
    """A family of checkpoints that are read alike.

    architectures: endings of the class names in config.json that tell the family. names: parts of
    checkpoint names, lower case, that tell it where the class does not. outcome: one score in all.
    """

    write: inputs.Writer
    head: Head
    architectures: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    outcome: bool = False

    @property
    def open_separator(self) -> bool:
        """Whether the separator of steps is up to the checkpoint."""
        return self.head == "label" and not self.outcome


FAMILIES: dict[str, Family] = {
    "math-shepherd": Family(inputs.write_math_shepherd, "sign", names=("math-shepherd",)),
    "rlhflow": Family(inputs.write_rlhflow, "sign", names=("llama3.1-8b-prm",)),
    "skywork-prm": Family(
        inputs.write_skywork, "value", ("Qwen2ForPrmModel",), ("skywork-o1-open-prm",)
    ),
    "qwen-prm": Family(
        inputs.write_qwen, "deep_label", ("ForProcessRewardModel",), ("qwen2.5-math-prm",)
    ),
    "token-classification": Family(inputs.write_labelled, "label"),
    "trl": Family(inputs.write_trl, "label", ("ForTokenClassification",)),
    "outcome": Family(inputs.write_outcome, "label", ("ForSequenceClassification",), outcome=True),
    "outcome-raw": Family(inputs.write_outcome, "raw", outcome=True),
}
# The classes that vLLM reads as each head, by their endings; it has none with a value head.
VLLM_CLASSES: dict[Head, str] = {
    "sign": "ForCausalLM",
    "label": "Classification",
    "raw": "Classification",
    "deep_label": "Qwen2ForProcessRewardModel",
}
SEPARATOR_KEY = "step_separator"  # in the config.json of what scripts/train_prm.py has trained


def detect_family(name: str, config: Mapping[str, Any]) -> str:
    """Return the family of a checkpoint by its config.json, else by its name.

    Raises SettingsError if neither tells.
    """
    if SEPARATOR_KEY in config:
        return "token-classification"
    classes = config.get("architectures") or []
    for kind, family in FAMILIES.items():
        if any(c.endswith(ending) for c in classes for ending in family.architectures):
            return kind
    names = f"{name} {config.get('_name_or_path') or ''}".lower()
    for kind, family in FAMILIES.items():
        if any(part in names for part in family.names):
            return kind
    raise SettingsError(
        f"the format of reward model {name} ({', '.join(classes) or 'no architecture'}) is not "
        f"known: set reward_model_type to one of {', '.join(sorted(FAMILIES))}"
    )


def cannot_load(name: str, error: Exception) -> SettingsError:
    """Return the error for a checkpoint that transformers could not load."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return SettingsError(f"reward model {name} cannot be loaded: {reason}")


def check_labels(name: str, family: Family, labels: int) -> None:
    """Raise SettingsError for a classifier whose labels are no score."""
    if labels > (1 if family.head == "raw" else 2):
        raise SettingsError(f"reward model {name} has {labels} labels, which is not one score")


def check_in_vllm(name: str, kind: str, config: Mapping[str, Any]) -> None:
    """Raise SettingsError unless vLLM has this family, and this checkpoint as one of it."""
    ending = VLLM_CLASSES.get(FAMILIES[kind].head)
    if ending is None:
        have = sorted(kind for kind, family in FAMILIES.items() if family.head in VLLM_CLASSES)
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


def family_of(kind: str) -> Family:
    """Return a family by its name. Raises SettingsError for an unknown one."""
    if kind not in FAMILIES:
        raise unknown_name("reward_model_type", kind, FAMILIES)
    return FAMILIES[kind]
