"""Tiny random checkpoints of each reward model family, in the files that are published, and what
each says of a response, computed one step at a time as its source does.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from lm_eval_tts.reward_models.loading import RewardModelSettings

Reference = Callable[[str, list[str]], list[float]]
CHAT = (
    "{% for m in messages %}<|start|>{{ m['role'] }}<|sep|>\n\n{{ m['content'] | trim }}<|eot|>"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant<|sep|>\n\n{% endif %}"
)
TEXT = "Step 1: 3 + 4 - 2 = 5 ки\nStep 2: so the answer is 5 and 5 . The answer is: 5 ки\n"
SIZE = 32


class Checkpoint(NamedTuple):
    path: Path
    reference: Reference


def byte_tokenizer(**kwargs: Any) -> PreTrainedTokenizerFast:
    """Byte-level BPE with the marks of all chat families."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|start|>", "<|sep|>", "<|eot|>", "<bos>", "<extra_0>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([TEXT] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, chat_template=CHAT, **kwargs)


def mistral_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer as SentencePiece makes them: a space begins a word, and " ки" is one token."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.Split("▁", "merged_with_next"),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=200, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    bpe.train_from_iterator([TEXT + "abcdefghijklmnopqrstuvwxyz"] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, unk_token="<unk>", bos_token="<s>")


def config(kind: type, tokenizer: Any, **kwargs: Any) -> Any:
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": SIZE,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 512,
        "initializer_range": 0.4,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    return kind(**{**settings, **kwargs})


def save(path: Path, auto: Any, settings: Any, tokenizer: Any) -> tuple[Any, Any]:
    """Save a random model; return it with the tokenizer that its folder is read as."""
    torch.manual_seed(0)
    model = auto.from_config(settings).eval()
    for name, parameter in model.named_parameters():
        if name.startswith(("score", "lm_head")):
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return model, AutoTokenizer.from_pretrained(path)


def add_head(path: Path, architecture: str, head: dict[str, torch.Tensor]) -> None:
    """Make of a saved language model what a repository with code of its own publishes."""
    weights = load_file(path / "model.safetensors")
    save_file({**weights, **head}, path / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((path / "config.json").read_text())
    settings["architectures"] = [architecture]
    settings["auto_map"] = {"AutoModel": f"modeling_gone.{architecture}"}
    (path / "config.json").write_text(json.dumps(settings))


@torch.inference_mode()
def logits_at_end(model: Any, ids: list[int], back: int = 1) -> torch.Tensor:
    return model(torch.tensor([ids])).logits[0, -back]


@torch.inference_mode()
def hidden_at_end(model: Any, ids: list[int]) -> torch.Tensor:
    return model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0, -1]


def math_shepherd(path: Path) -> Checkpoint:
    tokenizer = mistral_tokenizer()
    path = path / "math-shepherd-mistral-7b-prm"
    model, tokenizer = save(path, AutoModelForCausalLM, config(MistralConfig, tokenizer), tokenizer)
    candidates = tokenizer.encode("+ -")
    assert len(candidates) == 2

    def reference(question: str, steps: list[str]) -> list[float]:
        scores = []
        for k in range(len(steps)):
            text = f"{question} " + "\n".join(f"{step} ки" for step in steps[: k + 1])
            logits = logits_at_end(model, tokenizer.encode(text))
            scores.append(logits[candidates].softmax(-1)[0].item())
        return scores

    return Checkpoint(path, reference)


def rlhflow(path: Path, **shape: int) -> Checkpoint:
    tokenizer = byte_tokenizer()
    path = path / "Llama3.1-8B-PRM-Deepseek-Data"
    settings = config(LlamaConfig, tokenizer, **shape)
    model, tokenizer = save(path, AutoModelForCausalLM, settings, tokenizer)
    candidates = [tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]]

    def reference(question: str, steps: list[str]) -> list[float]:
        chat, scores = [], []
        for k, step in enumerate(steps):
            chat.append({"role": "user", "content": step if k else f"{question} {step}"})
            chat.append({"role": "assistant", "content": "+"})
            ids = tokenizer.apply_chat_template(chat, return_dict=False)
            scores.append(logits_at_end(model, ids, back=3)[candidates].softmax(-1)[0].item())
        return scores

    return Checkpoint(path, reference)


def skywork(path: Path) -> Checkpoint:
    tokenizer = byte_tokenizer(bos_token="<bos>")
    path = path / "skywork"
    model, tokenizer = save(path, AutoModelForCausalLM, config(Qwen2Config, tokenizer), tokenizer)
    weight, bias = torch.randn(1, SIZE) * 0.3, torch.randn(1)
    head = {"v_head.summary.weight": weight, "v_head.summary.bias": bias}
    add_head(path, "Qwen2ForPrmModel", head)

    def reference(question: str, steps: list[str]) -> list[float]:
        ids, scores = tokenizer.encode(f"<bos>{question}\n"), []
        for step in steps:
            ids += [*tokenizer.encode(step), tokenizer.encode("\n")[-1]]
            value = weight @ hidden_at_end(model, ids) + bias
            scores.append(value.sigmoid().item())
        return scores

    return Checkpoint(path, reference)


def qwen(path: Path, **shape: int) -> Checkpoint:
    tokenizer = byte_tokenizer()
    path = path / "qwen"
    settings = config(Qwen2Config, tokenizer, **shape)
    model, tokenizer = save(path, AutoModelForCausalLM, settings, tokenizer)
    first, second = torch.randn(SIZE, SIZE) * 0.3, torch.randn(2, SIZE) * 0.3
    biases = torch.randn(SIZE), torch.randn(2)
    head = {"score.0.weight": first, "score.0.bias": biases[0]}
    head |= {"score.2.weight": second, "score.2.bias": biases[1]}
    add_head(path, "Qwen2ForProcessRewardModel", head)
    system = "Please reason step by step, and put your final answer within \\boxed{}."

    def reference(question: str, steps: list[str]) -> list[float]:
        scores = []
        for k in range(len(steps)):
            chat = [{"role": "system", "content": system}, {"role": "user", "content": question}]
            text = "<extra_0>".join(steps[: k + 1]) + "<extra_0>"
            chat.append({"role": "assistant", "content": text})
            ids = tokenizer.apply_chat_template(chat, return_dict=False)
            ids = ids[: -len(tokenizer.encode("<|eot|>"))]  # it ends in <extra_0>
            hidden = (first @ hidden_at_end(model, ids) + biases[0]).relu()
            scores.append((second @ hidden + biases[1]).softmax(-1)[1].item())
        return scores

    return Checkpoint(path, reference)


def trl(path: Path) -> Checkpoint:
    tokenizer = byte_tokenizer(bos_token="<bos>")
    path = path / "trl"
    settings = config(Qwen2Config, tokenizer, num_labels=2)
    model, tokenizer = save(path, AutoModelForTokenClassification, settings, tokenizer)

    def reference(question: str, steps: list[str]) -> list[float]:
        ids, scores = tokenizer.encode("<bos>" + question), []
        for step in steps:
            ids += tokenizer.encode(step) + tokenizer.encode("\n")
            scores.append(logits_at_end(model, ids).softmax(-1)[1].item())
        return scores

    return Checkpoint(path, reference)


def token_classification(path: Path) -> Checkpoint:
    tokenizer = byte_tokenizer()
    path = path / "ours"
    settings = config(LlamaConfig, tokenizer, num_labels=2, step_separator=" ##\n")
    model, tokenizer = save(path, AutoModelForTokenClassification, settings, tokenizer)

    def reference(question: str, steps: list[str]) -> list[float]:
        chat = [{"role": "user", "content": question}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        scores = []
        for step in steps:
            ids += tokenizer.encode(step) + tokenizer.encode(" ##\n")
            scores.append(logits_at_end(model, ids).softmax(-1)[1].item())
        return scores

    return Checkpoint(path, reference)


def outcome(path: Path, **shape: int) -> Checkpoint:
    tokenizer = byte_tokenizer(pad_token="<|eot|>")
    path = path / "orm"
    shape |= {"num_labels": 1, "pad_token_id": tokenizer.pad_token_id}
    settings = config(LlamaConfig, tokenizer, **shape)
    model, tokenizer = save(path, AutoModelForSequenceClassification, settings, tokenizer)

    def reference(question: str, steps: list[str]) -> list[float]:
        chat = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": "\n\n".join(steps)},
        ]
        ids = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=False)
        with torch.inference_mode():
            return [model(ids).logits[0, 0].sigmoid().item()]

    return Checkpoint(path, reference)


BUILDERS = {
    "math-shepherd": math_shepherd,
    "rlhflow": rlhflow,
    "skywork-prm": skywork,
    "qwen-prm": qwen,
    "token-classification": token_classification,
    "trl": trl,
    "outcome": outcome,
}


def load_reward_model(name: str, **options: Any) -> Any:
    """Load by these settings, named without "reward_model_": type, backend ..."""
    settings = {f"reward_model_{option}": value for option, value in options.items()}
    return RewardModelSettings(name, **settings).load()
