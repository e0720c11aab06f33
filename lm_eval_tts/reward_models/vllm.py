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
from vllm import LLM, PoolingParams, TokensPrompt
from vllm.config import PoolerConfig
from vllm.outputs import PoolingRequestOutput
from vllm.platforms import current_platform
from vllm.v1.engine.exceptions import EngineDeadError

from lm_eval_tts.core.identity import files_of
from lm_eval_tts.engines.vllm import engine
from lm_eval_tts.engines.vllm.engine import DEAD, REFUSALS, refused
from lm_eval_tts.errors import RequestError
from lm_eval_tts.reward_models.checkpoint import CheckpointModel, KnownScores
from lm_eval_tts.reward_models.families import Family, loading_reward_model
from lm_eval_tts.reward_models.inputs import Input, Reading, Words

POOLING_TASK = "token_classify"
FAILURES = (OSError, RuntimeError, *REFUSALS)  # bases of what loading raises


class VLLMRewardModel(CheckpointModel):
    """A checkpoint in a separate engine, next to the policy's."""

    def __init__(self, llm: LLM, family: Family, words: Words) -> None:
        config = llm.llm_engine.model_config
        files = files_of({"model": config.model})
        weights, dtype = f"{files['model']}@{config.revision}", str(config.dtype)
        super().__init__(family, words, config.max_model_len, weights=weights, dtype=dtype)
        self._llm = llm
        self._known = KnownScores()

    def _read(self, inputs: Sequence[Input]) -> Sequence[Reading | RequestError]:
        """Run the model; where vLLM refuses some, each is read on its own."""
        try:
            return self._read_all(inputs) if inputs else []
        except EngineDeadError:
            return [RequestError(f"the reward model: {DEAD}")] * len(inputs)
        except REFUSALS as error:
            if len(inputs) == 1:
                return [refused(error)]
        return [reading for x in inputs for reading in self._read([x])]

    def _read_all(self, inputs: Sequence[Input]) -> list[Reading]:
        """Read what is new; where a score lies in what vLLM had cached, read from the start."""
        self._known.make_room()
        read = dict(enumerate(self._encode(inputs, from_start=False)))
        if missing := [i for i, item in enumerate(inputs) if self._known.missing(item)]:
            again = self._encode([inputs[i] for i in missing], from_start=True)
            read.update(zip(missing, again, strict=True))
        return [Reading(self._known.of(item), read[i]) for i, item in enumerate(inputs)]

    def _encode(self, inputs: Sequence[Input], *, from_start: bool) -> list[int]:
        """Read inputs at once; return how many tokens of each vLLM computed."""
        outputs = self._llm.encode(
            [TokensPrompt(prompt_token_ids=list(item.token_ids)) for item in inputs],
            PoolingParams(use_activation=False, skip_reading_prefix_cache=from_start),
            pooling_task=POOLING_TASK,
            use_tqdm=False,
        )
        return [self._keep(item, output) for item, output in zip(inputs, outputs, strict=True)]

    def _keep(self, item: Input, output: PoolingRequestOutput) -> int:
        """Note the scores in the logits [tokens computed, labels], which are those of the end."""
        logits = output.outputs.data
        start = len(item.token_ids) - len(logits)
        here = [p for p in item.positions if p >= start]
        scores = self._family.head.scores(logits[[p - start for p in here]]).tolist()
        self._known.note(item, dict(zip(here, scores, strict=True)))
        return len(logits)


def load_vllm(
    name: str, family: Family, words: Words, limits: Mapping[str, Any], *, dtype: str, **code: Any
) -> VLLMRewardModel:
    """Load a checkpoint as a pooling runner. Raises SettingsError if it is not one of its family.
    limits: arguments of `vllm.LLM`. code: trust_remote_code and revision."""
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
        **({"block_size": engine.CPU_BLOCK_SIZE} if current_platform.is_cpu() else {}),
        **limits,
        **family.head.vllm_arguments(name, words.tokenizer),
    }
    with loading_reward_model(name, FAILURES):
        llm = LLM(name, **arguments, **code)
    engine.end_calls_when_dead(llm)
    pad = llm.llm_engine.model_config.hf_text_config.pad_token_id
    return VLLMRewardModel(llm, family, replace(words, pad_token_id=pad))
