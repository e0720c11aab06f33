"""The small checkpoints that come with the package, by name; README.md is their model card.

`arith-base` is a Llama over bytes, `arith-sft` and `arith-grpo` are LoRA adapters for it, and
`arith-prm` is a process reward model. The others are of the small world (docs/world.md). All were
made by the recipes in `scripts/`."""

import difflib
import json
from pathlib import Path

from lm_eval_tts.errors import SettingsError, unknown_name

FOLDER = Path(__file__).parent
DEFAULTS = {"pretrained": "arith-base", "peft": "arith-grpo", "reward_model": "arith-prm"}
_SMALL_POLICIES = ("", "-sft", "-plain", "-hot", "-hasty", "-grpo", "-hacked")
_WORLD = (*(f"world-small{part}" for part in _SMALL_POLICIES), "world-large-sft", "world-prm")
NAMES = (*DEFAULTS.values(), "arith-sft", *_WORLD)


def find_checkpoint(name: str) -> str:
    """Return the folder of a checkpoint that comes with the package; other names as they are. A
    folder of that name in the working directory wins, as with names of the Hub. Raises
    SettingsError for a name that is nearly one of the package's: the Hub has none like them."""
    if Path(name).exists():
        return name
    if name in NAMES:
        return str(FOLDER / name)
    if "/" not in name and difflib.get_close_matches(name, NAMES, n=1, cutoff=0.75):
        raise unknown_name("checkpoint of this package", name, NAMES)
    return name


def find_adapter(name: str) -> str:
    """Return the folder of what `peft=` names, likewise; one without an adapter is refused."""
    folder = _find_there("peft", name)
    if Path(folder).is_dir() and not Path(folder, "adapter_config.json").exists():
        raise SettingsError(f"peft={name!r}: that is no adapter, it has no adapter_config.json")
    return folder


def find_policy(name: str) -> str:
    """Return the folder of what `pretrained=` names, likewise; an adapter alone is refused."""
    folder = _find_there("pretrained", name)
    adapter = Path(folder, "adapter_config.json")
    if adapter.exists() and not Path(folder, "config.json").exists():
        base = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path")
        raise SettingsError(f"{name} is an adapter: pretrained={base or '<its base>'},peft={name}")
    return folder


def _find_there(argument: str, name: str) -> str:
    if name.startswith(("./", "../", "/", "~")) and not Path(name).exists():
        raise SettingsError(f"{argument}={name!r} cannot be loaded: there is no such folder")
    return find_checkpoint(name)
