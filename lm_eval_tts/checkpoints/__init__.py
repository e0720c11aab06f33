"""The small checkpoints that come with the package, by name; README.md is their model card.

`arith-base` is a Llama over bytes, `arith-sft` and `arith-grpo` are LoRA adapters for it, and
`arith-prm` is a process reward model. All were made by the recipes in `scripts/`.
"""

from pathlib import Path

NAMES = ("arith-base", "arith-sft", "arith-grpo", "arith-prm")
DEFAULT_MODEL, DEFAULT_ADAPTER = "arith-base", "arith-sft"


def find_checkpoint(name: str) -> str:
    """Return the folder of a checkpoint that comes with the package; other names as they are."""
    return str(Path(__file__).parent / name) if name in NAMES else name
