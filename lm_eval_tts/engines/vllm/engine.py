"""vLLM in this process: every op is a separate request, re-queued as soon as it is continued.

vLLM's prefix cache finds what is already computed: the same ids and some more are a continuation,
the same ids twice a fork. Stop strings are cut by our own rule, from the ids that vLLM sampled.
Nothing is plugged into vLLM: no logits processor, no scheduler class."""

import itertools
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from typing_extensions import Unpack
from vllm import LLM, AsyncEngineArgs, SamplingParams, TokensPrompt
from vllm.outputs import CompletionOutput, RequestOutput
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from lm_eval_tts.core.engine import Output
from lm_eval_tts.core.program import Generate, TokenLogprob
from lm_eval_tts.engines.affinity import Ranks
from lm_eval_tts.engines.asynchronous import Background
from lm_eval_tts.engines.requests import MAX_SEED, BatchRow, Limits, RowEngine, SampledTokens
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.errors import RequestError

try:
    from vllm.exceptions import VLLMError
except ImportError:  # before 0.30 what is wrong with a request is a ValueError
    VLLMError = ValueError
REFUSALS = (ValueError, VLLMError)  # bases of what vLLM raises for a request it cannot serve
CPU_BLOCK_SIZE = 32  # vLLM's 128 on CPUs finds a prefix only to its last 128 tokens
DEAD = "vLLM's engine process has died, see its messages"


class VLLMEngine(RowEngine):
    """The engine of `tts-vllm` on one engine core, whatever its tensor parallel size.
    llm: a `vllm.LLM`; it queues those of `max_num_seqs` sequences that find no room.
    lora_request: the adapter of all requests. prompt_tokens: counts them, if given."""

    def __init__(
        self,
        llm: LLM,
        tokenizer: Tokenizer,
        *,
        lora_request: Any = None,
        prompt_tokens: Counter[str] | None = None,
        **limits: Unpack[Limits],
    ) -> None:
        super().__init__(tokenizer, **limits)
        self.prompt_tokens = Counter() if prompt_tokens is None else prompt_tokens
        self.num_steps = 0
        self._llm = llm
        self._lora_request = lora_request
        self._live: dict[str, BatchRow] = {}

    def abort(self, request_id: int) -> None:
        """Drop a request; unknown ids are ignored."""
        rows = self._rows.get(request_id, [])
        if dropped := [key for key, row in self._live.items() if row in rows]:
            self._live = {key: row for key, row in self._live.items() if row not in rows}
            self._llm.llm_engine.abort_request(dropped)
        super().abort(request_id)

    def step(self) -> list[Output]:
        """Hand over what was added, advance vLLM and return the requests that finished. Where
        vLLM's engine process has died, every request fails with that reason."""
        try:
            for row in self.take(len(self.queue)):
                self._submit(row)
            if self._live:
                self.num_steps += 1
                for output in self._llm.llm_engine.step():
                    self._finish(output)
        except EngineDeadError:
            self._live.clear()
            self.fail_all(RequestError(DEAD))
        return self.pop_finished()

    def _submit(self, row: BatchRow) -> None:
        part = self.next_part(row)
        prompt = TokensPrompt(prompt_token_ids=list(part.op.token_ids))
        try:
            params = sampling_params(part, self.eos_token_ids)
            lora = self._lora_request
            (key,) = self._llm.enqueue([prompt], [params], use_tqdm=False, lora_request=lora)
        except EngineDeadError:
            raise
        except REFUSALS as error:
            self.fail(row, refused(error))
        else:
            self._live[key.split("-")[0]] = row  # outputs carry the part before the "-"

    def _finish(self, output: Any) -> None:
        if (row := self._live.pop(output.request_id, None)) is None:
            return  # aborted
        sent, cached = len(output.prompt_token_ids), output.num_cached_tokens or 0
        self.prompt_tokens.update(sent=sent, cached=cached)
        try:
            if self.take_part(row, sampled_of(output, row.op)):
                self.finished(row)
            else:
                self._submit(row)
        except RequestError as error:
            self.fail(row, error)


class DataParallelLLM:
    """vLLM's own data parallel engine: replicas under one AsyncLLM, loaded once, behind the part of
    `vllm.LLM` that is used. Each problem stays with one replica, whose cache has its prefix; a new
    one goes where least is under way.
    arguments: those of `vllm.LLM`, with data_parallel_size > 1."""

    def __init__(self, **arguments: Any) -> None:
        self.background = Background()
        self.llm_engine = self.background.run(self._load(arguments))  # as LLM calls it
        self.prompt_tokens: Counter[str] = Counter()
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
        sent, cached = len(row.op.token_ids), output.num_cached_tokens or 0
        self.prompt_tokens.update(sent=sent, cached=cached)
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


def end_calls_when_dead(llm: LLM) -> None:
    """Make a call that waits for vLLM's engine process end in EngineDeadError when it has died.
    vLLM's synchronous client notices the death and ends the thread that receives outputs, but not
    the call that waits for one of them (AsyncLLM's client does; seen in 0.32). Nothing can follow
    that thread's last output, so the error is put after it."""
    core = llm.llm_engine.engine_core
    receiver = getattr(core, "output_queue_thread", None)
    if receiver is None:  # the engine runs in this process
        return
    outputs = core.outputs_queue

    def report() -> None:
        receiver.join()
        outputs.put_nowait(EngineDeadError())

    threading.Thread(target=report, name="EngineDeath", daemon=True).start()


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
    return RequestError(f"vLLM refused a request: {' '.join(str(error).split())}")
