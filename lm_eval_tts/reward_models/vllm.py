"""Runs a reward model in vLLM: a pooling runner that gives the logits of every token it computes.

One way of reading serves all families it can have: token classifiers, Qwen's head, and language
models, of whose head vLLM keeps the rows of "+" and "-" as a classifier of two labels.

vLLM's prefix cache is used: for a search, only what is new is read. vLLM gives no logits of what
it found in the cache, so the scores that were read there before are kept here; where one is
missing, the input is read once more from its start."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from transformers import AutoConfig
from vllm import PoolingParams
from vllm.config import PoolerConfig
from vllm.platforms import current_platform

from lm_eval_tts.core.identity import files_of
from lm_eval_tts.engines.vllm.engine import CPU_BLOCK_SIZE, REFUSALS, Replicas, refused
from lm_eval_tts.errors import RequestError
from lm_eval_tts.reward_models.checkpoint import CheckpointModel, make_room, prefix_keys
from lm_eval_tts.reward_models.families import Family, loading_reward_model
from lm_eval_tts.reward_models.inputs import Input, Reading, Words

POOLING_TASK = "token_classify"
FAILURES = (OSError, RuntimeError, *REFUSALS)  # bases of what loading raises


class VLLMRewardModel(CheckpointModel):
    """A checkpoint in a separate engine, next to the policy's."""

    def __init__(
        self, name: str, family: Family, words: Words, limits: Mapping[str, Any], **code: Any
    ) -> None:
        """Load a checkpoint. Raises SettingsError if it is not one of its family.
        limits: arguments of `vllm.LLM`. code: trust_remote_code, revision and dtype."""
        dtype = code.pop("dtype")
        with loading_reward_model(name):
            config = AutoConfig.from_pretrained(name, **code)
        family.head.check_labels(name, config)
        if dtype == "auto" and config.dtype is not None:  # vLLM's own "auto" halves float32
            dtype = str(config.dtype).removeprefix("torch.")
        # All tokens are asked for; vLLM before 0.25 takes the task at each call alone.
        pooler = {"tok_pooling_type": "ALL", "task": POOLING_TASK}
        known = {field.name for field in fields(PoolerConfig)}
        arguments = {
            "runner": "pooling",
            "pooler_config": PoolerConfig(**{k: v for k, v in pooler.items() if k in known}),
            "dtype": dtype,
            "enable_prefix_caching": True,
            "enforce_eager": True,  # graphs serve the writing of single tokens
            "tokenizer_revision": code["revision"],
            **({"block_size": CPU_BLOCK_SIZE} if current_platform.is_cpu() else {}),
            **limits,
            **family.head.vllm_arguments(name, words.tokenizer),
        }
        with loading_reward_model(name, FAILURES):
            self._llm = Replicas(model=name, **arguments, **code)
        loaded = self._llm.llm_engine.model_config
        files = files_of({"model": loaded.model})
        super().__init__(
            family,
            replace(words, pad_token_id=loaded.hf_text_config.pad_token_id),
            loaded.max_model_len,
            weights=f"{files['model']}@{loaded.revision}",
            dtype=str(loaded.dtype),
        )
        self._known: dict[bytes, float] = {}

    def _read(self, inputs: Sequence[Input]) -> Sequence[Reading | RequestError]:
        make_room(self._known)
        under_way = [self._llm.background.start(self._read_one(item)) for item in inputs]
        return [one.result() for one in under_way]

    async def _read_one(self, item: Input) -> Reading | RequestError:
        """Read what is new; where a score lies in what vLLM had cached, read from the start."""
        keys = prefix_keys(item)
        try:
            num_read = await self._encode(item, keys, from_start=False)
            if not self._known.keys() >= {*keys.values()}:
                num_read = await self._encode(item, keys, from_start=True)
        except REFUSALS as error:
            return RequestError(f"the reward model: {refused(error)}")
        return Reading(tuple(self._known[keys[place]] for place in item.positions), num_read)

    async def _encode(self, item: Input, keys: Mapping[int, bytes], *, from_start: bool) -> int:
        """Note the scores in what vLLM computes of an input; return how many tokens it was."""
        params = PoolingParams(
            task=POOLING_TASK, use_activation=False, skip_reading_prefix_cache=from_start
        )
        logits = (await self._llm.encode(item.token_ids, params)).outputs.data  # [tokens, labels]
        start = len(item.token_ids) - len(logits)
        here = {place: key for place, key in keys.items() if place >= start}
        scores = self._family.head.scores(logits[[place - start for place in here]]).tolist()
        self._known.update(zip(here.values(), scores, strict=True))
        return len(logits)
