"""Fine-tune a model on reasoning traces: TRL's SFTTrainer with LoRA, loss on the response alone.

    python scripts/train_sft.py --model_name_or_path Qwen/Qwen2.5-1.5B-Instruct \\
        --dataset simplescaling/s1K-1.1 --output_dir models/sft --bf16

Every flag of SFTConfig and ModelConfig works, also from a YAML file by --config. LoRA is on unless
--use_peft false; --resume_from_checkpoint true goes on with an interrupted run.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import training_data as data
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
from trl import (
    ModelConfig,
    SFTConfig,
    SFTTrainer,
    TrlParser,
    get_peft_config,
    get_quantization_config,
)

from lm_eval_tts.errors import LmEvalTTSError
from lm_eval_tts.prompts import load_prompts


@dataclass
class DataArguments:
    """What to learn."""

    dataset: str = field(
        default="simplescaling/s1K-1.1", metadata={"help": "Hub name or local .jsonl file"}
    )
    split: str = field(default="train", metadata={"help": "split of a dataset of the Hub"})
    delimiters: str = field(default="think", metadata={"help": "tag preset of prompts.yaml"})


@dataclass
class SFTRecipe(SFTConfig):
    """SFTConfig with the defaults of this recipe."""

    num_train_epochs: float = 5
    learning_rate: float = 1e-4
    lr_scheduler_type: str = "cosine"
    max_length: int | None = 4096
    bf16: bool = False
    report_to: list[str] = field(default_factory=list)
    save_total_limit: int | None = 1


@dataclass
class LoraModel(ModelConfig):
    """ModelConfig with LoRA on all linear layers by default."""

    use_peft: bool = True
    lora_target_modules: list[str] | None = field(default_factory=lambda: ["all-linear"])


class StopOnDivergence(TrainerCallback):
    """Stops when the loss is not a number: nothing good comes after it."""

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        """Stop where the loss is NaN."""
        loss = (logs or {}).get("loss", 0.0)
        if float(loss) != float(loss):
            print(f"stopped at step {state.global_step}: the loss is not a number")
            control.should_training_stop = True


def main() -> None:
    parser = TrlParser((DataArguments, SFTRecipe, LoraModel))
    what, training, model = parser.parse_args_and_config()
    set_seed(training.seed)  # new weights are drawn before the trainer sets it
    marks = load_prompts().preset(what.delimiters)
    rows = data.load_rows(what.dataset, what.split)
    examples = data.check_examples(rows, marks, what.dataset)
    tokenizer = AutoTokenizer.from_pretrained(model.model_name_or_path)
    network = AutoModelForCausalLM.from_pretrained(
        model.model_name_or_path,
        revision=model.model_revision,
        dtype=model.dtype or "auto",
        quantization_config=get_quantization_config(model),
    )
    trainer = SFTTrainer(
        model=network,
        args=training,
        train_dataset=Dataset.from_list([data.tokenize(e, tokenizer) for e in examples]),
        processing_class=tokenizer,
        peft_config=get_peft_config(model),
        callbacks=[StopOnDivergence()],
    )
    trainer.train(resume_from_checkpoint=data.resume_point(training.resume_from_checkpoint))
    trainer.save_model(training.output_dir)


if __name__ == "__main__":
    try:
        main()
    except LmEvalTTSError as error:
        sys.exit(str(error))
