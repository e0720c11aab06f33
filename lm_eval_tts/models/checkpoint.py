"""A loaded checkpoint, as far as strategies, journals and results have to know it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lm_eval_tts.core.digests import tokenizer_digest
from lm_eval_tts.engines.tokenizer import HFTokenizer

_RECOMMENDED = ("temperature", "top_p", "top_k", "min_p")


@dataclass(slots=True)
class Checkpoint:
    """What an lm_eval model class has loaded, or a server has for us."""

    tokenizer: Any  # of transformers
    # What results know the checkpoint by, for example `pretrained` and `peft`.
    names: dict[str, Any]
    generation_config: Any = None  # of transformers; its ends of turn count beside the tokenizer's
    # What makes its answers differ from another's; asked for where a journal needs it.
    own_facts: Callable[[], Mapping[str, Any]] = dict
    policy_size: float | None = None  # parameters in billions
    vocabulary_size: int | None = None  # ids that the model chooses among
    turn_end: int | None = None  # the id that the chat template ends a turn with
    text: HFTokenizer = field(init=False)  # the tokenizer, seen from the middle of a sequence

    def __post_init__(self) -> None:
        self.text = HFTokenizer(self.tokenizer)

    @property
    def eos_token_ids(self) -> list[int]:
        """The ids that end a turn: the tokenizer's, the generation config's, the template's."""
        declared = getattr(self.generation_config, "eos_token_id", None)
        several = declared if isinstance(declared, list) else [declared]
        return sorted({self.tokenizer.eos_token_id, self.turn_end, *several} - {None})

    def facts(self, max_length: int) -> dict[str, str]:
        """Return by name what makes the results of two runs differ, whatever they ask."""
        return {
            **{name: str(value) for name, value in self.own_facts().items()},
            "tokenizer": tokenizer_digest(self.tokenizer),
            "ends of turn": str(self.eos_token_ids),
            "max_length": str(max_length),
            "seed": str(run_seed()),
        }


def recommended_sampling(config: Any) -> dict[str, float]:
    """Return what a transformers generation config recommends to sample by; nothing where it does
    not recommend to sample, or is not known (None)."""
    said = config.to_diff_dict() if config is not None else {}
    found = {name: said[name] for name in _RECOMMENDED if said.get(name) is not None}
    samples = said.get("do_sample") or found.get("temperature")
    return {"temperature": 1.0, **found} if samples else {}


def run_seed() -> int:
    """Return torch's seed, which lm-eval's --seed sets before a model is made."""
    import torch

    return int(torch.initial_seed())
