"""The small checkpoints that come with the package, by name; README.md is their model card.

`arith-base` is a Llama over bytes, `arith-sft` and `arith-grpo` are LoRA adapters for it, and
`arith-prm` is a process reward model. All were made by the recipes in `scripts/`."""

from pathlib import Path

FOLDER = Path(__file__).parent
DEFAULTS = {"pretrained": "arith-base", "peft": "arith-grpo", "reward_model": "arith-prm"}
NAMES = (*DEFAULTS.values(), "arith-sft")


def find_checkpoint(name: str) -> str:
    """Return the folder of a checkpoint that comes with the package; other names as they are. A
    folder of that name in the working directory wins, as with names of the Hub."""
    return str(FOLDER / name) if name in NAMES and not Path(name).exists() else name
