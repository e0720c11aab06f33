"""Loads a reward model by name, and reads the model arguments that name one.

    reward_model = load_reward_model("Qwen/Qwen2.5-Math-PRM-7B", device="cuda:1")

Imports nothing heavy before something is loaded."""

from dataclasses import dataclass, fields
from typing import Any

from lm_eval_tts.core.reward_model import LoadedRewardModel
from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.reward_models import families
from lm_eval_tts.reward_models.families import FAMILIES, loading_reward_model
from lm_eval_tts.reward_models.inputs import SEPARATOR, Words

_CHOICES = {
    "reward_model_dtype": (None, "auto", "float32", "bfloat16", "float16"),
    "reward_model_backend": ("hf", "vllm"),
    "reward_model_type": (None, *FAMILIES),
}
GPU_MEMORY_UTILIZATION = 0.3  # of the card: the policy has the rest


@dataclass(frozen=True, slots=True)
class RewardModelSettings:
    """The model arguments that name a reward model. Raises SettingsError for wrong ones."""

    reward_model: str  # Hub name or local folder
    reward_model_type: str | None = None  # of `FAMILIES`; None: by the checkpoint's config or name
    reward_model_backend: str = "hf"  # transformers in this process, or "vllm": a pooling runner
    # None: a GPU if there is one; "auto": as many as it takes. For "hf" alone.
    reward_model_device: str | None = None
    reward_model_dtype: str | None = None  # None or "auto": the checkpoint's own
    reward_model_batch_size: int = 8  # responses read at once
    # Share of the card, for "vllm" alone; None: `GPU_MEMORY_UTILIZATION`.
    reward_model_gpu_memory_utilization: float | None = None
    # After each step, in families that leave it open; None: what the config says, else a newline.
    reward_model_separator: str | None = None
    reward_model_revision: str | None = None  # of a Hub repository

    def __post_init__(self) -> None:
        """Raise SettingsError for what is wrong whatever the checkpoint is."""
        for name, allowed in _CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                raise unknown_name(name, str(value), filter(None, allowed))
        size, share = self.reward_model_batch_size, self.reward_model_gpu_memory_utilization
        if not isinstance(size, int):
            raise SettingsError(f"reward_model_batch_size is {size!r}: it must be a whole number")
        if size < 1:
            raise SettingsError(f"reward_model_batch_size is {size}: it must be at least 1")
        in_vllm, name = self.reward_model_backend == "vllm", "reward_model_gpu_memory_utilization"
        if in_vllm and self.reward_model_device is not None:
            raise SettingsError(
                "reward_model_device is set, but vLLM takes the devices of CUDA_VISIBLE_DEVICES: "
                "leave it out with reward_model_backend=vllm"
            )
        if share is not None and not in_vllm:
            raise SettingsError(f"{name} needs reward_model_backend=vllm")
        if share is not None and not (isinstance(share, int | float) and 0 < share <= 1):
            raise SettingsError(f"{name} is {share!r}: it must be a share above 0, at most 1")

    def load(self, *, trust_remote_code: bool = False) -> LoadedRewardModel:
        """Load what they name. Raises SettingsError for what does not fit, before weights are
        loaded where possible."""
        name, revision = self.reward_model, self.reward_model_revision
        code: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": revision}
        config = _read_config(name, revision)
        kind = self.reward_model_type or families.detect_family(name, config)
        family = FAMILIES[kind]
        if self.reward_model_separator is not None and not family.open_separator:
            raise SettingsError("reward_model_separator is set, but this type has its own")
        separator = self.reward_model_separator or config.get(families.SEPARATOR_KEY) or SEPARATOR
        if self.reward_model_backend == "vllm":
            families.check_in_vllm(name, kind, config)
        words = Words(_load_tokenizer(name, **code), separator)
        code["dtype"] = self.reward_model_dtype or "auto"
        size, device = self.reward_model_batch_size, self.reward_model_device
        if self.reward_model_backend == "hf":
            from lm_eval_tts.reward_models.hf import load_hf

            return load_hf(name, family, words, device, size, **code)
        try:
            from lm_eval_tts.reward_models.vllm import load_vllm
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"reward_model_backend=vllm needs vLLM ({error}): pip install 'lm_eval_tts[vllm]'"
            ) from error
        share = self.reward_model_gpu_memory_utilization or GPU_MEMORY_UTILIZATION
        limits = {"max_num_seqs": size, "gpu_memory_utilization": share}
        return load_vllm(name, family, words, limits, **code)


_OPTION_NAMES = [field.name for field in fields(RewardModelSettings)]
_OPTION_PREFIX = "reward_model_"


def load_reward_model(
    name: str, *, trust_remote_code: bool = False, **options: Any
) -> LoadedRewardModel:
    """Load a checkpoint from a Hub name or a local folder.
    options: fields of `RewardModelSettings` without `reward_model_`: type, backend, device ...
    Raises SettingsError for what does not fit."""
    allowed = {field.removeprefix(_OPTION_PREFIX) for field in _OPTION_NAMES[1:]}
    if unknown := sorted(options.keys() - allowed):
        raise unknown_name("option", unknown[0], allowed)
    given = {_OPTION_PREFIX + option: value for option, value in options.items()}
    return RewardModelSettings(name, **given).load(trust_remote_code=trust_remote_code)


def take_reward_model(kwargs: dict[str, Any]) -> RewardModelSettings | None:
    """Take these settings out of model arguments; None if there is none among them. Raises
    SettingsError for one without `reward_model`, and for wrong ones."""
    taken = {name: kwargs.pop(name) for name in _OPTION_NAMES if name in kwargs}
    if not taken:
        return None
    if not taken.get("reward_model"):
        raise SettingsError(f"{', '.join(sorted(taken))} needs reward_model=<Hub name or folder>")
    return RewardModelSettings(**taken)


def _read_config(name: str, revision: str | None) -> dict[str, Any]:
    from transformers import PretrainedConfig

    with loading_reward_model(name):
        config, _ = PretrainedConfig.get_config_dict(name, revision=revision)
    if not config:
        raise SettingsError(f"reward model {name} has no config.json: give a Hub name or a folder")
    return dict(config)


def _load_tokenizer(name: str, **code: Any) -> Any:
    from transformers import AutoTokenizer

    with loading_reward_model(name):
        tokenizer = AutoTokenizer.from_pretrained(name, **code)
    if not tokenizer.is_fast:
        raise SettingsError(f"reward model {name} has no tokenizer.json, which is needed")
    return tokenizer
