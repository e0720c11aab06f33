"""`tts-hf`: lm-eval's `hf` model with test-time strategies around it.

Every argument of `--model hf` works as it does there, and log-likelihood tasks run unchanged; only
`generate_until` is ours. Strategy settings given as model arguments are the defaults of all tasks.
"""

import inspect
import logging
from importlib.metadata import version
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM

from lm_eval_tts.checkpoints import DEFAULTS, find_adapter, find_policy
from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.identity import config_digest, weights_digest
from lm_eval_tts.engines.hf.bars import without_bars
from lm_eval_tts.engines.hf.engine import fit_engine
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.response import Response
from lm_eval_tts.models.arguments import OWN, loading
from lm_eval_tts.models.base import StrategyLM
from lm_eval_tts.models.chat import TemplateChat
from lm_eval_tts.models.checkpoint import Checkpoint
from lm_eval_tts.models.session import Session

HF_ARGUMENTS = OWN | {"merge_peft", "enforce_eager", *inspect.signature(HFLM.__init__).parameters}
# Of fewer parameters, matrices are too small to share, and on busy cores threads wait for threads.
TINY_SIZE, TINY_THREADS = 10_000_000, 1
TINY_BATCH_SIZE = 128  # of the reasoner that comes along; in float32 it changes no response

logger = logging.getLogger(__name__)


class TTSHF(StrategyLM, HFLM):
    """A transformers checkpoint, with `peft=`, `gguf_file=`, quantization ... as in HFLM.
    `pretrained` and `peft` may also name a checkpoint that comes with the package."""

    _model: Any
    peft: str | None

    def __init__(
        self,
        pretrained: Any = None,
        *,
        merge_peft: bool = False,
        enforce_eager: bool = False,
        **kwargs: Any,
    ) -> None:
        """Load the checkpoint; without `pretrained`, the packaged tiny reasoner.
        merge_peft: add the adapter of `peft=` to the weights, which decodes faster. enforce_eager:
        capture no CUDA graphs, as in vLLM. journal, max_failures: see `RunState`.
        reward_model ...: see `RewardModelSettings`.
        Raises SettingsError for wrong settings, before loading, and if the checkpoint cannot be
        loaded."""
        if pretrained is None:
            kwargs = DEFAULTS | kwargs
            if str(kwargs.get("batch_size") or 1) == "1":  # lm_eval's own default, far too slow
                kwargs["batch_size"] = TINY_BATCH_SIZE
            logger.info(
                "no pretrained= was given: using %s, a tiny reasoner that comes with lm_eval_tts",
                ",".join(f"{name}={kwargs[name]}" for name in DEFAULTS),
            )
            pretrained = kwargs.pop("pretrained")
        self.session = Session(kwargs, "tts-hf", HF_ARGUMENTS)
        if kwargs.get("tp_plan"):
            if self.session.state.journal:
                raise SettingsError(
                    "journal= does not work with tp_plan=: its ranks must not differ"
                )
            self.session.state.journals = None
        args = self.session.template_args(kwargs.get("chat_template_args"))
        kwargs["chat_template_args"] = args
        name = pretrained if isinstance(pretrained, str) else str(pretrained.name_or_path)
        adapter = kwargs.get("peft")
        kwargs["device"] = kwargs.get("device") or ""  # what there is; HFLM's default is a GPU
        _check_device(str(kwargs["device"]))
        with loading({"pretrained": pretrained, **kwargs}):
            if isinstance(pretrained, str):
                pretrained = find_policy(pretrained)
            if adapter:
                kwargs["peft"] = find_adapter(adapter)
            with without_bars(pretrained):
                HFLM.__init__(self, pretrained=pretrained, **kwargs)
        if merge_peft and adapter:
            self._model = self._model.merge_and_unload()
        # Stock lm-eval asks for think_end_token with it; here delimiters say where thinking ends.
        self.enable_thinking = args.get("enable_thinking")
        names = {"pretrained": name, "peft": adapter or adapter_of(pretrained)}
        self._enforce_eager = enforce_eager
        self._serve({**names, "merge_peft": merge_peft})

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[Response]:
        """Answer each request; on a CPU tiny models use the threads that pay."""
        precision, threads = self.mixed_precision_dtype, torch.get_num_threads()
        if sum(weight.numel() for weight in self.model.parameters()) < TINY_SIZE:
            torch.set_num_threads(TINY_THREADS)
        try:
            with torch.autocast(self.device.type, precision, enabled=precision is not None):
                return super().generate_until(requests, disable_tqdm)
        finally:
            torch.set_num_threads(threads)

    def _serve(self, names: dict[str, Any]) -> None:
        stored = getattr(self._config.get_text_config(decoder=True), "dtype", None)
        if (stored, self.model.dtype) == (torch.bfloat16, torch.float16):
            logger.warning(
                "this checkpoint was trained in bfloat16, and float16 has no room for its largest "
                "numbers: use dtype=bfloat16 or float32"
            )
        if accelerator := getattr(self, "accelerator", None):
            # Documents are shared among `accelerate launch` processes on CPUs too, not GPUs only.
            self._rank, self._world_size = accelerator.process_index, accelerator.num_processes
        self.end_thinking_at(self.think_end_token)
        self.template = TemplateChat(self.tokenizer, self.chat_template_args, self.tok_encode)
        checkpoint = Checkpoint(
            self.tokenizer,
            names,
            generation_config=getattr(self.model, "generation_config", None),
            own_facts=lambda: {
                "weights": weights_digest(self.model),
                "config": config_digest(self.model),
                "torch": version("torch"),
                "transformers": version("transformers"),
                "dtype": self.model.dtype,
                "autocast": self.mixed_precision_dtype,
            },
            policy_size=self.model.num_parameters() / 1e9,
            vocabulary_size=self.model.get_input_embeddings().num_embeddings,
        )
        self.session.serve(checkpoint, self.template, self._make_engine)

    def use_adapter(self, peft: str | None) -> None:
        """Put another adapter, or none, on the loaded model, whose own weights stay in place.
        peft: a folder or Hub name as `peft=` takes it. Raises SettingsError on merged weights."""
        from peft import PeftModel  # seconds to import, and most runs have no adapter

        names = self.session.checkpoint.names
        if names["merge_peft"] and names["peft"]:
            raise SettingsError("an adapter was merged into the weights: leave merge_peft out")
        if isinstance(self._model, PeftModel):
            self._model = self._model.unload()
        if peft:
            self._model = PeftModel.from_pretrained(self._model, find_adapter(peft)).eval()
        self.peft = names["peft"] = peft
        self.session.renew_engine()

    def get_model_info(self) -> dict[str, Any]:
        """Add to HFLM's entries in the results what distinguishes checkpoints."""
        return {"model": "tts-hf", **HFLM.get_model_info(self), **self.session.info()}

    def _make_engine(self) -> Engine:
        if self.backend != "causal":
            raise SettingsError(
                "tts-hf strategies continue a response, so they need a decoder-only model; "
                f"this one is {self.backend}"
            )
        auto = self.batch_size_per_gpu == "auto"
        return fit_engine(
            self.model,
            self.session.checkpoint.text,
            eos_token_ids=self.session.checkpoint.eos_token_ids,
            max_length=self.max_length,
            max_num_seqs=int(self.max_batch_size if auto else self.batch_size),
            auto=auto,
            # What autocast has cast is kept for a while, where a graph would look for it forever.
            enforce_eager=self._enforce_eager or self.mixed_precision_dtype is not None,
        )


def _check_device(device: str) -> None:
    """Raise SettingsError for a card that is not there, in whose place HFLM takes the CPU. "cuda:0"
    is what lm_eval passes where nothing was asked for."""
    kind, _, number = device.partition(":")
    there = torch.cuda.device_count()
    if kind == "cuda" and int(number or 0) >= max(there, 1):
        allowed = ", ".join(["cpu", *(f"cuda:{n}" for n in range(there))])
        raise SettingsError(f"device={device!r}: this machine has no such card; allowed: {allowed}")


def adapter_of(pretrained: Any) -> str | None:
    """Return the name in results of a loaded PeftModel's adapter, None without one.
    It does not say where an adapter is from, so one without a name of its own has its hash."""
    names = getattr(pretrained, "active_adapters", None)
    if not isinstance(names, list) or not hasattr(pretrained, "peft_config"):
        return None
    unnamed = names == ["default"]
    return f"adapter {weights_digest(pretrained)[:8]}" if unnamed else "+".join(names)
