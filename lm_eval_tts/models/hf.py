"""`tts-hf`: lm-eval's `hf` model with test-time strategies around it.

Every argument of `--model hf` works as it does there, and log-likelihood tasks run unchanged; only
`generate_until` is ours. Strategy settings given as model arguments are the defaults of all tasks.
"""

from __future__ import annotations

import inspect
import logging
from dataclasses import fields
from functools import cached_property
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM

from lm_eval_tts.checkpoints import DEFAULTS, find_checkpoint
from lm_eval_tts.core.digests import tokenizer_digest, weights_digest
from lm_eval_tts.core.engine import Engine
from lm_eval_tts.engines.hf.engine import fit_engine
from lm_eval_tts.engines.tokenizer import HFTokenizer
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.credentials import refuse_credentials
from lm_eval_tts.harness.run_state import MAX_FAILURES
from lm_eval_tts.models.arguments import check_arguments, loading
from lm_eval_tts.models.base import StrategyLM
from lm_eval_tts.models.chat import TemplatedChat
from lm_eval_tts.reward_models.loading import RewardModelSettings
from lm_eval_tts.settings import take_settings

OWN_ARGUMENTS = {"merge_peft", "journal", "max_failures"}
ARGUMENTS = frozenset(inspect.signature(HFLM.__init__).parameters).union(
    OWN_ARGUMENTS, (field.name for field in fields(RewardModelSettings))
)

TINY_BATCH_SIZE = 64  # of the reasoner that comes along; in float32 it changes no response

logger = logging.getLogger(__name__)


class TTSHF(TemplatedChat, StrategyLM, HFLM):
    """A transformers checkpoint, with `peft=`, `gguf_file=`, quantization ... as in HFLM.

    `pretrained` and `peft` may also name a checkpoint that comes with the package.
    """

    _model: Any
    peft: str | None

    def __init__(
        self,
        pretrained: Any = None,
        *,
        merge_peft: bool = False,
        journal: str | None = None,
        max_failures: float = MAX_FAILURES,
        **kwargs: Any,
    ) -> None:
        """Load the checkpoint; without `pretrained`, the tiny reasoner that comes along.

        merge_peft: add the adapter of `peft=` to the weights, which decodes faster. reward_model,
        reward_model_type ...: see `RewardModelSettings`.
        journal: folder that keeps finished requests, for a run to continue where it stopped.
        max_failures: share of requests that may fail before the command's exit code tells.
        Raises SettingsError for wrong settings, before loading, and if the checkpoint cannot be
        loaded.
        """
        refuse_credentials(kwargs)
        self.strategy_defaults = take_settings(kwargs, ARGUMENTS)
        if pretrained is None:
            kwargs = DEFAULTS | kwargs
            if str(kwargs.get("batch_size") or 1) == "1":  # lm_eval's own default, far too slow
                kwargs["batch_size"] = TINY_BATCH_SIZE
            logger.info(
                "no pretrained= was given: using %s, a tiny reasoner that comes with lm_eval_tts",
                ",".join(f"{name}={kwargs[name]}" for name in DEFAULTS),
            )
            pretrained = kwargs.pop("pretrained")
        check_arguments(kwargs)
        if journal and kwargs.get("tp_plan"):
            raise SettingsError("journal= does not work with tp_plan=: its ranks must not differ")
        self.keep(journal, max_failures)
        self.load_reward_model(kwargs)
        self._checkpoint, self._adapter = name_of(pretrained), kwargs.get("peft")
        with loading({"pretrained": pretrained, **kwargs}):
            if isinstance(pretrained, str):
                pretrained = find_checkpoint(pretrained)
            if self._adapter:
                kwargs["peft"] = find_checkpoint(self._adapter)
            HFLM.__init__(self, pretrained=pretrained, **kwargs)
        if merge_peft and self._adapter:
            self._model = self._model.merge_and_unload()
        self._merged = merge_peft
        self._join_ranks()
        if isinstance(self.think_end_token, str):
            self.strategy_defaults.setdefault("thinking_end", self.think_end_token)
        self.text_tokenizer = HFTokenizer(self.tokenizer)
        self.policy_size = self.model.num_parameters() / 1e9
        self.vocabulary_size = self.model.get_input_embeddings().num_embeddings

    def use_adapter(self, peft: str | None) -> None:
        """Put another adapter, or none, on the loaded model, whose own weights stay in place.

        peft: a folder or Hub name as `peft=` takes it. Raises SettingsError on merged weights.
        """
        from peft import PeftModel  # seconds to import, and most runs have no adapter

        if self._merged and self._adapter:
            raise SettingsError("an adapter was merged into the weights: leave merge_peft out")
        if isinstance(self._model, PeftModel):
            self._model = self._model.unload()
        if peft:
            self._model = PeftModel.from_pretrained(self._model, find_checkpoint(peft)).eval()
        self.peft = self._adapter = peft
        self.__dict__.pop("engine", None)  # it was made for the other weights

    def get_model_info(self) -> dict[str, Any]:
        """Add to HFLM's entries in the results what tells checkpoints apart."""
        ours = {
            "pretrained": self._checkpoint,
            "peft": self._adapter,
            "merge_peft": self._merged,
            **self.reward_info(),
        }
        return {**HFLM.get_model_info(self), **ours}

    def run_facts(self) -> dict[str, str]:
        """Return what makes the results of two runs differ, whatever they ask."""
        return {
            "pretrained": self._checkpoint,
            "peft": str(self._adapter),
            "weights": weights_digest(self.model),
            "dtype": str(self.model.dtype),
            "tokenizer": tokenizer_digest(self.tokenizer),
            "max_length": str(self.max_length),
            **self.reward_facts(),
            "seed": str(self.run_seed()),
        }

    def _join_ranks(self) -> None:
        """Share documents among `accelerate launch` processes on CPUs too, not on GPUs only."""
        if accelerator := getattr(self, "accelerator", None):
            self._rank = accelerator.process_index
            self._world_size = accelerator.num_processes

    @cached_property
    def engine(self) -> Engine:
        """The engine; `--batch_size` is its number of sequences, `auto` what memory allows."""
        if self.backend != "causal":
            raise SettingsError(
                "tts-hf strategies continue a response, so they need a decoder-only model; "
                f"this one is {self.backend}"
            )
        auto = self.batch_size_per_gpu == "auto"
        return fit_engine(
            self.model,
            self.text_tokenizer,
            eos_token_ids=self._eos_token_ids(),
            max_length=self.max_length,
            max_num_seqs=int(self.max_batch_size if auto else self.batch_size),
            auto=auto,
        )

    def _eos_token_ids(self) -> list[int]:
        """Return the ids that end a turn: the tokenizer's and those of the generation config."""
        config = getattr(self.model, "generation_config", None)
        declared = getattr(config, "eos_token_id", None)
        several = declared if isinstance(declared, list) else [declared]
        ids = {self.tokenizer.eos_token_id, *several} - {None}
        return sorted(ids)

    def run_seed(self) -> int:
        """Return torch's seed, which lm-eval's --seed sets before the model is made."""
        return int(torch.initial_seed())


def name_of(pretrained: Any) -> str:
    """Return the name that results tell a checkpoint by; HFLM takes models that are loaded too."""
    return pretrained if isinstance(pretrained, str) else str(pretrained.name_or_path)
