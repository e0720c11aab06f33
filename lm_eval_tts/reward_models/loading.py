"""Loads a reward model by name, and reads the model arguments that name one.

    reward_model = load_reward_model("Qwen/Qwen2.5-Math-PRM-7B", device="cuda:1")

Imports nothing heavy before something is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.reward_models.families import (
    SEPARATOR_KEY,
    Family,
    cannot_load,
    check_in_vllm,
    detect_family,
    family_of,
)
from lm_eval_tts.reward_models.inputs import SEPARATOR, Words

if TYPE_CHECKING:
    from lm_eval_tts.core.reward_model import LoadedRewardModel

DTYPES = ("auto", "float32", "bfloat16", "float16")
BACKENDS = ("hf", "vllm")
BATCH_SIZE = 8
GPU_MEMORY_UTILIZATION = 0.3  # of the card, for a reward model in vLLM


def load_reward_model(
    name: str,
    *,
    kind: str | None = None,
    backend: str = "hf",
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int = BATCH_SIZE,
    gpu_memory_utilization: float | None = None,
    step_separator: str | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
) -> LoadedRewardModel:
    """Load a checkpoint from a Hub name or a local folder.

    kind: a name of `FAMILIES`; None finds it out from the checkpoint's config and name.
    backend: "hf" runs it in transformers in this process, "vllm" as a pooling runner of its own.
    device: None is a GPU if there is one, "auto" as many as it takes; for "hf" alone.
    dtype: None or "auto" is the checkpoint's own.
    batch_size: responses read at once. step_separator: behind each step, in the families
    "token-classification" and "trl" alone; None is what the config says, else a newline.
    gpu_memory_utilization: share of the card for "vllm"; None is `GPU_MEMORY_UTILIZATION`.
    Raises SettingsError for what does not fit, before weights are loaded where that is possible.
    """
    if dtype not in (None, *DTYPES):
        raise unknown_name("reward_model_dtype", str(dtype), DTYPES)
    if batch_size < 1:
        raise SettingsError(f"reward_model_batch_size is {batch_size}: it must be at least 1")
    _check_backend(backend, device, gpu_memory_utilization)
    if kind is not None:
        family_of(kind)
    config = _read_config(name, revision)
    kind = kind or detect_family(name, config)
    family = family_of(kind)
    if step_separator is not None and not family.open_separator:
        raise SettingsError("reward_model_separator is set, but this type has one of its own")
    if backend == "vllm":
        check_in_vllm(name, kind, config)
    separator = step_separator or config.get(SEPARATOR_KEY) or SEPARATOR
    code: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": revision}
    words = Words(_load_tokenizer(name, **code), separator)
    settings = {"dtype": dtype or "auto", **code}
    if backend == "hf":
        device = device or _default_device()
        return _load_hf(name, family, words, batch_size, device_map=device, **settings)
    share = gpu_memory_utilization or GPU_MEMORY_UTILIZATION
    settings["gpu_memory_utilization"] = share
    return _load_vllm(name, family, words, batch_size=batch_size, **settings)


def _check_backend(backend: str, device: str | None, gpu_memory_utilization: Any) -> None:
    if backend not in BACKENDS:
        raise unknown_name("reward_model_backend", str(backend), BACKENDS)
    if backend == "vllm" and device is not None:
        raise SettingsError(
            "reward_model_device is set, but vLLM takes the devices of CUDA_VISIBLE_DEVICES: "
            "leave it out with reward_model_backend=vllm"
        )
    if gpu_memory_utilization is None:
        return
    if backend != "vllm":
        raise SettingsError("reward_model_gpu_memory_utilization needs reward_model_backend=vllm")
    if not isinstance(gpu_memory_utilization, int | float) or not 0 < gpu_memory_utilization <= 1:
        raise SettingsError(
            f"reward_model_gpu_memory_utilization is {gpu_memory_utilization!r}: "
            "it must be a share above 0, at most 1"
        )


def _read_config(name: str, revision: str | None) -> dict[str, Any]:
    from transformers import PretrainedConfig

    try:
        config, _ = PretrainedConfig.get_config_dict(name, revision=revision)
    except (OSError, ValueError) as error:
        raise cannot_load(name, error) from error
    if not config:
        raise SettingsError(f"reward model {name} has no config.json: give a Hub name or a folder")
    return dict(config)


def _default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _load_tokenizer(name: str, **code: Any) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **code)
    except (OSError, ValueError) as error:
        raise cannot_load(name, error) from error
    if not tokenizer.is_fast:
        raise SettingsError(f"reward model {name} has no tokenizer.json, which is needed")
    return tokenizer


def _load_hf(
    name: str, family: Family, words: Words, batch_size: int, **settings: Any
) -> LoadedRewardModel:
    from lm_eval_tts.reward_models.heads import load_scorer
    from lm_eval_tts.reward_models.hf import HFRewardModel

    scorer = load_scorer(name, family, words.tokenizer, **settings)
    pad = scorer.backbone.config.get_text_config().pad_token_id
    return HFRewardModel(scorer, family, replace(words, pad_token_id=pad), batch_size)


def _load_vllm(name: str, family: Family, words: Words, **settings: Any) -> LoadedRewardModel:
    try:
        from lm_eval_tts.reward_models.vllm import load_vllm
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"reward_model_backend=vllm needs vLLM ({error}): pip install 'lm_eval_tts[vllm]'"
        ) from error
    return load_vllm(name, family, words, **settings)


@dataclass(frozen=True, slots=True)
class RewardModelSettings:
    """The model arguments that name a reward model; see `load_reward_model`."""

    reward_model: str
    reward_model_type: str | None = None
    reward_model_backend: str = "hf"
    reward_model_device: str | None = None
    reward_model_dtype: str | None = None
    reward_model_batch_size: int = BATCH_SIZE
    reward_model_gpu_memory_utilization: float | None = None
    reward_model_separator: str | None = None
    reward_model_revision: str | None = None

    def load(self, *, trust_remote_code: bool = False) -> LoadedRewardModel:
        """Load what they name."""
        return load_reward_model(
            self.reward_model,
            kind=self.reward_model_type,
            backend=self.reward_model_backend,
            device=self.reward_model_device,
            dtype=self.reward_model_dtype,
            batch_size=self.reward_model_batch_size,
            gpu_memory_utilization=self.reward_model_gpu_memory_utilization,
            step_separator=self.reward_model_separator,
            revision=self.reward_model_revision,
            trust_remote_code=trust_remote_code,
        )


def take_reward_model(kwargs: dict[str, Any]) -> RewardModelSettings | None:
    """Take these settings out of model arguments; None if there is none among them.

    Raises SettingsError for one without `reward_model`, and for a batch size that is no number.
    """
    names = [field.name for field in fields(RewardModelSettings)]
    taken = {name: kwargs.pop(name) for name in names if name in kwargs}
    if not taken:
        return None
    if not taken.get("reward_model"):
        raise SettingsError(f"{', '.join(sorted(taken))} needs reward_model=<Hub name or folder>")
    size = taken.get("reward_model_batch_size", BATCH_SIZE)
    if not isinstance(size, int):
        raise SettingsError(f"reward_model_batch_size is {size!r}: it must be a whole number")
    return RewardModelSettings(**taken)
