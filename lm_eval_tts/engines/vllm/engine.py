"""vLLM in this process: every op is a separate request, re-queued as soon as it is continued.

vLLM's prefix cache finds what is already computed: the same ids and some more are a continuation,
the same ids twice a fork. Stop strings are cut by our own rule, from the ids that vLLM sampled.
Nothing is plugged into vLLM: no logits processor, no scheduler class."""

import itertools
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any

from tqdm import tqdm
from vllm import AsyncEngineArgs, PoolingParams, SamplingParams, TokensPrompt
from vllm.outputs import CompletionOutput, PoolingRequestOutput, RequestOutput
from vllm.sampling_params import RequestOutputKind
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from lm_eval_tts.core.program import Generate, TokenIds, TokenLogprob
from lm_eval_tts.engines.asynchronous import Background, Ranks
from lm_eval_tts.engines.requests import MAX_SEED, BatchRow, SampledTokens
from lm_eval_tts.errors import RequestError

try:
    from vllm.exceptions import VLLMError
except ImportError:  # before 0.30 what is wrong with a request is a ValueError
    VLLMError = ValueError
# Bases of what vLLM raises for a request it cannot serve, or any more.
REFUSALS = (ValueError, VLLMError, EngineDeadError)
CPU_BLOCK_SIZE = 32  # vLLM's 128 on CPUs finds a prefix only to its last 128 tokens


class Replicas:
    """A checkpoint under vLLM's AsyncLLM, in one or more replicas that are loaded once, behind the
    part of `vllm.LLM` that lm-eval uses. Each problem stays with one replica, whose cache has its
    prefix; a new one goes where least is under way.
    arguments: those of `vllm.LLM`. lora_request: the adapter of what is sampled from now on.
    prompt_tokens: those "sent" to sample, and of them "cached"."""

    def __init__(self, **arguments: Any) -> None:
        self.background = Background()
        self.llm_engine = self.background.run(self._load(arguments))  # as LLM calls it
        self.prompt_tokens: Counter[str] = Counter()
        self.lora_request: Any = None
        self.num_ranks = int(arguments.get("data_parallel_size", 1))
        self._ranks = Ranks(self.num_ranks)
        self._keys = map(str, itertools.count())
        weakref.finalize(self, self.llm_engine.shutdown)

    @staticmethod
    async def _load(arguments: dict[str, Any]) -> AsyncLLM:
        """Load as LLM does: without statistics, with its limits where none are given."""
        arguments = {"disable_log_stats": True, **arguments}
        if isinstance(mode := arguments.get("compilation_config"), int):
            arguments["compilation_config"] = {"mode": mode}
        limits = {"usage_context": UsageContext.LLM_CLASS}
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments), **limits)

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
        sent, cached = len(row.op.token_ids), output.num_cached_tokens or 0
        self.prompt_tokens.update(sent=sent, cached=cached)
        return sampled_of(output, row.op)

    async def encode(self, token_ids: TokenIds, params: PoolingParams) -> PoolingRequestOutput:
        """Return what a pooling runner makes of a prompt. Raises one of `REFUSALS`."""
        prompt = TokensPrompt(prompt_token_ids=list(token_ids))
        return await _last(self.llm_engine.encode(prompt, params, next(self._keys)))

    async def _generate(
        self, token_ids: Sequence[int], params: SamplingParams, lora_request: Any
    ) -> RequestOutput:
        prompt, key = TokensPrompt(prompt_token_ids=list(token_ids)), next(self._keys)
        rank = self._ranks.take(token_ids)
        try:
            how = {"lora_request": lora_request, "data_parallel_rank": rank}
            return await _last(self.llm_engine.generate(prompt, params, key, **how))
        finally:
            self._ranks.release(rank)

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
        return [future.result() for future in tqdm(futures, "prompts", disable=not use_tqdm)]


async def _last(outputs: AsyncIterator[Any]) -> Any:
    async for output in outputs:
        last = output
    return last


def sampling_params(row: BatchRow, eos_token_ids: frozenset[int]) -> SamplingParams:
    """Return the settings of a part of a row in vLLM's terms, without a checkpoint's own. vLLM
    filters in its own order: temperature, min_p, top_k, top_p. It masks the end of the turn by
    min_tokens, and the last token of a stop string, as it tokenizes that, by bad_words."""
    op, sampling = row.op, row.op.sampling
    stops = [stop for stop in op.stop if stop]
    return SamplingParams(
        **{**asdict(sampling), "top_k": sampling.top_k or -1},  # all else has the same name
        max_tokens=row.max_tokens,
        min_tokens=op.min_tokens,
        bad_words=stops if op.min_tokens else None,
        seed=row.seed & MAX_SEED if sampling.temperature else None,
        stop=[] if op.min_tokens else stops,
        stop_token_ids=sorted(eos_token_ids),
        logprobs=op.logprobs,
        detokenize=any(op.stop),
        skip_special_tokens=False,
        spaces_between_special_tokens=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def sampled_of(output: RequestOutput, op: Generate) -> SampledTokens:
    """Return what a finished request has sampled, with log-probabilities without their mean, which
    vLLM does not report. Raises RequestError if vLLM gave it up."""
    completion: CompletionOutput = output.outputs[0]
    if completion.finish_reason not in ("stop", "length"):
        raise RequestError(f"vLLM ended a request with {completion.finish_reason!r}")
    told = []
    if op.logprobs is not None and completion.logprobs is not None:
        for token, entries in zip(completion.token_ids, completion.logprobs, strict=True):
            likeliest = sorted((entry.logprob for entry in entries.values()), reverse=True)
            told.append(TokenLogprob(entries[token].logprob, tuple(likeliest[: op.logprobs])))
    return SampledTokens(tuple(completion.token_ids), tuple(told))


def refused(error: Exception) -> RequestError:
    """Return vLLM's reason in one line."""
    if isinstance(error, EngineDeadError):
        return RequestError("vLLM's engine process has died, see its messages")
    return RequestError(f"vLLM refused a request: {' '.join(str(error).split())}")
