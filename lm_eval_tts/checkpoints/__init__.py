"""The small checkpoints that come with the package, by name; README.md is their model card.

`arith-base` is a Llama over bytes, `arith-sft` and `arith-grpo` are LoRA adapters for it, and
`arith-prm` is a process reward model. The others are of the small world (docs/world.md). All were
made by the recipes in `scripts/`."""

import difflib
from pathlib import Path

from lm_eval_tts.errors import unknown_name

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
