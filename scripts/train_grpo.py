"""Reinforce a model by GRPO with rewards that rules can give: TRL's GRPOTrainer with LoRA.

    python scripts/train_grpo.py --model_name_or_path Qwen/Qwen2.5-1.5B-Instruct \\
        --dataset openai/gsm8k --config_name main --output_dir models/grpo --bf16

Every flag of GRPOConfig and ModelConfig works, also from a YAML file by --config. `--adapter` goes
on from an SFT adapter; `--rewards` and `--reward_weights` choose what counts.
--resume_from_checkpoint true goes on with an interrupted run.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import training_data as data
from datasets import Dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
from trl import (
    GRPOConfig,
    GRPOTrainer,
    ModelConfig,
    TrlParser,
    get_peft_config,
    get_quantization_config,
)

from lm_eval_tts.errors import LmEvalTTSError
from lm_eval_tts.prompts import build_messages, fill_instruction, load_prompts
from lm_eval_tts.reward_models.rules import PRESETS, REWARDS, reward_functions


@dataclass
class DataArguments:
    """What to learn from."""

    dataset: str = field(default="openai/gsm8k", metadata={"help": "Hub name or local .jsonl file"})
    config_name: str | None = field(default=None, metadata={"help": "config on the Hub, as main"})
    split: str = field(default="train", metadata={"help": "split of a dataset of the Hub"})
    prompt_style: str = field(default="r1", metadata={"help": "style of prompts.yaml"})
    adapter: str | None = field(default=None, metadata={"help": "LoRA adapter to go on from"})
    rewards: list[str] = field(
        default_factory=lambda: ["default"],
        metadata={"help": f"of {', '.join((*REWARDS, *PRESETS))}"},
    )


@dataclass
class GRPORecipe(GRPOConfig):
    """GRPOConfig with the defaults of this recipe."""

    learning_rate: float = 5e-6
    num_generations: int | None = 8
    max_completion_length: int | None = 512
    logging_steps: float = 5
    bf16: bool = False
    report_to: list[str] = field(default_factory=list)
    save_total_limit: int | None = 1


@dataclass
class LoraModel(ModelConfig):
    """ModelConfig with LoRA on all linear layers by default."""

    use_peft: bool = True
    lora_target_modules: list[str] | None = field(default_factory=lambda: ["all-linear"])


class StopOnCollapse(TrainerCallback):
    """Stops when training has gone wrong in one of GRPO's known ways, and says which.

    Gibberish: the mean reward stays below half of its best. Blow-up: nearly all responses are cut
    by the length limit. Either must hold for `patience` logs in a row.
    """

    def __init__(self, patience: int = 5) -> None:
        self._patience = patience
        self._best = 0.0
        self._bad = 0

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        """Look at the logged means and stop after `patience` bad ones."""
        if "reward" not in (logs or {}):
            return
        reward, cut = float(logs["reward"]), float(logs.get("completions/clipped_ratio", 0.0))
        self._best = max(self._best, reward)
        wrong = [
            f"the reward fell from {self._best:.2f} to {reward:.2f}" * (reward < self._best / 2),
            f"{cut:.0%} of the responses hit the length limit" * (cut > 0.95),
        ]
        self._bad = self._bad + 1 if any(wrong) else 0
        if self._bad >= self._patience:
            print(f"stopped at step {state.global_step}: {' and '.join(filter(None, wrong))}")
            control.should_training_stop = True


def main() -> None:
    parser = TrlParser((DataArguments, GRPORecipe, LoraModel))
    what, training, model = parser.parse_args_and_config()
    set_seed(training.seed)  # new weights are drawn before the trainer sets it
    prompts = load_prompts()
    style = prompts.style(what.prompt_style)
    marks = prompts.preset(style.delimiters)
    tags = (marks.thinking_start, marks.thinking_end, marks.answer_start, marks.answer_end)
    tags = tuple(tag.strip() for tag in tags)
    rewards = reward_functions(what.rewards, tags)
    instruction = fill_instruction(style, marks, {})
    rows = data.load_rows(what.dataset, what.split, what.config_name)
    examples = [
        {
            "prompt": build_messages(
                [{"role": "user", "content": data.first_column(row, data.QUESTION, where)}],
                style,
                instruction,
                "system",
            ),
            "answer": data.final_answer(row, where),
        }
        for i, row in enumerate(rows)
        for where in [f"{what.dataset}, row {i + 1}"]
    ]
    network = AutoModelForCausalLM.from_pretrained(
        model.model_name_or_path,
        revision=model.model_revision,
        dtype=model.dtype or "auto",
        quantization_config=get_quantization_config(model),
    )
    if what.adapter:
        network = PeftModel.from_pretrained(network, what.adapter, is_trainable=True)
    trainer = GRPOTrainer(
        model=network,
        args=training,
        reward_funcs=rewards,
        train_dataset=Dataset.from_list(examples),
        processing_class=AutoTokenizer.from_pretrained(
            model.model_name_or_path, padding_side="left"
        ),
        peft_config=None if what.adapter else get_peft_config(model),
        callbacks=[StopOnCollapse()],
    )
    trainer.train(resume_from_checkpoint=data.resume_point(training.resume_from_checkpoint))
    trainer.save_model(training.output_dir)


if __name__ == "__main__":
    try:
        main()
    except LmEvalTTSError as error:
        sys.exit(str(error))
