"""vLLM's own data parallel engine: several replicas under one AsyncLLM, loaded once.

Each problem stays with one replica, whose cache has its prefix; a new one goes where least is
under way."""

import itertools
from collections.abc import Sequence
from typing import Any

from vllm import AsyncEngineArgs, SamplingParams, TokensPrompt
from vllm.outputs import RequestOutput
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM

from lm_eval_tts.core.engine import PromptTokens
from lm_eval_tts.engines.affinity import Ranks
from lm_eval_tts.engines.asynchronous import Background
from lm_eval_tts.engines.requests import BatchRow, SampledTokens
from lm_eval_tts.engines.vllm.engine import REFUSALS, refused, sampled_of, sampling_params


class DataParallelLLM:
    """Several replicas behind the part of `vllm.LLM` that is used.
    arguments: those of `vllm.LLM`, with data_parallel_size > 1."""

    def __init__(self, **arguments: Any) -> None:
        self.background = Background()
        self.llm_engine = self.background.run(self._load(arguments))  # as LLM calls it
        self.prompt_tokens = PromptTokens()
        self.lora_request: Any = None
        self.num_ranks = int(arguments["data_parallel_size"])
        self._ranks = Ranks(self.num_ranks)
        self._keys = map(str, itertools.count())

    @staticmethod
    async def _load(arguments: dict[str, Any]) -> AsyncLLM:
        arguments = {"disable_log_stats": True, **arguments}  # as LLM has it
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))

    def close(self) -> None:
        """End the replicas' processes."""
        self.llm_engine.shutdown()

    def add_lora(self, lora_request: Any) -> None:
        """Load an adapter on every replica."""
        self.background.run(self.llm_engine.add_lora(lora_request))

    async def sample(self, row: BatchRow, eos_token_ids: frozenset[int]) -> SampledTokens:
        """Sample a part of a row. Raises RequestError if it cannot be served."""
        try:
            params = sampling_params(row, eos_token_ids)
            output = await self._generate(row.op.token_ids, params, self.lora_request)
        except REFUSALS as error:
            raise refused(error) from error
        self.prompt_tokens.add(len(row.op.token_ids), output.num_cached_tokens or 0)
        return sampled_of(output, row.op)

    async def _generate(
        self, token_ids: Sequence[int], params: SamplingParams, lora_request: Any
    ) -> RequestOutput:
        rank = self._ranks.take(token_ids)
        try:
            async for output in self.llm_engine.generate(
                TokensPrompt(prompt_token_ids=list(token_ids)),
                params,
                next(self._keys),
                lora_request=lora_request,
                data_parallel_rank=rank,
            ):
                last = output
        finally:
            self._ranks.release(rank)
        return last

    def generate(
        self,
        prompts: Sequence[Any],
        sampling_params: Sequence[SamplingParams],
        use_tqdm: bool = False,
        lora_request: Any = None,
    ) -> list[RequestOutput]:
        """Answer all prompts, as `vllm.LLM.generate` does; lm-eval's log-likelihood calls it."""
        futures = []
        for prompt, params in zip(prompts, sampling_params, strict=True):
            params = params.clone()
            params.output_kind = RequestOutputKind.FINAL_ONLY
            ids = prompt["prompt_token_ids"]
            futures.append(self.background.start(self._generate(ids, params, lora_request)))
        return [future.result() for future in futures]
