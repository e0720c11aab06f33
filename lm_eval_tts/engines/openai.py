"""An OpenAI-compatible server as an engine: one prompt a call, retried where that can help.

How exact it is depends on what the server tells (`Dialect`):

    tokens  takes token ids and returns token ids (vLLM): the same as an engine in this process
    ids     takes token ids and returns text; its ids are what our tokenizer makes of the text
    text    takes text and returns text
    chat    takes messages only: a response cannot be continued

Where only text comes back, few servers tell which stop string ended it. So the text is streamed,
our own rule looks for the stop strings, and the call is ended where one is found.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from lm_eval_tts.engines.affinity import Sessions
from lm_eval_tts.engines.asynchronous import Sampled
from lm_eval_tts.engines.base import PromptTokens
from lm_eval_tts.engines.requests import Row
from lm_eval_tts.engines.stopping import find_stop
from lm_eval_tts.engines.tokenizer import ByteTokenizer, Tokenizer
from lm_eval_tts.errors import RequestError
from lm_eval_tts.program import Generate, TokenIds, TokenLogprob

logger = logging.getLogger(__name__)

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
LONGEST_WAIT = 60.0  # seconds between two tries, whatever a server asks for
MAX_SEED = 2**63 - 1


class Dialect(NamedTuple):
    """What a server understands.

    path: below the base URL. prompt: "ids", "text" or "messages". extras: whether it takes
    settings beyond OpenAI's own. returns_ids: whether token ids come back.
    """

    path: str
    prompt: str
    extras: bool
    returns_ids: bool = False


TOKENS = Dialect("/completions", "ids", extras=True, returns_ids=True)
IDS = Dialect("/completions", "ids", extras=True)
TEXT = Dialect("/completions", "text", extras=True)
STRICT = Dialect("/completions", "text", extras=False)
CHAT = Dialect("/chat/completions", "messages", extras=True)
STRICT_CHAT = Dialect("/chat/completions", "messages", extras=False)


class Refused(RequestError):
    """The server's answer to a request it will never serve; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Fault(Exception):
    """What another try may mend. wait: seconds that the server asks to wait."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(slots=True)
class Server:
    """A server and how to talk to it.

    url: up to "/v1". model: as the server names it. headers: sent with each call; may hold a key,
    which is in no message of ours. timeout: seconds for one answer, or between two pieces of a
    stream. max_retries: tries for each request. first_wait: seconds before the second try, which
    double with each. session_header: names the header that carries the
    same value for all requests of one problem, for routers that keep sessions on one replica.
    verify: whether, or by which ssl context, to check certificates. bos: what a server that takes
    text puts in front of it itself.
    """

    url: str
    model: str
    tokenizer: Tokenizer = field(default_factory=ByteTokenizer)
    eos_token_ids: frozenset[int] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    dialect: Dialect = TOKENS
    timeout: float = 1800.0
    max_retries: int = 6
    first_wait: float = 0.5
    session_header: str | None = None
    verify: Any = True
    bos: str = ""
    prompt_tokens: PromptTokens = field(default_factory=PromptTokens)
    num_retries: int = 0
    _client: aiohttp.ClientSession | None = None
    _sessions: Sessions = field(default_factory=Sessions)
    _run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    async def sample(self, row: Row) -> Sampled:
        """Sample one row. Raises RequestError when tries run out or none can help."""
        sampled: Sampled = await self.retrying(self._sample, row)
        return sampled

    async def retrying(self, work: Any, *arguments: Any) -> Any:
        """Await `work(*arguments)`, again where a fault may be mended, up to `max_retries`."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Fault),
            stop=stop_after_attempt(self.max_retries),
            wait=self._wait,
        )
        try:
            return await retrying(work, *arguments)
        except Exception as error:
            last = getattr(error, "last_attempt", None)
            if last is None:
                raise
            tries = f"{self.max_retries} tries" if self.max_retries > 1 else "one try"
            raise RequestError(f"no answer after {tries}, the last: {last.exception()}") from None

    def _wait(self, state: RetryCallState) -> float:
        """Return the seconds before the next try: doubled each time, or what the server asks."""
        self.num_retries += 1
        fault = state.outcome.exception() if state.outcome else None
        asked = fault.wait if isinstance(fault, Fault) else 0.0
        seconds = max(
            wait_exponential_jitter(self.first_wait, LONGEST_WAIT, jitter=self.first_wait)(state),
            asked,
        )
        logger.info("try %d failed (%s)", state.attempt_number, fault)
        return min(seconds, LONGEST_WAIT)

    async def _sample(self, row: Row) -> Sampled:
        if self.dialect.returns_ids:
            return self._read(await self.post(self.payload(row), row.op.token_ids), row)
        if row.op.logprobs is not None:
            raise RequestError("this server returns no token ids, so no log-probabilities for them")
        return await self._stream(row)

    def payload(self, row: Row) -> dict[str, Any]:
        """Return a call's body. All settings are said, for servers have defaults of their own."""
        op, sampling = row.op, row.op.sampling
        body = {
            "model": self.model,
            **self._prompt(op.token_ids),
            "max_tokens": row.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": row.seed & MAX_SEED,
        }
        if self.dialect.extras:
            body |= {
                "top_k": sampling.top_k or -1,
                "min_p": sampling.min_p,
                "repetition_penalty": sampling.repetition_penalty,
                "skip_special_tokens": False,
                "spaces_between_special_tokens": False,
                "stop_token_ids": sorted(self.eos_token_ids),
            }
        if self.dialect.returns_ids:
            body |= {"stop": list(op.stop), "return_token_ids": True}
            if op.logprobs is not None:
                body |= {"logprobs": op.logprobs, "return_tokens_as_token_ids": True}
        return body

    def _prompt(self, token_ids: TokenIds) -> dict[str, Any]:
        if self.dialect.prompt == "ids":
            return {"prompt": list(token_ids)}
        text = self.tokenizer.decode(token_ids)
        if self.dialect.prompt == "text":
            return {"prompt": text.removeprefix(self.bos)}
        try:
            return {"messages": json.loads(text)}
        except ValueError:
            raise RequestError(
                "this server has chat completions only, which cannot continue a response"
            ) from None

    def client(self) -> aiohttp.ClientSession:
        """Return the session of this server's calls; to be called in the event loop."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                headers=self.headers,
                connector=aiohttp.TCPConnector(limit=0, ssl=self.verify),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=self.timeout),
            )
        return self._client

    async def get(self, path: str) -> Any:
        """Return what is at a path, as JSON. Raises Fault or Refused."""
        async with _faults(), self.client().get(self.url + path) as response:
            await self._check(response)
            return await response.json(content_type=None)

    async def post(self, body: Mapping[str, Any], token_ids: TokenIds = ()) -> Any:
        """Return the answer to a call, as JSON. Raises Fault or Refused."""
        async with _faults(), self._call(body, token_ids) as response:
            await self._check(response)
            return await response.json(content_type=None)

    def _call(self, body: Mapping[str, Any], token_ids: TokenIds) -> Any:
        headers = {}
        if self.session_header is not None:
            headers[self.session_header] = f"{self._run}-{self._sessions.of(token_ids)}"
        return self.client().post(self.url + self.dialect.path, json=body, headers=headers)

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:
            return
        text = " ".join((await response.text(errors="replace")).split())[:300]
        for secret in self.headers.values():
            text = text.replace(secret.removeprefix("Bearer "), "***")
        message = f"the server answers {response.status}: {text}"
        if response.status in RETRIED:
            raise Fault(message, _seconds(response.headers.get("Retry-After")))
        raise Refused(message, response.status)

    def _read(self, answer: Any, row: Row) -> Sampled:
        """Return the sampled ids of an answer. Raises Fault if it contradicts itself."""
        try:
            choice = answer["choices"][0]
            ids = tuple(int(token) for token in choice["token_ids"])
            usage = answer["usage"]
            sent, told = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
            logprobs = _logprobs(choice, row.op)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise Fault(f"an answer without {type(error).__name__} {error}") from None
        if choice.get("finish_reason") not in ("stop", "length"):
            raise Fault(f"the server ended with {choice.get('finish_reason')!r}")
        if told != len(ids) or sent != len(row.op.token_ids) or not 0 < told <= row.max_tokens:
            raise Fault(
                f"counts that cannot be: {told} tokens told, {len(ids)} sent, "
                f"{row.max_tokens} asked for, {sent} of {len(row.op.token_ids)} read"
            )
        if choice["finish_reason"] == "stop" and not isinstance(choice.get("stop_reason"), str):
            ids = self._with_known_eos(ids)
        details = usage.get("prompt_tokens_details") or {}
        self.prompt_tokens.add(sent, int(details.get("cached_tokens") or 0))
        return Sampled(ids, logprobs)

    def _with_known_eos(self, ids: TokenIds) -> TokenIds:
        """Replace an end of turn that only the server knew by one of ours."""
        return ids if ids[-1] in self.eos_token_ids else (*ids[:-1], min(self.eos_token_ids))

    async def _stream(self, row: Row) -> Sampled:
        """Read text until it ends or holds a stop string, and return the ids of it."""
        text, reason = "", None
        async with _faults():
            async for piece, ending in self._pieces(row):
                text, reason = text + piece, ending or reason
                if match := find_stop(text, row.op.stop):
                    text, reason = text[: match.start + len(match.stop)], "stop"
                    break
        if reason not in ("stop", "length"):
            raise Fault(f"a stream that ended with {reason!r}")
        self.prompt_tokens.add(len(row.op.token_ids), 0)
        ids = self.tokenizer.encode(text)
        if reason == "stop" and not find_stop(text, row.op.stop):
            ids += (min(self.eos_token_ids),)
        return Sampled(ids)

    async def _pieces(self, row: Row) -> AsyncIterator[tuple[str, str | None]]:
        """Yield the pieces of a streamed answer, each with its finish reason."""
        body = {**self.payload(row), "stream": True}
        async with self._call(body, row.op.token_ids) as response:
            await self._check(response)
            async for line in response.content:
                data = line.decode(errors="replace").strip()
                if not data.startswith("data:") or data == "data: [DONE]":
                    continue
                event = json.loads(data.removeprefix("data:"))
                for choice in event.get("choices", ())[:1]:
                    piece = choice.get("text") or choice.get("delta", {}).get("content") or ""
                    yield piece, choice.get("finish_reason")


def _logprobs(choice: Mapping[str, Any], op: Generate) -> tuple[TokenLogprob, ...]:
    if op.logprobs is None:
        return ()
    told = choice["logprobs"]
    tops = told.get("top_logprobs") or [{}] * len(told["token_logprobs"])
    return tuple(
        TokenLogprob(own, tuple(sorted((top or {}).values(), reverse=True)[: op.logprobs]))
        for own, top in zip(told["token_logprobs"], tops, strict=True)
    )


def _seconds(retry_after: str | None) -> float:
    """Return the seconds of a Retry-After header; a date counts as none."""
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0


@asynccontextmanager
async def _faults() -> AsyncIterator[None]:
    """Turn what may go wrong on the way, or in an answer's form, into a Fault."""
    try:
        yield
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
        raise Fault(f"{type(error).__name__}: {error}") from error
