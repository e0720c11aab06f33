"""Loads the reward model that model arguments name.

    reward_model = RewardModelSettings("Qwen/Qwen2.5-Math-PRM-7B").load()

Imports nothing heavy before something is loaded."""

from dataclasses import dataclass, fields
from typing import Any

from lm_eval_tts.core.fields import Accepted, at_least, check_fields, coerce, setting
from lm_eval_tts.core.reward_model import LoadedRewardModel
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.reward_models import families
from lm_eval_tts.reward_models.families import FAMILIES, loading_reward_model
from lm_eval_tts.reward_models.inputs import SEPARATOR, Words

_DTYPES = ("auto", "float32", "bfloat16", "float16")
_SHARE = Accepted(lambda value: 0 < value <= 1, "is a share above 0, at most 1")
GPU_MEMORY_UTILIZATION = 0.3  # of the card: the policy has the rest


@dataclass(frozen=True, slots=True)
class RewardModelSettings:
    """The model arguments that name a reward model. Raises SettingsError for wrong ones."""

    reward_model: str  # Hub name or local folder
    # of `FAMILIES`; None: by the checkpoint's config or name
    reward_model_type: str | None = setting(None, FAMILIES)
    # transformers in this process, or "vllm": a pooling runner
    reward_model_backend: str = setting("hf", ("hf", "vllm"))
    # None: a GPU if there is one; "auto": as many as it takes. For "hf" alone.
    reward_model_device: str | None = None
    reward_model_dtype: str | None = setting(None, _DTYPES)  # None or "auto": the checkpoint's own
    reward_model_batch_size: int = setting(8, at_least(1))  # responses read at once
    # Share of the card, for "vllm" alone; None: `GPU_MEMORY_UTILIZATION`.
    reward_model_gpu_memory_utilization: float | None = setting(None, _SHARE)
    # After each step, in families that leave it open; None: what the config says, else a newline.
    reward_model_separator: str | None = None
    reward_model_revision: str | None = None  # of a Hub repository

    def __post_init__(self) -> None:
        """Raise SettingsError for what is wrong whatever the checkpoint is."""
        check_fields(self)
        in_vllm = self.reward_model_backend == "vllm"
        if in_vllm and self.reward_model_device is not None:
            raise SettingsError(
                "reward_model_device is set, but vLLM takes the devices of CUDA_VISIBLE_DEVICES: "
                "leave it out with reward_model_backend=vllm"
            )
        if self.reward_model_gpu_memory_utilization is not None and not in_vllm:
            raise SettingsError(
                "reward_model_gpu_memory_utilization needs reward_model_backend=vllm"
            )

    def load(self, *, trust_remote_code: bool = False) -> LoadedRewardModel:
        """Load what they name. Raises SettingsError for what does not fit, before weights are
        loaded where possible."""
        from transformers import AutoTokenizer, PretrainedConfig

        name, revision = self.reward_model, self.reward_model_revision
        code: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": revision}
        with loading_reward_model(name):
            config, _ = PretrainedConfig.get_config_dict(name, revision=revision)
        if not config:
            raise SettingsError(
                f"reward model {name} has no config.json: give a Hub name or a folder"
            )
        kind = self.reward_model_type or families.detect_family(name, config)
        family = FAMILIES[kind]
        if self.reward_model_separator is not None and not family.open_separator:
            raise SettingsError("reward_model_separator is set, but this type has its own")
        separator = self.reward_model_separator or config.get(families.SEPARATOR_KEY) or SEPARATOR
        if self.reward_model_backend == "vllm":
            families.check_in_vllm(name, kind, config)
        with loading_reward_model(name):
            words = Words(AutoTokenizer.from_pretrained(name, **code), separator)
        if not words.tokenizer.is_fast:
            raise SettingsError(f"reward model {name} has no tokenizer.json, which is needed")
        code["dtype"] = self.reward_model_dtype or "auto"
        size, device = self.reward_model_batch_size, self.reward_model_device
        if self.reward_model_backend == "hf":
            from lm_eval_tts.reward_models.hf import HFRewardModel

            return HFRewardModel(name, family, words, device, size, **code)
        try:
            from lm_eval_tts.reward_models.vllm import VLLMRewardModel
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"reward_model_backend=vllm needs vLLM ({error}): pip install 'lm_eval_tts[vllm]'"
            ) from error
        share = self.reward_model_gpu_memory_utilization or GPU_MEMORY_UTILIZATION
        limits = {"max_num_seqs": size, "gpu_memory_utilization": share}
        return VLLMRewardModel(name, family, words, limits, **code)


def take_reward_model(kwargs: dict[str, Any]) -> RewardModelSettings | None:
    """Take these settings out of model arguments; None if there is none among them. Raises
    SettingsError for one without `reward_model`, and for wrong ones."""
    names = [field.name for field in fields(RewardModelSettings) if field.name in kwargs]
    if not (taken := {name: kwargs.pop(name) for name in names}):
        return None
    if not taken.get("reward_model"):
        raise SettingsError(f"{', '.join(sorted(taken))} needs reward_model=<Hub name or folder>")
    settings: RewardModelSettings = coerce(RewardModelSettings, taken)
    return settings
