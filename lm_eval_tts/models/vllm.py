"""`tts-vllm`: lm-eval's `vllm` model with test-time strategies around it.

Every argument of `--model vllm` works as it does there, and log-likelihood tasks run unchanged.
`data_parallel_size` uses vLLM's own replicas, loaded once, where lm-eval reloads the model for
every call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import torch

from lm_eval_tts.checkpoints import find_checkpoint
from lm_eval_tts.core.digests import tokenizer_digest
from lm_eval_tts.core.engine import Engine, PromptTokens
from lm_eval_tts.engines.asynchronous import AsyncEngine
from lm_eval_tts.engines.tokenizer import HFTokenizer
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.models.base import StrategyLM
from lm_eval_tts.models.chat import TemplatedChat
from lm_eval_tts.models.keeping import take_keeping
from lm_eval_tts.settings import take_settings

try:
    from lm_eval.models import vllm_causallms
    from lm_eval.models.vllm_causallms import VLLM
    from vllm.lora.request import LoRARequest
    from vllm.platforms import current_platform

    from lm_eval_tts.engines.vllm.engine import CPU_BLOCK_SIZE, VLLMEngine, end_calls_when_dead
    from lm_eval_tts.engines.vllm.parallel import DataParallelLLM
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"tts-vllm needs vLLM ({error}): pip install 'lm_eval_tts[vllm]'"
    ) from error

QUEUED = 1.25  # sequences under way for each that vLLM runs: a full batch while some are resumed


class TTSVLLM(TemplatedChat, StrategyLM, VLLM):
    """A checkpoint in vLLM, with `tensor_parallel_size=`, `lora_local_path=` ... as in VLLM."""

    model: Any
    lora_request: Any

    def __init__(
        self, pretrained: str | None = None, *, data_parallel_size: int = 1, **kwargs: Any
    ) -> None:
        """Load the checkpoint.

        data_parallel_size: replicas, each with tensor_parallel_size devices. reward_model,
        reward_model_type ...: see `RewardModelSettings`; it runs beside vLLM, which must leave it
        memory (gpu_memory_utilization=).
        Raises SettingsError for wrong strategy settings, before loading.
        """
        self.keep(**take_keeping(kwargs))
        self.strategy_defaults = take_settings(kwargs)
        self.load_reward_model(kwargs)
        if pretrained is None:
            raise SettingsError(
                "tts-vllm needs a checkpoint: --model_args pretrained=<Hub name or local folder>"
            )
        kwargs.setdefault("enable_prefix_caching", True)
        if current_platform.is_cpu():
            kwargs.setdefault("block_size", CPU_BLOCK_SIZE)
        self.pretrained, self.lora_local_path = pretrained, kwargs.get("lora_local_path")
        if self.lora_local_path:
            kwargs["lora_local_path"] = find_checkpoint(self.lora_local_path)
        with _loading(int(data_parallel_size)), torch.random.fork_rng(devices=[]):
            VLLM.__init__(self, pretrained=find_checkpoint(pretrained), **kwargs)
        if not isinstance(self.model, DataParallelLLM):
            end_calls_when_dead(self.model)
        self.prompt_tokens = PromptTokens()
        self._prepare_chat()
        if isinstance(self.think_end_token, str):
            self.strategy_defaults.setdefault("thinking_end", self.think_end_token)
        self.text_tokenizer = HFTokenizer(self.tokenizer)
        self.vocabulary_size = self.model.llm_engine.model_config.get_vocab_size()

    def _prepare_chat(self) -> None:
        """Give the tokenizer the template that vLLM resolved, and the template its arguments."""
        self.tokenizer.chat_template = self.hf_chat_template
        if self.enable_thinking is not None:
            self.chat_template_args = {
                **self.chat_template_args,
                "enable_thinking": self.enable_thinking,
            }

    def use_adapter(self, lora_local_path: str | None) -> None:
        """Answer with another adapter, or none; the checkpoint stays loaded.

        Raises SettingsError if the model was made without an adapter.
        """
        if lora_local_path and not self.model_args["enable_lora"]:
            raise SettingsError(
                "adapters need a model that was made with one: give lora_local_path= at the start"
            )
        self.lora_local_path, self.lora_request = lora_local_path, None
        if lora_local_path:
            number = hash(lora_local_path) % 2**31 + 1  # vLLM knows adapters by it; 0 is none
            folder = find_checkpoint(lora_local_path)
            self.lora_request = LoRARequest(lora_local_path, number, folder)
        self.__dict__.pop("engine", None)  # it was made for the other adapter

    def run_facts(self) -> dict[str, str]:
        """Return what makes the results of two runs differ; weights are known by their names."""
        return {
            "pretrained": str(self.pretrained),
            "lora_local_path": str(self.lora_local_path),
            "dtype": str(self.model.llm_engine.model_config.dtype),
            "tokenizer": tokenizer_digest(self.tokenizer),
            "max_length": str(self.engine.max_length),
            **self.reward_facts(),
            "seed": str(self.run_seed()),
        }

    def get_model_info(self) -> dict[str, Any]:
        """Return what tells checkpoints apart, and how much the prefix cache saved."""
        return {
            "pretrained": self.pretrained,
            "lora_local_path": self.lora_local_path,
            **self.reward_info(),
            "prompt_tokens_sent": self.prompt_tokens.sent,
            "prompt_tokens_cached": self.prompt_tokens.cached,
        }

    @cached_property
    def engine(self) -> Engine:
        """The engine; vLLM's `max_num_seqs=` is its number of sequences."""
        ends = self._eos_token_ids()
        running = int(self.model.llm_engine.vllm_config.scheduler_config.max_num_seqs)
        limits = {"eos_token_ids": ends, "max_length": self.max_length}
        if not isinstance(self.model, DataParallelLLM):
            return VLLMEngine(
                self.model,
                self.text_tokenizer,
                max_num_seqs=int(running * QUEUED),
                lora_request=self.lora_request,
                prompt_tokens=self.prompt_tokens,
                **limits,
            )
        self.model.lora_request = self.lora_request
        self.model.prompt_tokens = self.prompt_tokens
        return AsyncEngine(
            partial(self.model.sample, eos_token_ids=frozenset(ends)),
            self.model.background,
            self.text_tokenizer,
            max_num_seqs=int(running * QUEUED * self.model.num_ranks),
            **limits,
        )

    def _eos_token_ids(self) -> list[int]:
        """Return the ids that end a turn: the tokenizer's and those of the generation config."""
        config = self.model.llm_engine.model_config.try_get_generation_config()
        declared = config.get("eos_token_id")
        several = declared if isinstance(declared, list) else [declared]
        ids = {self.tokenizer.eos_token_id, *several} - {None}
        return sorted(ids)

    def run_seed(self) -> int:
        """Return torch's seed, which lm-eval's --seed sets before the model is made."""
        return int(torch.initial_seed())


@contextmanager
def _loading(data_parallel_size: int) -> Iterator[None]:
    """Have lm-eval's class load one engine with replicas, where it would load none."""
    if data_parallel_size == 1:
        yield
        return
    stock = vllm_causallms.LLM
    vllm_causallms.LLM = partial(DataParallelLLM, data_parallel_size=data_parallel_size)
    try:
        yield
    finally:
        vllm_causallms.LLM = stock
