"""The families of reward models as data: input format, head, and how a checkpoint is recognized."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.reward_models import inputs
from lm_eval_tts.reward_models.heads import ClassifierHead, Head, Qwen2Head, SignHead

TOKEN_LABELS = ClassifierHead("AutoModelForTokenClassification", ("score", "classifier"))
SEQUENCE_LABELS = ClassifierHead("AutoModelForSequenceClassification", ("score",))
SEQUENCE_LOGIT = ClassifierHead("AutoModelForSequenceClassification", ("score",), raw=True)
QWEN_CLASSES = Qwen2Head("QwenPRM", vllm_class="Qwen2ForProcessRewardModel")
SKYWORK_VALUE = Qwen2Head("SkyworkPRM")
SEPARATOR_KEY = "step_separator"  # in the config.json of what scripts/train_prm.py has trained


@dataclass(frozen=True, slots=True)
class Family:
    """A family of checkpoints that are read alike."""

    write: inputs.InputWriter
    head: Head
    architectures: tuple[str, ...] = ()  # endings of the class names in config.json
    names: tuple[str, ...] = ()  # parts of checkpoint names, lower case, where the class is common
    outcome: bool = False  # one score for the whole response
    open_separator: bool = False  # what separates steps is up to the checkpoint


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
