"""Shared fixtures: a tiny random Llama with a real byte-level BPE tokenizer, made on the spot."""

import gc
import os
import runpy
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

import lm_eval_tts.harness.autoload  # noqa: F401  # the hook, also where the package is not installed

settings.register_profile("project", deadline=None)  # a busy machine is no failure
settings.load_profile("project")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test fetches anything
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

STARTUP = Path(__file__).with_name("startup")
SHARED = Path(__file__).resolve().parents[1].parent / "shared"
TEXT = (
    "<think>\nFirst we add the two numbers, then we check.</think>\n\n<answer>42</answer>\n"
    "Wait, that is wrong. The final answer is \\boxed{7}. a></think> Question and answer.\n"
)
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def pytest_configure(config: pytest.Config) -> None:
    """Have this process and all that tests start take signals, and find once what each would find
    anew (startup/sitecustomize.py). No garbage is looked for until all is imported: that took two
    fifths of the time."""
    gc.disable()
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        if signal.getsignal(number) is signal.SIG_IGN:  # of a job in the background
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = tempfile.mkdtemp()
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ["LM_EVAL_TTS_TEST_FOUND"] = folder
        paths = [str(STARTUP), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    runpy.run_path(str(STARTUP / "sitecustomize.py"))


def pytest_collection_finish() -> None:
    """Collect garbage again, but not among what was imported."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the longest files begin where workers share the files, so that none runs last, alone."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: (item.path.name != "test_resume.py", item.path not in slow))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program of the browser, with what drives it. CI installs both; elsewhere the tests that
    look at a page are left out where one is missing."""
    pytest.importorskip("playwright", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium: apt-get install chromium")
    return program


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of benchmark data beside the checkout."""
    if not (SHARED / "data").is_dir():
        pytest.skip("benchmark data (../shared/data) is not on this machine")
    return SHARED / "data"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved random Llama (2 layers, 32 wide) with tokenizer and chat template."""
    return save_tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def wide_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with heads of 32, which vLLM needs on CPUs, and two of each, which TP=2 shares."""
    return save_tiny_llama(tmp_path_factory.mktemp("wide"), head_dim=32, num_key_value_heads=2)


def save_tiny_llama(path: Path, **changes: int) -> Path:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(TEXT.split(" ") * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|end|>", chat_template=CHAT_TEMPLATE
    )
    torch.manual_seed(0)
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 512,
    }
    config = LlamaConfig(
        **{**shape, **changes},
        initializer_range=0.6,  # large, so that greedy text varies
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def vllm_lm(wide_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory):
    """`tts-vllm` on the wide checkpoint with a random adapter at hand, which is off."""
    from vllm_helpers import VLLM_ARGUMENTS, save_adapter

    from lm_eval_tts.models.vllm import TTSVLLM

    adapter = save_adapter(wide_checkpoint, tmp_path_factory.mktemp("adapter"))
    lm = TTSVLLM(pretrained=str(wide_checkpoint), lora_local_path=str(adapter), **VLLM_ARGUMENTS)
    lm.adapter = str(adapter)
    lm.use_adapter(None)
    return lm


@pytest.fixture(scope="session")
def vllm_url(wide_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory):
    """The base URL of a `vllm serve` of the wide checkpoint on loopback."""
    from vllm_helpers import serve

    with serve(wide_checkpoint, "wide", tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_checkpoint).eval()


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_checkpoint: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_checkpoint)
