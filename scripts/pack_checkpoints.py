"""Put trained checkpoints into the package, and their hashes into its card.

python scripts/pack_checkpoints.py models/arith
python scripts/pack_checkpoints.py models/world
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lm_eval_tts.checkpoints import FOLDER, NAMES

KEPT = ("*config.json", "*.safetensors", "tokenizer.json", "chat_template.jinja")
CARD = FOLDER / "README.md"


def pack(source: Path, target: Path) -> None:
    """Copy what is needed to load a checkpoint."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for pattern in KEPT:
        for path in source.glob(pattern):
            shutil.copy(path, target)
    for path in target.glob("model.safetensors"):
        halve(path)
    for path in target.glob("adapter_config.json"):
        config = json.loads(path.read_text())
        config["base_model_name_or_path"] = Path(config["base_model_name_or_path"]).name
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def halve(path: Path) -> None:
    """Store whole models as bfloat16; their config has them loaded as float32."""
    weights = {name: weight.to(torch.bfloat16) for name, weight in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    config = json.loads((path.parent / "config.json").read_text())
    (path.parent / "config.json").write_text(
        json.dumps({**config, "dtype": "float32"}, indent=2, sort_keys=True) + "\n"
    )


def hashes() -> str:
    """Return a table of the weights in the package."""
    rows = ["| file | bytes | sha256 |", "|---|---|---|"]
    for path in sorted(FOLDER.glob("*/*.safetensors")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(f"| {path.relative_to(FOLDER)} | {path.stat().st_size} | `{digest}` |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the recipes left the checkpoints")
    args = parser.parse_args()
    for name in filter(lambda name: (args.folder / name).exists(), NAMES):
        pack(args.folder / name, FOLDER / name)
    card = CARD.read_text(encoding="utf-8")
    table = re.compile(r"\| file \|.*?\n(?=\n|\Z)", re.S)
    CARD.write_text(table.sub(lambda _: hashes() + "\n", card), encoding="utf-8")


if __name__ == "__main__":
    main()
