"""`tts-vllm`: lm-eval's `vllm` model with test-time strategies around it.

Every argument of `--model vllm` works as it does there, and log-likelihood tasks run unchanged.
`data_parallel_size` uses vLLM's own replicas, loaded once, where lm-eval reloads the model for
every call."""

import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from lm_eval.models import vllm_causallms
from lm_eval.models.vllm_causallms import VLLM
from transformers import GenerationConfig
from vllm import EngineArgs
from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform

from lm_eval_tts.checkpoints import find_checkpoint
from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.identity import decides, digest, files_of
from lm_eval_tts.engines.asynchronous import AsyncEngine
from lm_eval_tts.engines.vllm.engine import CPU_BLOCK_SIZE, Replicas
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.models.arguments import OWN, loading
from lm_eval_tts.models.base import StrategyLM
from lm_eval_tts.models.chat import TemplateChat
from lm_eval_tts.models.checkpoint import Checkpoint
from lm_eval_tts.models.session import Session
from lm_eval_tts.strategies import Abilities, LogprobKind

VLLM_ARGUMENTS = OWN | {
    "batch_invariant",
    *inspect.signature(VLLM.__init__).parameters,
    *(field.name for field in fields(EngineArgs)),
}
BATCH_INVARIANT = "VLLM_BATCH_INVARIANT"  # vLLM's own switch (vllm/envs.py)
QUEUED = 1.25  # sequences under way for each that vLLM runs: a full batch while some are resumed


class TTSVLLM(StrategyLM, VLLM):
    """A checkpoint in vLLM, with `tensor_parallel_size=`, `lora_local_path=` ... as in VLLM."""

    model: Any
    lora_request: Any
    chat_template_args: dict[str, Any]

    def __init__(
        self,
        pretrained: str | None = None,
        *,
        data_parallel_size: int = 1,
        batch_invariant: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Load the checkpoint.
        data_parallel_size: replicas, each with tensor_parallel_size devices. batch_invariant: see
        `switch_batch_invariance`. enable_lora: `use_adapter` may come later. reward_model ...: see
        `RewardModelSettings`; it runs next to vLLM, which must leave it memory
        (gpu_memory_utilization=). journal, max_failures: see `RunState`.
        Raises SettingsError for wrong arguments, before loading, and if the checkpoint or the
        adapter cannot be loaded."""
        if pretrained is None:
            raise SettingsError(
                "tts-vllm needs a checkpoint: --model_args pretrained=<Hub name or local folder>"
            )
        self.batch_invariant = switch_batch_invariance(batch_invariant)
        self.session = Session(kwargs, "tts-vllm", VLLM_ARGUMENTS)
        args = self.session.template_args(kwargs.pop("chat_template_args", None))
        kwargs.setdefault("enable_prefix_caching", True)
        if current_platform.is_cpu():
            kwargs.setdefault("block_size", CPU_BLOCK_SIZE)
        adapter = kwargs.pop("lora_local_path", None)
        kwargs.setdefault("enable_lora", bool(adapter))
        if current_platform.is_cpu() and kwargs["enable_lora"]:
            # There vLLM's kernel for adapters has a row for every running sequence, not for every
            # token of a prompt whose log-probabilities are asked: two of them in one step end the
            # engine (add_lora_logits in vllm/lora/punica_wrapper/punica_cpu.py, vLLM 0.32).
            kwargs["batch_size"] = 1  # of log-likelihoods alone
        told = {"dtype", "max_model_len", "max_length", "seed"}  # facts tell these better
        given = {k: v for k, v in kwargs.items() if decides(k) and k not in told}
        with (
            loading({"pretrained": pretrained, **kwargs}),
            _replicated(int(data_parallel_size)),
            torch.random.fork_rng(devices=[]),
        ):
            VLLM.__init__(self, pretrained=find_checkpoint(pretrained), **kwargs)
        self.chat_template_args, self.enable_thinking = args, args.get("enable_thinking")
        self._serve({"pretrained": pretrained, "lora_local_path": None}, sorted(given.items()))
        if adapter:
            self.use_adapter(adapter)

    def _serve(self, names: dict[str, Any], deciding: Sequence[Any]) -> None:
        """Hand what was loaded to the session, with the chat template that vLLM resolved.
        deciding: arguments besides the names that change what is answered."""
        self.tokenizer.chat_template = self.hf_chat_template
        self.end_thinking_at(self.think_end_token)
        self.template = TemplateChat(self.tokenizer, self.chat_template_args, self.tok_encode)
        config = self.model.llm_engine.model_config
        checkpoint = Checkpoint(
            self.tokenizer,
            names,
            generation_config=GenerationConfig(**config.try_get_generation_config()),
            own_facts=lambda: {
                **files_of(names),
                "arguments": deciding,
                "batch_invariant": self.batch_invariant,
                "dtype": config.dtype,
                "vllm": version("vllm"),
            },
            vocabulary_size=config.get_vocab_size(),
        )
        abilities = Abilities(name="tts-vllm", logprobs=LogprobKind.TOP)  # no mean of them all
        self.session.serve(checkpoint, self.template, self._make_engine, abilities)

    def use_adapter(self, lora_local_path: str | None) -> None:
        """Answer with another adapter, or none; the checkpoint stays loaded.
        lora_local_path: a folder or Hub name. Raises SettingsError if the model was made without
        adapters, or vLLM cannot load this one; then the previous one stays in use."""
        request = None
        if lora_local_path:
            if not self.model_args["enable_lora"]:
                raise SettingsError(
                    "adapters need a model that was made for them: give enable_lora=true, or "
                    "lora_local_path=, at the start"
                )
            # vLLM knows an adapter's weights by a number and its prefixes by a name. Both are of
            # what the files hold: one folder may hold several adapters, one after the other.
            folder = find_checkpoint(lora_local_path)
            key = digest(folder, *files_of({"adapter": folder}).values())
            request = LoRARequest(f"{lora_local_path} {key}", int(key[:7], 16) + 1, folder)
            with loading({"lora_local_path": lora_local_path}):
                self.model.add_lora(request)
        self.lora_request = self.model.lora_request = request
        self.session.checkpoint.names["lora_local_path"] = lora_local_path
        self.session.renew_engine()

    def get_model_info(self) -> dict[str, Any]:
        """Return what distinguishes checkpoints, and how much the prefix cache saved."""
        return {
            "model": "tts-vllm",
            **self.session.info(),
            "batch_invariant": self.batch_invariant,
            "prompt_tokens_sent": self.model.prompt_tokens["sent"],
            "prompt_tokens_cached": self.model.prompt_tokens["cached"],
        }

    def _make_engine(self) -> Engine:
        """Return the engine; vLLM's `max_num_seqs=` is its number of sequences."""
        ends = self.session.checkpoint.eos_token_ids
        running = int(self.model.llm_engine.vllm_config.scheduler_config.max_num_seqs)
        return AsyncEngine(
            partial(self.model.sample, eos_token_ids=frozenset(ends)),
            self.model.background,
            self.session.checkpoint.text,
            eos_token_ids=ends,
            max_length=self.max_length,
            max_num_seqs=int(running * QUEUED * self.model.num_ranks),
        )


def switch_batch_invariance(wanted: bool | None) -> bool:
    """Switch on, or off, what vLLM has for the same numbers in any batch; say whether it is on.
    It is an environment variable, so it holds for all that this process loads from now on. None: as
    the environment has it. Raises SettingsError where vLLM has no such kernels: it would silently
    round as usual."""
    given = os.environ.get(BATCH_INVARIANT, "0") if wanted is None else str(wanted)
    if given.lower() not in ("0", "1", "false", "true"):
        raise SettingsError(f"batch_invariant={given!r}: allowed are true and false")
    on = given.lower() in ("1", "true")
    if on and not (current_platform.is_cuda_alike() or current_platform.is_xpu()):
        raise SettingsError(
            "batch_invariant=true: vLLM has kernels for it on CUDA, ROCm and XPU, this is "
            f"{current_platform.device_name}: leave it out, and take dtype=float32 for texts that "
            "depend on no batch"
        )
    os.environ[BATCH_INVARIANT] = str(int(on))
    return on


@contextmanager
def _replicated(data_parallel_size: int) -> Iterator[None]:
    """Make lm-eval's class load one engine with replicas, where it would load none for several."""
    stock = vllm_causallms.LLM
    vllm_causallms.LLM = partial(Replicas, data_parallel_size=data_parallel_size)
    try:
        yield
    finally:
        vllm_causallms.LLM = stock
