"""What a journal is tied to: taken over exactly where a fresh run would give the same."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from lm_eval.api.instance import Instance
from reward_checkpoints import token_classification
from safetensors.torch import load_file, save_file

from lm_eval_tts.core.journal import Journal
from lm_eval_tts.engines.requests import RowEngine
from lm_eval_tts.harness import guard
from lm_eval_tts.harness.run_state import RunState, watched
from lm_eval_tts.models.hf import TTSHF
from lm_eval_tts.reward_models.hf import HFRewardModel

pytestmark = pytest.mark.slow

CURVE = {"strategy": "budget", "prompt_style": "r1", "max_thinking_tokens": [8], "num_waits": 0}
CURVE |= {"max_answer_tokens": 4, "max_gen_toks": 40}
VOTES = {"strategy": "best_of_n", "n": 2, "max_gen_toks": 8, "do_sample": True, "temperature": 1.0}
VOTES |= {"step_delimiter": "e"}
QUESTIONS = ("What is 1+1?", "What is 2+2?")


@dataclass(frozen=True)
class Setup:
    """A command: a checkpoint's folder, model arguments, settings, and documents."""

    checkpoint: Path
    settings: dict[str, Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    documents: tuple[tuple[int, str], ...] = tuple(enumerate(QUESTIONS))
    repeats: int = 1
    answer: str = "2"
    seed: int = 1234
    order: int = 1


def load(setup: Setup) -> TTSHF:
    return TTSHF(pretrained=str(setup.checkpoint), device="cpu", **setup.arguments)


class Counts(NamedTuple):
    """Of a command: what it took from its journal, and what it asked of the models."""

    taken: int
    asked: int


def answer(model: TTSHF, setup: Setup, output_path: Path | None) -> tuple[list, Counts]:
    """Run a command; return its responses, with all that was chosen from."""
    taken, asked = [], []
    get, add, rate = Journal.get, RowEngine.add_request, HFRewardModel.score
    args = SimpleNamespace(model="tts-hf", tasks="t", gen_kwargs=setup.settings)
    args.output_path = output_path and str(output_path)
    with pytest.MonkeyPatch.context() as patch, watched(guard._journals(args)):
        patch.setattr(Journal, "get", lambda *a: noted(taken, get(*a)))
        patch.setattr(RowEngine, "add_request", lambda *a: noted(asked, True) and add(*a))
        patch.setattr(HFRewardModel, "score", lambda *a: noted(asked, True) and rate(*a))
        torch.manual_seed(setup.seed)
        model.session.state = RunState(beside=True)
        responses = model.generate_until(requests_of(setup), disable_tqdm=True)
    assert not [r.details.failure for r in responses if r.details.failure]
    parts = [(r, *r.details.points.values(), *r.details.candidates) for r in responses]
    found = [(str(part), dict(part.details.scores)) for some in parts for part in some]
    return found, Counts(len(taken), len(asked))


def noted(counted: list, value: Any) -> Any:
    counted.extend([value] if value is not None else [])
    return value


def requests_of(setup: Setup) -> list[Instance]:
    """The documents as lm_eval hands them over, an instance once for each repeat."""
    requests = []
    for i, text in setup.documents[:: setup.order]:
        doc = {"id": i, "answer": setup.answer}
        metadata = ("t", i, setup.repeats)
        instance = Instance("generate_until", doc, (text, setup.settings), i, metadata)
        requests += [instance] * setup.repeats
    return requests


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_weights(path: Path, name: str, row: int) -> None:
    weights = load_file(path)
    weights[name][row] += 0.05
    save_file(weights, path, {"format": "pt"})


def change_merges(folder: Path) -> None:
    rules = json.loads((folder / "tokenizer.json").read_text())
    rules["model"]["merges"].reverse()
    (folder / "tokenizer.json").write_text(json.dumps(rules))


def files(change: Callable[[Path], Any], which: str = "checkpoint"):
    """A change of files, of the policy, its adapter or the reward model, in a copy elsewhere."""

    def apply(setup: Setup, folder: Path) -> Setup:
        here = setup.checkpoint if which == "checkpoint" else setup.arguments[which]
        copy = Path(shutil.copytree(here, folder / which))
        change(copy)
        if which == "checkpoint":
            return replace(setup, checkpoint=copy)
        return replace(setup, arguments={**setup.arguments, which: str(copy)})

    return apply


def config(which: str = "checkpoint", file: str = "config.json", **changes: Any):
    return files(lambda folder: change_json(folder / file, **changes), which)


def row_of(name: str, row: int, which: str = "checkpoint", file: str = "model.safetensors"):
    return files(lambda folder: change_weights(folder / file, name, row), which)


def template(text: str, which: str = "checkpoint"):
    text = "{% for m in messages %}" + text + "{% endfor %}"
    return files(lambda folder: (folder / "chat_template.jinja").write_text(text), which)


def nothing(which: str = "checkpoint"):
    """Elsewhere, but the same, with a README."""
    return files(lambda folder: (folder / "README.md").write_text("new"), which)


def argument(**changes: Any):
    return lambda setup, _: replace(setup, arguments={**setup.arguments, **changes})


def setting(**changes: Any):
    return lambda setup, _: replace(setup, settings={**setup.settings, **changes})


def asks(**changes: Any):
    return lambda setup, _: replace(setup, **changes)


EMBEDDING = "model.embed_tokens.weight"
LAYER = "model.layers.1.mlp.up_proj.weight"
LORA = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
ROTATION = {"rope_type": "default", "rope_theta": 500.0}
THREE = (*enumerate(QUESTIONS), (2, "What is 3+3?"))
OTHER = ((0, QUESTIONS[0]), (1, "What is 2+3?"))
ADAPTER, LORA_FILE = "adapter_config.json", "adapter_model.safetensors"
GENERATION = "generation_config.json"
# Name: the command, what is changed, and what of its journal is taken over then.
CHANGES = {
    "one row of the embedding": ("curve", row_of(EMBEDDING, 201), "none"),
    "one row of a layer": ("curve", row_of(LAYER, 3), "none"),
    "the norms' epsilon": ("curve", config(rms_norm_eps=1e-2), "none"),
    "the activation": ("curve", config(hidden_act="gelu"), "none"),
    "the rotation": ("curve", config(rope_parameters=ROTATION), "none"),
    "the context": ("curve", config(max_position_embeddings=300), "none"),
    "the ends of turn": ("curve", config(file=GENERATION, eos_token_id=[0, 104]), "none"),
    "the tokenizer": ("curve", files(change_merges), "none"),
    "the chat template": ("curve", template("Q: {{ m['content'] }}\n"), "none"),
    "the folder": ("curve", nothing(), "all"),
    "the type of numbers": ("curve", argument(dtype="bfloat16"), "none"),
    "numbers within autocast": ("curve", argument(mixed_precision_dtype="bfloat16"), "none"),
    "the batch size": ("curve", argument(batch_size=3), "all"),
    "max_failures": ("curve", argument(max_failures=0.5), "all"),
    "the seed": ("votes", asks(seed=5), "none"),
    "an adapter's scale": ("adapter", config("peft", ADAPTER, lora_alpha=64), "none"),
    "an adapter's rank scaling": ("adapter", config("peft", ADAPTER, use_rslora=True), "none"),
    "an adapter's weights": ("adapter", row_of(LORA, 0, "peft", LORA_FILE), "none"),
    "an adapter's folder": ("adapter", nothing("peft"), "all"),
    "no adapter": ("adapter", argument(peft=None), "none"),
    "the reward model's epsilon": ("votes", config("reward_model", rms_norm_eps=1e-2), "none"),
    "the reward model's weights": ("votes", row_of(EMBEDDING, 201, "reward_model"), "none"),
    "its template": ("votes", template("{{ m['content'] }}", "reward_model"), "none"),
    "its folder": ("votes", nothing("reward_model"), "all"),
    "its batches": ("votes", argument(reward_model_batch_size=1), "all"),
    "the temperature": ("votes", setting(temperature=0.7), "none"),
    "top_p": ("votes", setting(top_p=0.5), "none"),
    "the length of responses": ("votes", setting(max_gen_toks=6), "none"),
    "the prompt style": ("votes", setting(prompt_style="cot"), "none"),
    "the stop strings": ("votes", setting(until=["e"]), "none"),
    "more samples": ("votes", setting(n=3), "some"),
    "fewer samples": ("votes", setting(n=1), "all"),
    "more points": ("curve", setting(max_thinking_tokens=[8, 12]), "some"),
    "more waits than it makes": ("waits", setting(num_waits=2), "all"),
    "more documents": ("votes", asks(documents=THREE), "some"),
    "fewer documents": ("votes", asks(documents=THREE[:1]), "all"),
    "documents in another order": ("votes", asks(order=-1), "all"),
    "one question": ("votes", asks(documents=OTHER), "some"),
    "the right answer": ("votes", asks(answer="7"), "all"),
    "repeats": ("votes", asks(repeats=2), "some"),
}


@pytest.fixture(scope="module")
def commands(tiny_checkpoint, tmp_path_factory) -> dict[str, Setup]:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("beside")
    reward_model = str(token_classification(folder).path)
    policy = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    lora = LoraConfig(r=4, lora_alpha=32, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(policy, lora).save_pretrained(folder / "adapter")
    rated = {"reward_model": reward_model, "reward_model_device": "cpu"}
    waits = {**CURVE, "strategy": "progressive", "max_thinking_tokens": 24, "num_waits": 1}
    return {
        "curve": Setup(tiny_checkpoint, CURVE),
        "waits": Setup(tiny_checkpoint, waits),
        "adapter": Setup(tiny_checkpoint, CURVE, {"peft": str(folder / "adapter")}),
        "votes": Setup(tiny_checkpoint, VOTES, rated),
    }


@pytest.fixture(scope="module")
def models(commands) -> dict[str, TTSHF]:
    return {name: load(setup) for name, setup in commands.items()}


@pytest.fixture(scope="module")
def journals(commands, models, tmp_path_factory) -> dict[str, Path]:
    """A folder with the journal of each command."""
    folders = {name: tmp_path_factory.mktemp(name) for name in commands}
    for name, setup in commands.items():
        answer(models[name], setup, folders[name])
    return folders


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_fresh_run_would_give_is_taken_over_and_nothing_else(
    name, commands, models, journals, tmp_path
):
    kind, change, expected = CHANGES[name]
    before, changed = commands[kind], change(commands[kind], tmp_path)
    same = (changed.checkpoint, changed.arguments) == (before.checkpoint, before.arguments)
    model = models[kind] if same else load(changed)
    kept = Path(shutil.copytree(journals[kind], tmp_path / "out"))
    found, counts = answer(model, changed, kept)
    assert (counts.taken > 0, counts.asked > 0) == {
        "all": (True, False), "some": (True, True), "none": (False, True)
    }[expected]  # fmt: skip
    if counts.taken:
        assert found == answer(model, changed, None)[0]
