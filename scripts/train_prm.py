"""Train a process reward model: is each step right? Token classification on step separators.

    python scripts/train_prm.py --model_name_or_path models/sft --dataset steps.jsonl \\
        --output_dir models/prm

A row has `question`, `steps` (texts) and `labels` (one truth value a step). Every flag of
TrainingArguments works, also from a YAML file by --config; --resume_from_checkpoint true goes on
with an interrupted run. `reward_model=models/prm` reads what is trained, in the same format.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import training_data as data
from datasets import Dataset
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)
from trl import TrlParser

from lm_eval_tts.errors import DataError, LmEvalTTSError
from lm_eval_tts.reward_models.families import SEPARATOR_KEY
from lm_eval_tts.reward_models.inputs import SEPARATOR, Words, write_labelled


@dataclass
class PRMArguments:
    """What to learn, and from which model to start."""

    model_name_or_path: str = field(metadata={"help": "checkpoint to start from"})
    dataset: str = field(metadata={"help": "Hub name or local .jsonl file"})
    adapter: str | None = field(default=None, metadata={"help": "LoRA adapter to merge first"})
    split: str = field(default="train", metadata={"help": "split of a dataset of the Hub"})


@dataclass
class PRMRecipe(TrainingArguments):
    """TrainingArguments with the defaults of this recipe."""

    learning_rate: float = 1e-5
    num_train_epochs: float = 1
    logging_steps: float = 50
    report_to: list[str] = field(default_factory=list)
    save_total_limit: int | None = 1


def to_features(
    row: dict[str, Any], tokenizer: PreTrainedTokenizerBase, where: str
) -> dict[str, list[int]]:
    """Return ids and labels: 1 or 0 at the separator behind each step, -100 elsewhere."""
    question = data.first_column(row, data.QUESTION, where)
    steps, right = row.get("steps") or [], row.get("labels") or []
    if not steps or len(steps) != len(right):
        raise DataError(f"{where}: has {len(steps)} steps and {len(right)} labels")
    ids, positions = write_labelled(Words(tokenizer), question, [str(step) for step in steps])
    labels = [-100] * len(ids)
    for position, label in zip(positions, right, strict=True):
        labels[position] = int(bool(label))
    return {"input_ids": list(ids), "labels": labels}


def load_classifier(name: str, adapter: str | None) -> PreTrainedModel:
    """Return the model with a head for two labels in place of its language head."""
    classifier = AutoModelForTokenClassification.from_pretrained(name, num_labels=2)
    setattr(classifier.config, SEPARATOR_KEY, SEPARATOR)
    if adapter is not None:
        merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(name), adapter)
        merged = merged.merge_and_unload()
        classifier.base_model.load_state_dict(merged.base_model.state_dict())
    return classifier


def main() -> None:
    what, training = TrlParser((PRMArguments, PRMRecipe)).parse_args_and_config()
    tokenizer = AutoTokenizer.from_pretrained(what.model_name_or_path)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    rows = data.load_rows(what.dataset, what.split)
    features = [
        to_features(row, tokenizer, f"{what.dataset}, row {i + 1}") for i, row in enumerate(rows)
    ]
    trainer = Trainer(
        model=load_classifier(what.model_name_or_path, what.adapter),
        args=training,
        train_dataset=Dataset.from_list(features),
        processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer),
    )
    trainer.train(resume_from_checkpoint=data.resume_point(training.resume_from_checkpoint))
    trainer.save_model(training.output_dir)


if __name__ == "__main__":
    try:
        main()
    except LmEvalTTSError as error:
        sys.exit(str(error))
