"""Train a process reward model: is each step right? Token classification on step separators.

    python scripts/train_prm.py --model_name_or_path models/sft --dataset steps.jsonl \\
        --output_dir models/prm

A row has `question`, `steps` (texts) and `labels` (for each step a truth value, or null if it has
none); it may have `wrong_from` (for each step the index of its first wrong character, or null).
Every flag of TrainingArguments works, also from a YAML file by --config; --resume_from_checkpoint
true goes on with an interrupted run. `reward_model=models/prm` reads what is trained, in the same
format.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import training_data as data
from datasets import Dataset
from peft import PeftModel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)
from trl import TrlParser

from lm_eval_tts.errors import DataError, LmEvalTTSError, SettingsError
from lm_eval_tts.reward_models.families import SEPARATOR_KEY
from lm_eval_tts.reward_models.inputs import SEPARATOR, Words, prompt_ids, write_labelled

UNLABELLED = -100  # what torch's cross entropy ignores


@dataclass
class PRMArguments:
    """What to learn, and from which model to start."""

    model_name_or_path: str = field(metadata={"help": "checkpoint to start from"})
    dataset: str = field(metadata={"help": "Hub name or local .jsonl file"})
    adapter: str | None = field(default=None, metadata={"help": "LoRA adapter to merge first"})
    extra_layers: int = field(default=0, metadata={"help": "decoder layers to add on top"})
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
    """Return ids and labels: 1 or 0 at the separator behind each labelled step, -100 elsewhere.

    Where the row says from which character on each wrong step is wrong, the tokens within steps
    are labelled too, as in ELECTRA (Clark et al. 2020, arXiv:2003.10555): there is more to learn
    from each row.
    """
    question = data.first_column(row, data.QUESTION, where)
    steps, right = [str(step) for step in row.get("steps") or []], row.get("labels") or []
    wrong_from = row.get("wrong_from")
    for column, values in {"labels": right, "wrong_from": wrong_from}.items():
        if not steps or (values is not None and len(values) != len(steps)):
            raise DataError(f"{where}: has {len(steps)} steps and {len(values or ())} {column}")
    ids, positions = write_labelled(Words(tokenizer), question, steps)
    labels = [UNLABELLED] * len(ids)
    begin = len(prompt_ids(tokenizer, question))
    for i, (step, end) in enumerate(zip(steps, positions, strict=True)):
        labels[end] = UNLABELLED if right[i] is None else int(bool(right[i]))
        if wrong_from is not None and right[i] is not None:
            kept = len(tokenizer.encode(step[: wrong_from[i]], add_special_tokens=False))
            wrong = end if wrong_from[i] is None else begin + kept
            labels[begin:end] = [int(at < wrong) for at in range(begin, end)]
        begin = end + 1
    return {"input_ids": list(ids), "labels": labels}


def load_classifier(name: str, adapter: str | None, extra_layers: int) -> PreTrainedModel:
    """Return the model with a head for two labels in place of its language head.

    Extra layers are copies of the last ones on top of them (depth up-scaling: Kim et al. 2023,
    arXiv:2312.15166). A model uses all its layers to predict a token; to check that token against
    the prediction takes layers behind these.
    """
    policy = AutoModelForCausalLM.from_pretrained(name)
    if adapter is not None:
        policy = PeftModel.from_pretrained(policy, adapter).merge_and_unload()
    weights, depth = policy.base_model.state_dict(), policy.config.num_hidden_layers
    if not 0 <= extra_layers <= depth:
        raise SettingsError(
            f"extra_layers={extra_layers}: allowed is 0 to {depth}, the layers it has"
        )
    for new in range(depth, depth + extra_layers):
        old = f"layers.{new - extra_layers}."
        weights |= {k.replace(old, f"layers.{new}."): w for k, w in weights.items() if old in k}
    config = AutoConfig.from_pretrained(name, num_labels=2)
    config.num_hidden_layers = depth + extra_layers
    setattr(config, SEPARATOR_KEY, SEPARATOR)
    classifier = AutoModelForTokenClassification.from_config(config)
    classifier.base_model.load_state_dict(weights)
    return classifier


def main() -> None:
    what, training = TrlParser((PRMArguments, PRMRecipe)).parse_args_and_config()
    set_seed(training.seed)  # new weights are drawn before the trainer sets it
    tokenizer = AutoTokenizer.from_pretrained(what.model_name_or_path)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    rows = data.load_rows(what.dataset, what.split)
    features = [
        to_features(row, tokenizer, f"{what.dataset}, row {i + 1}") for i, row in enumerate(rows)
    ]
    trainer = Trainer(
        model=load_classifier(what.model_name_or_path, what.adapter, what.extra_layers),
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
